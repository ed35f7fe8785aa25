"""An image made without Docker: every step of its Dockerfile, in order, in a copy-on-write view of this machine.

What stands for the base image is this machine's system, its distribution's first users, and a fresh virtual environment
as Python.
"""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.runtimes import view

ROOT = Path(__file__).parents[2]
_BASE = f"""
set -eu
{sys.executable} -m venv /usr/local/image
export PATH=/usr/local/image/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin PYTHONPATH= HOME=/root
cd /
"""


@dataclass(frozen=True)
class Dockerfile:
    """The instructions of one image's Dockerfile, continuation lines joined, comments left out."""

    image: str

    @property
    def context(self) -> Path:
        """The folder that the image is built from."""
        return ROOT / "runtimes" / self.image

    def instructions(self) -> list[tuple[str, str]]:
        """(instruction, its arguments) in order."""
        text = re.sub(r"\\\n", " ", (self.context / "Dockerfile").read_text())
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]

    def command(self) -> list[str]:
        """ENTRYPOINT and CMD, in order."""
        found = dict(self.instructions())
        return [part for word in ("ENTRYPOINT", "CMD") if word in found for part in json.loads(found[word])]


def build_and_run(dockerfile: Dockerfile, folder: Path, probe: str) -> str:
    """Carry out the steps and then `probe`, a shell command, as the image's user; what the probe printed.

    `folder`: an empty one. Raises AssertionError with what was said when a step or the probe fails.
    """
    user, steps = "root", [_BASE]
    for word, rest in dockerfile.instructions():
        match word:
            case "RUN":
                steps.append(_as(user, f"set -e; {rest}"))
            case "COPY":
                *sources, target = rest.split()
                paths = " ".join(shlex.quote(str(dockerfile.context / source)) for source in sources)
                steps.append(f"cp {paths} {target}")
            case "WORKDIR":
                steps.append(f"mkdir -p {rest} && cd {rest}")
            case "ENV":
                steps.append(f"export {rest}")
            case "USER":
                user = rest
            case "FROM" | "ENTRYPOINT" | "CMD":
                pass
            case _:
                raise AssertionError(f"{dockerfile.image}: found {word}, which this view cannot carry out")
    steps.append(f"echo '=== probe'; {_as(user, probe)}")
    done = subprocess.run(
        view.command(folder, "\n".join(steps)), capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, f"{dockerfile.image}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout.partition("=== probe\n")[2]


def _as(user: str, command: str) -> str:
    if user == "root":
        return f"( {command} )"
    return f"setpriv --reuid {user} --regid {user} --clear-groups bash -c {shlex.quote(command)}"
