"""An engine killed at ten moments of `up` and of `destroy`: `ops.recover` ends with a stack, or with nothing."""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import boto3
import psutil
import pytest

from ops.left import left
from tests.engine.conftest import Engine

pytestmark = [pytest.mark.engine, pytest.mark.slow_engine]

STACK = "bench-32"
# How many of its hundred resources are done when the engine is killed, and how the recovery is to end.
MOMENTS = [
    ("up", 8, "nothing"),
    ("up", 25, "up"),
    ("up", 45, "nothing"),
    ("up", 62, "up"),
    ("up", 86, "nothing"),
    ("destroy", 5, "up"),
    ("destroy", 20, "nothing"),
    ("destroy", 45, "up"),
    ("destroy", 70, "nothing"),
    ("destroy", 90, "up"),
]


@pytest.mark.parametrize(("verb", "done", "to"), MOMENTS)
def test_a_killed_engine_is_recovered_from(
    described_base: Engine, cloud: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, done: int, to: str
) -> None:
    engine = described_base
    for key, value in {"AWS_ENDPOINT_URL": cloud, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}.items():
        monkeypatch.setenv(key, value)
    session = boto3.Session(region_name="us-east-1")
    if not session.client("s3").list_buckets()["Buckets"]:
        session.client("s3").create_bucket(Bucket="working")
    engine.init(STACK)
    if verb == "destroy":
        engine.run("up", "-s", STACK, "--yes", "--skip-preview")
    _kill(engine, verb, done, tmp_path / "events.log")
    if verb == "up" or done < 50:
        assert left(session, STACK), "it was killed after something was made, and before all was gone"
    recovered = subprocess.run(
        [sys.executable, "-m", "ops.recover", "--stack", STACK, "--to", to],
        cwd=engine.project,
        env={**engine.environment, "BREAKEVEN_ROOT": str(engine.project), "PYTHONPATH": str(engine.project)},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert recovered.returncode == 0, recovered.stdout[-4000:] + recovered.stderr[-2000:]
    if to == "up":
        assert engine.preview(STACK) == {}
        engine.run("destroy", "-s", STACK, "--yes", "--skip-preview")
    assert left(session, STACK) == []


def _kill(engine: Engine, verb: str, done: int, log: Path) -> None:
    """Run the engine until it has done so many resources; then kill it with its plugins, before it can put away."""
    process = subprocess.Popen(
        ["pulumi", verb, "-s", STACK, "--yes", "--skip-preview", "--non-interactive", "--event-log", str(log)],
        cwd=engine.project,
        env={**engine.environment, "PULUMI_DEBUG_COMMANDS": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + 900
    while process.poll() is None and time.monotonic() < until:
        if log.exists() and log.read_text().count('"resOutputsEvent"') >= done:
            # Plugins have process groups of their own.
            for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            break
        time.sleep(0.05)
    assert process.wait() == -signal.SIGKILL, f"{verb} ended by itself before {done} resources were done"
