"""An interpreter with an image's pinned packages and nothing else, where no container runtime is needed.

The project's own environment holds more: what only that brings, a boot line would find here and miss on a host.
"""

import hashlib
import subprocess
import sys
from functools import cache
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).parents[2]


@cache
def image_python(image: str) -> Path:
    """The `python` of a virtual environment made from the image's pins: seconds from uv's cache, once for each state of
    them."""
    pins = ROOT / "runtimes" / image / "requirements.txt"
    folder = Path(sys.prefix) / "images" / image
    python, made_from = folder / "bin" / "python", folder / "made-from"
    state = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()
    folder.parent.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not made_from.is_file() or made_from.read_text() != state:
            _uv("venv", "--clear", "--python", sys.executable, folder)
            wheels = ("--require-hashes", "--no-deps", "--only-binary", ":all:")
            _uv("pip", "install", "--python", python, *wheels, "-r", pins)
            made_from.write_text(state)
    return python


def _uv(*arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", "--quiet", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"uv {arguments[0]}: {done.stderr[-2000:]}"
