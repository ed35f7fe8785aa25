"""The interpreter of the workers: the same packages as ours, without the project.

A virtual environment without pip, whose one .pth file names our site-packages. Python reads .pth files only in its own
site-packages, not in folders that such a file adds, so the editable install of the project (itself a .pth) is not seen.
"""

import sysconfig
import venv
from pathlib import Path

from local.state import Place, held


def python(state_dir: Path | str) -> Path:
    """The workers' interpreter of the stack in `state_dir`."""
    return Place.of(state_dir).worker_python


def make(place: Place) -> None:
    """Makes `place.worker_env`, unless it is there for these same packages. Takes some 50 ms."""
    packages = "\n".join(dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))) + "\n"
    root = place.worker_env
    own = sysconfig.get_path("purelib", "venv", {"base": str(root), "platbase": str(root)})
    names = Path(own) / "packages.pth"
    if names.exists() and names.read_text() == packages and place.worker_python.exists():
        return
    with held(place, "worker-env"):
        if not names.exists():  # another start may have made it meanwhile
            venv.EnvBuilder(with_pip=False, symlinks=True, clear=True).create(root)
        names.write_text(packages)
