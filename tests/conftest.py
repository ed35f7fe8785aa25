"""Fixtures that several packages share: an embedded stack, brought up once per run by the project's own command."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from plan.outputs import Outputs

CHECKOUT = Path(__file__).resolve().parents[1]

# Tools that come in pinned wheels (rclone, moto_server) are found as a user of an activated environment finds them:
# `make test` calls the environment's Python without activating it.
os.environ["PATH"] = os.pathsep.join((sysconfig.get_path("scripts"), os.environ["PATH"]))

# A busy machine is no failure: no example is refused for the time it took.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# Programs of stacks import a quarter of a million objects: with Python's thresholds, meant for less, a fifth of their
# tests' time goes to garbage collection. This takes 20 MB more.
gc.set_threshold(100_000, 20, 100)

# A shell has what it starts in the background ignore Ctrl-C, and so would each program that a test starts and ends.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def stack_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the checkout's stack files, named by BREAKEVEN_ROOT: a user's own stack stays as it is.

    Its name holds what shells, Ray and Lithops trip over, so that tests of embedded stacks run where users work.
    """
    root = tmp_path_factory.mktemp("it's ü+(100%) $x")
    for path in CHECKOUT.glob("Pulumi*.yaml"):
        shutil.copy(path, root)
    before = os.environ.get("BREAKEVEN_ROOT")
    os.environ["BREAKEVEN_ROOT"] = str(root)
    yield root
    os.environ.pop("BREAKEVEN_ROOT")
    if before is not None:
        os.environ["BREAKEVEN_ROOT"] = before


def embedded(command: str, root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m stacks.embedded <command>` on the stack files below `root`."""
    return subprocess.run(
        [sys.executable, "-m", "stacks.embedded", command, *options],
        env={**os.environ, "BREAKEVEN_ROOT": str(root)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture(scope="session")
def dev_stack(stack_root: Path) -> Iterator[Outputs]:
    """The `dev` stack, up. Tests that break a part bring it back with `embedded("up", ...)`."""
    up = embedded("up", stack_root)
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        yield Outputs.model_validate_json((stack_root / ".breakeven" / "dev" / "outputs.json").read_text())
    finally:
        down = embedded("down", stack_root, "--data", "drop")
    assert down.returncode == 0, down.stdout + down.stderr
