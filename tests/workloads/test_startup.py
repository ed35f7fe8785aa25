"""Cluster loading as a user runs it: every worker has run a task, phases sum, and the stack is left as declared."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import rows
from plan.outputs import Outputs
from tests.conftest import embedded

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPT = str(CHECKOUT / "workloads" / "startup.py")


def read(folder: Path) -> list[rows.Row]:
    found = [row for path in folder.rglob("*.jsonl") for row in rows.read(path)]
    assert all(isinstance(row, rows.Row) for row in found)
    return [row for row in found if isinstance(row, rows.Row)]


def nodes(root: Path, cluster: str) -> list[str]:
    """Nodes of a cluster that are up, by the stack's own word."""
    lines = [line.split() for line in embedded("status", root).stdout.splitlines()]
    return [name for name, health, *_ in lines if name.startswith(f"{cluster}-node-") and health == "up"]


@pytest.mark.slow
def test_loading_waits_for_every_worker_and_leaves_the_declared_nodes(
    dev_stack: Outputs, stack_root: Path, tmp_path: Path
) -> None:
    options = ["--engines", "dask,lithops", "--workers", "2", "--slots", "1,2", "--repeats", "1"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *options], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = read(tmp_path)
    assert [row.label for row in found if row.metric == "smoke_s"] == ["dask", "lithops"]
    loaded = [row for row in found if row.metric == "startup_all_s"]
    assert [(row.label, row.parameters["nodes"]) for row in loaded] == [("dask", 2), ("dask", 1), ("lithops", 2)]
    for row in loaded:
        assert row.workers
        assert len(set(row.workers.pids)) == 2, "a worker that ran no task was counted"
        assert sum(row.phases.values()) == pytest.approx(row.value)
        assert 0 < float(row.parameters["process_s"] or 0) < (row.value or 0)
    assert {"request", "engine", "first task"} <= set(loaded[0].phases)
    assert nodes(stack_root, "dask") == ["dask-node-0"]


@pytest.mark.slow
def test_workers_that_never_come_are_a_typed_row(dev_stack: Outputs, stack_root: Path, tmp_path: Path) -> None:
    options = ["--engines", "dask", "--workers", "2", "--repeats", "1", "--timeout", "0.5"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *options], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    (row,) = [row for row in read(tmp_path) if row.metric == "startup_all_s"]
    assert row.failure
    assert row.failure.kind == "deadline"
    assert nodes(stack_root, "dask") == ["dask-node-0"]


@pytest.mark.slow
def test_ctrl_c_while_scaling_leaves_the_declared_nodes(dev_stack: Outputs, stack_root: Path, tmp_path: Path) -> None:
    options = ["--engines", "dask", "--workers", "4", "--repeats", "1"]
    process = subprocess.Popen([sys.executable, SCRIPT, *options], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    state = stack_root / ".breakeven" / "dev" / "state.json"
    until = time.monotonic() + 60
    while "dask-node-3" not in state.read_text():
        assert time.monotonic() < until, "four nodes were never asked for"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.stderr.read()
    assert process.wait(timeout=60) == 130
    (row,) = [row for row in read(tmp_path) if row.metric == "startup_all_s"]
    assert row.failure
    assert row.failure.kind == "interrupted"
    assert nodes(stack_root, "dask") == ["dask-node-0"]
    assert "dask-node-1" not in state.read_text()


def test_a_wrong_number_is_told(dev_stack: Outputs, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--workers", "1,none"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 2
    assert "wanted whole numbers" in done.stderr
