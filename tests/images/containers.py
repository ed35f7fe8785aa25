"""A container runtime, and one network on which every container has an address of its own."""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from ops import images

NETWORK = "10.203.113"
GATEWAY = f"{NETWORK}.1"
ANCHOR, DRIVER = f"{NETWORK}.2", f"{NETWORK}.3"
"""Addresses that are named, since one that the runtime chooses may be that of an instance to come."""
INNER = "10.203.114"
_NAME = "breakeven-test"
_PAUSE = ("python", "-c", "import time; time.sleep(86400)")


class Containers:
    """`command`: the runtime, with options that go before its verb."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self.started: set[str] = set()

    def __call__(self, *arguments: str, check: bool = True, timeout_s: float = 120, given: str = "") -> str:
        """What one call of the runtime prints, with `given` on its standard input. Raises AssertionError with
        what it said where it fails."""
        done = subprocess.run(
            [*self.command, *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd=tempfile.gettempdir(),  # where some runtimes leave a file of a container that ran out of memory
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0 or not check, f"{shlex.join([*self.command, *arguments])}\n{said[-3000:]}"
        return said if arguments[0] == "logs" else done.stdout.strip()

    def run(self, name: str, image: str, command: Sequence[str], *options: str) -> None:
        """Start a container in the background. `options`: those of `run`."""
        self.started.add(name)
        self("run", "--detach", "--name", name, *options, images.tag(image), *command)

    def once(self, image: str, command: Sequence[str]) -> str:
        """What a command prints in a container of its own."""
        return self("run", "--rm", images.tag(image), *command)

    def running(self, name: str) -> bool:
        """Whether it has not ended."""
        return self("inspect", "--format", "{{.State.Running}}", name, check=False) == "true"

    def logs(self, name: str) -> str:
        """All that it said."""
        return self("logs", name, check=False)

    def remove(self, name: str) -> None:
        """End it at once, as a host that is lost."""
        self("rm", "--force", "--time", "0", name, check=False) if self._podman() else self("rm", "--force", name)
        self.started.discard(name)

    def _podman(self) -> bool:
        return "podman" in self("--version").lower()

    @contextmanager
    def closed_network(self) -> Iterator[str]:
        """A network from which nothing else is reached, not even this machine."""
        name = f"{_NAME}-inner"
        self("network", "rm", "--force", name, check=False)
        self("network", "create", "--internal", "--subnet", f"{INNER}.0/24", name)
        try:
            yield name
        finally:
            self("network", "rm", "--force", name, check=False)

    @contextmanager
    def network(self) -> Iterator[str]:
        """The network's name; its gateway is an address of this machine. It goes with all that was started on it."""
        with FileLock(Path(tempfile.gettempdir(), f"{_NAME}.lock")):  # its addresses are the machine's: one at a time
            yield from self._network()

    def _network(self) -> Iterator[str]:
        self("network", "rm", "--force", _NAME, check=False)
        self("network", "create", "--subnet", f"{NETWORK}.0/24", "--gateway", GATEWAY, _NAME)
        try:
            # Some runtimes give the machine the gateway's address only when the first container comes.
            self.run(f"{_NAME}-anchor", "cluster", _PAUSE, "--network", _NAME, "--ip", ANCHOR)
            yield _NAME
        finally:
            for name in list(self.started):
                self.remove(name)
            self("network", "rm", "--force", _NAME, check=False)


def found() -> Containers | str:
    """The runtime with both images at hand, or what is missing, as a sentence."""
    named = os.environ.get("BREAKEVEN_CONTAINERS")
    tools = [named] if named else [name for name in ("docker", "podman") if shutil.which(name)]
    why = "found no docker and no podman on PATH: install one, or name a command in BREAKEVEN_CONTAINERS"
    for tool in tools:
        runtime = Containers(shlex.split(tool))
        try:
            for image in images.IMAGES:
                runtime("image", "inspect", images.tag(image))
            return runtime
        except (AssertionError, OSError) as error:
            why = f"{tool} has no images of this checkout, run `make images`: {str(error)[-200:].strip()}"
    return why


def write(path: Path, text: str) -> Path:
    """A program of a test's own."""
    path.write_text(text)
    path.chmod(0o755)
    return path
