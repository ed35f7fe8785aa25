"""Autoscaling as a user runs it: clusters grow and shrink, no work is lost, and every fault has its row."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from bench import images, rows, stack
from bench.engines import Sessions
from bench.scaling_watch import Recorder, looker
from plan.outputs import Outputs
from tasks.palette import checksum, extract, extract_all
from tests.conftest import CHECKOUT, embedded

pytestmark = pytest.mark.slow

SCRIPT = str(CHECKOUT / "workloads" / "palette.py")
NAME = "quick-autoscale"
PHOTOGRAPHS = ("rocket.jpg", "coins.png", "chelsea.png")


@pytest.fixture(scope="module")
def scaling_stack(stack_root: Path) -> Iterator[Outputs]:
    """`dev-autoscale`, up, but idle workers go sooner: one worker of each engine, up to four."""
    text = (CHECKOUT / "Pulumi.dev-autoscale.yaml").read_text()
    assert "idleTimeoutS: 10" in text
    (stack_root / f"Pulumi.{NAME}.yaml").write_text(text.replace("idleTimeoutS: 10", "idleTimeoutS: 5"))
    up = embedded("up", stack_root, "--stack", NAME)
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        yield Outputs.model_validate_json((stack_root / ".breakeven" / NAME / "outputs.json").read_text())
    finally:
        down = embedded("down", stack_root, "--stack", NAME, "--data", "drop")
    assert down.returncode == 0, down.stdout + down.stderr


@pytest.fixture
def sessions(scaling_stack: Outputs) -> Iterator[Sessions]:
    with Sessions(scaling_stack, stack.access(scaling_stack), {}) as opened:
        yield opened


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for path in images.sources(None).files.values():
        if path.name in PHOTOGRAPHS:
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def run(folder: Path, *options: str, where: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, "--stack", NAME, "--images", str(folder), "--repeats", "0", *options]
    return subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=240, check=False)


def read(folder: Path) -> list[rows.Row]:
    found = [row for path in folder.rglob("*.jsonl") for row in rows.read(path)]
    return [row for row in found if isinstance(row, rows.Row)]


def until(what: str, true: Callable[[], bool], deadline_s: float = 90.0) -> None:
    end = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.1)


def nodes(root: Path, engine: str) -> list[str]:
    """Nodes in the stack's state, whatever their health."""
    lines = embedded("status", root, "--stack", NAME).stdout.splitlines()
    return [line.split()[0] for line in lines if line.startswith(f"{engine}-node-")]


def alone(root: Path, engine: str) -> None:
    until(f"{engine} back at one node", lambda: len(nodes(root, engine)) == 1)


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_no_work_is_lost_or_done_twice_when_workers_leave_during_a_task(
    scaling_stack: Outputs, sessions: Sessions, stack_root: Path, engine: str, tmp_path: Path
) -> None:
    """Twelve short tasks bring workers; one long task outlives them, while idle ones are sent away."""
    (session,) = sessions.of(engine)
    told, seen = tmp_path / "told", tmp_path / "seen"
    short = "sleep 2"
    long = f"for i in $(seq 600); do [ -e {seen} ] && exit; sleep 0.2; done"  # until a worker was seen to leave
    tasks = [f"echo {number} >> {told}; {short if number else long}" for number in range(12)]
    look = looker(session, slots=1)
    stream = session.stream(subprocess.run, [(["sh", "-c", task],) for task in tasks])
    with Recorder(look, len(tasks), 1, 4, 0.3) as recorder:
        watch = threading.Thread(target=lambda: (until("a worker leaves", recorder.shrunk, 110), seen.touch()))
        watch.start()
        done = list(stream)
    watch.join()
    steps = recorder.steps(done)
    most = max(step.ready for step in steps)
    starting = any(step.starting for step in steps)
    assert recorder.shrunk(), "no worker was sent away during the long task: nothing was tested"
    assert sorted(one.index for one in done) == list(range(12))
    assert all(one.result.returncode == 0 for one in done)
    assert sorted(int(line) for line in told.read_text().split()) == list(range(12))
    assert most > 1
    assert starting, "the autoscaler does not tell what it starts"


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_palettes_are_right_though_a_node_dies_while_scaling(
    scaling_stack: Outputs, sessions: Sessions, stack_root: Path, photographs: Path, engine: str
) -> None:
    assert scaling_stack.data_bucket
    found = images.upload(sessions.access, scaling_stack.data_bucket, images.sources(photographs).files, "fault")
    work = found.work(100)
    truth = checksum([extract(sessions.access, uri) for uri in work])
    (session,) = sessions.of(engine)
    results: list[tuple[int, list[object]]] = []
    killed = 0
    for one in session.stream(extract_all, [(sessions.access, [uri]) for uri in work]):
        results.append((one.index, one.result))
        if not killed and len(nodes_quickly(stack_root, engine)) > 1:
            killed = kill_node(stack_root, engine)
    assert killed, "the cluster did not grow: nothing was tested"
    assert checksum([palette for _, found in sorted(results, key=lambda r: r[0]) for palette in found]) == truth


def nodes_quickly(root: Path, engine: str) -> list[str]:
    parts = json.loads((root / ".breakeven" / NAME / "state.json").read_text())["parts"]
    return [name for name, part in parts.items() if name.startswith(f"{engine}-node-") and part["ready"]]


def kill_node(root: Path, engine: str) -> int:
    """Kills a node's first process and all below it, as a machine's end would."""
    name = nodes_quickly(root, engine)[0]
    record = json.loads((root / ".breakeven" / NAME / "state.json").read_text())["parts"][name]
    first = psutil.Process(record["identity"]["pid"])
    for process in [first, *first.children(recursive=True)]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    return first.pid


@pytest.mark.parametrize("engine", ["dask"])
def test_a_cluster_grows_and_shrinks_and_says_when(
    scaling_stack: Outputs, stack_root: Path, photographs: Path, engine: str, tmp_path: Path
) -> None:
    done = run(photographs, "--engines", engine, "--count", "200", "--after", "4", where=tmp_path)
    found = read(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr + str([r.failure for r in found if r.failure])
    value = {row.metric: row.value for row in found if row.value is not None}
    assert value["first_extra_s"] <= value["to_max_s"] <= value["run_s"]
    assert value["to_min_s"] > 0
    assert value["under_worker_s"] > 0
    assert value["over_worker_s"] > 0
    series = [row for row in found if row.metric == "workers_at"]
    assert max(row.value or 0 for row in series) == 4
    assert series[-1].value == 1
    assert max(int(row.parameters.get("starting") or 0) for row in series) > 0
    assert max(int(row.parameters["busy"] or 0) for row in series) > 1


def test_a_maximum_that_is_never_reached_is_a_typed_row(
    scaling_stack: Outputs, stack_root: Path, photographs: Path, tmp_path: Path
) -> None:
    """Nodes can't start, as where a quota ends: the one worker does all the work."""
    alone(stack_root, "dask")
    free = [f"dask-node-{n}" for n in range(5) if f"dask-node-{n}" not in nodes(stack_root, "dask")]
    locks = [FileLock(stack_root / ".breakeven" / NAME / "locks" / f"part-{name}", mode=0o600) for name in free]
    for lock in locks:
        lock.acquire(timeout=10)
    try:
        done = run(photographs, "--engines", "dask", "--count", "60", "--settle", "1", "--after", "0", where=tmp_path)
    finally:
        for lock in locks:
            lock.release()
    assert done.returncode == 1, done.stdout + done.stderr
    found = {row.metric: row for row in read(tmp_path)}
    assert found["run_s"].status == "ok"
    failure = found["to_max_s"].failure
    assert failure
    assert failure.kind == "deadline"
    assert "1 of 4 workers" in failure.message


def test_a_poisoned_image_of_a_folder_is_a_row_that_names_it(
    scaling_stack: Outputs, photographs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "good.jpg").write_bytes((photographs / "rocket.jpg").read_bytes())
    (folder / "torn.jpg").write_bytes((photographs / "rocket.jpg").read_bytes()[:3000])
    done = run(folder, "--engines", "lithops", "--count", "10", "--function-chunk", "5", where=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    found = {row.metric: row for row in read(tmp_path)}
    assert found["run_s"].status == "ok"
    assert found["run_s"].parameters["chunk"] == 5
    assert found["failed_items"].value == 5
    assert found["failed_items"].failure
    assert "torn.jpg" in found["failed_items"].failure.message


@pytest.mark.parametrize("engine", ["dask"])
def test_ctrl_c_while_scaling_leaves_nothing(
    scaling_stack: Outputs, stack_root: Path, photographs: Path, engine: str, tmp_path: Path
) -> None:
    alone(stack_root, engine)  # what ran before
    state = stack_root / ".breakeven" / NAME / "state.json"
    command = [sys.executable, SCRIPT, "--stack", NAME, "--images", str(photographs), "--engines", engine]
    process = subprocess.Popen(
        [*command, "--count", "5000"], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr
    until("a node that starts", lambda: len(_named(state, engine)) > 1)
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    assert process.wait(timeout=60) == 130, said
    (row,) = [row for row in read(tmp_path) if row.metric == "run_s"]
    assert row.failure
    assert row.failure.kind == "interrupted"
    assert not [
        p for p in psutil.Process(os.getpid()).children(recursive=True) if "palette.py" in " ".join(p.cmdline())
    ]
    alone(stack_root, engine)


def _named(state: Path, engine: str) -> list[str]:
    return [name for name in json.loads(state.read_text())["parts"] if name.startswith(f"{engine}-node-")]
