"""The embedded stack under a real engine: parts as resources, seen, repaired and gone."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from bench.rows import Row
from tests.engine.conftest import NEEDED, ROOT, Engine

pytestmark = pytest.mark.engine

EVERY_ENGINE = {"ray", "dask", "lithops", "ray+lithops", "dask+lithops", "pandas", "arrow"}
# The quick parts alone: what is tried here is how the engine drives the supervisor, not that each part runs.
QUICK = {"program": "embedded", "cache": {"platform": "local"}}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine over the checkout's own code, with stack files, state and processes in a folder of its own."""
    if lacking := [tool for tool in (*NEEDED, "pulumi-resource-pulumi-python") if shutil.which(tool) is None]:
        pytest.skip(f"no `{lacking[0]}` on PATH")
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml", "__main__.py"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "Pulumi.quick.yaml").write_text(yaml.safe_dump({"config": {"breakeven:settings": QUICK}}))
    (tmp_path / "state").mkdir()
    environment = {
        **os.environ,
        "BREAKEVEN_ROOT": str(tmp_path),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    found = Engine(tmp_path, environment)
    yield found
    for stack in found.made:
        found.run("destroy", "-s", stack, "--yes", "--skip-preview")


def _script(engine: Engine, script: str, *options: str) -> None:
    command = [sys.executable, str(ROOT / "workloads" / script), *options]
    done = subprocess.run(command, env=engine.environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{script} exited {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def _processes(root: Path, stack: str) -> dict[str, int]:
    state = json.loads((root / ".breakeven" / stack / "state.json").read_text())
    return {name: part["identity"]["pid"] for name, part in state["parts"].items() if part["identity"]}


def test_a_stack_comes_up_stays_is_repaired_and_goes(engine: Engine) -> None:
    engine.init("quick")
    engine.run("up", "-s", "quick", "--yes", "--skip-preview")
    running = _processes(engine.project, "quick")
    assert set(running) == {"s3", "redis"}
    document = json.loads((engine.project / ".breakeven/quick/outputs.json").read_text())
    assert engine.outputs("quick")["cache"] == document["cache"]
    assert engine.preview("quick") == {}

    os.kill(running["redis"], signal.SIGKILL)
    assert set(engine.preview("quick")) == {"update"}
    engine.run("up", "-s", "quick", "--yes", "--skip-preview")
    repaired = _processes(engine.project, "quick")
    assert repaired["s3"] == running["s3"]
    assert psutil.pid_exists(repaired["redis"])

    engine.run("destroy", "-s", "quick", "--yes", "--skip-preview")
    assert not any(psutil.pid_exists(pid) for pid in repaired.values())
    assert not (engine.project / ".breakeven/quick/outputs.json").exists()


@pytest.mark.slow_engine
def test_a_workload_runs_on_a_stack_that_the_engine_brought_up(engine: Engine) -> None:
    engine.init("dev")
    engine.run("up", "-s", "dev", "--yes", "--skip-preview")
    running = _processes(engine.project, "dev")
    assert {"s3", "redis", "ray", "ray-node-0", "dask", "dask-node-0"} <= set(running)
    assert engine.preview("dev") == {}
    _script(engine, "generate.py", "--stack", "dev", "--gb", "0.02", "--files", "2")
    _script(engine, "ingest.py", "--stack", "dev", "--repeats", "0", "--results", str(engine.project / "results"))
    (written,) = (engine.project / "results" / "dev").glob("*.jsonl")
    rows = [Row.model_validate_json(line) for line in written.read_text().splitlines()]
    assert {row.label for row in rows if row.condition == "cold" and row.status == "ok"} == EVERY_ENGINE
    engine.run("destroy", "-s", "dev", "--yes", "--skip-preview")
    assert not any(psutil.pid_exists(pid) for pid in running.values())
