"""Whatever an engine does, each sample ends as a row in time, the next engine runs, and nothing wrong is a success."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bench import engines, rows, samples
from bench.dataset import Dataset
from bench.engines import Sessions
from bench.progress import progress
from bench.readers.ingest import Ingest, Outcome
from bench.rows import Row
from bench.runner import Run
from bench.sessions.session import Fleet, LeftRunning, SessionError
from bench.verdict import conclude, reasons
from plan.outputs import ClusterOutputs, Outputs
from tasks.answer import Answer, Query
from tasks.objects import Access
from tasks.records import BadData
from tasks.trace import Trace

TRUTH = Answer(rows=3)
LIMIT_MIB = 4096


def _cluster(engine: Any) -> ClusterOutputs:
    return ClusterOutputs(engine=engine, platform="local", nodes=1, slots_per_node=1, limit_mib=LIMIT_MIB)


class Engine:
    """A session whose every step can be made to fail or to hang."""

    keeps_workers, platform = True, "local"
    made = 0

    def __init__(self, name: str, faults: dict[str, Callable[[], object]]):
        self.engine, self._faults = name, faults
        self._do("open")
        Engine.made += 1
        self.worker = f"{name} {Engine.made}"

    def _do(self, step: str) -> None:
        self._faults.get(f"{self.engine} {step}", lambda: None)()

    def fleet(self) -> Fleet:
        return Fleet(1, 1.0, LIMIT_MIB)

    def recycle(self) -> None:
        Engine.made += 1
        self.worker = f"{self.engine} {Engine.made}"

    def cancel(self) -> None:
        self._do("cancel")

    def close(self) -> None:
        self._do("close")

    def read(self, seen_mib: int = LIMIT_MIB, answer: Answer = TRUTH) -> Outcome:
        self._do("read")
        return Outcome(answer, [Trace(self.worker, 1, time.time(), time.time(), seen_mib, "nanny")])


Faults = dict[str, Callable[[], object]]


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """What goes wrong, by engine and step; empty at first."""
    found: Faults = {}
    monkeypatch.setattr(Sessions, "_start", lambda self, name: Engine(name, found))
    monkeypatch.setattr(Sessions, "_check_code", lambda self, name, session: None)
    monkeypatch.setattr(engines, "CLOSE_S", 0.2)
    monkeypatch.setattr(engines, "PAUSE_S", 0.0)
    return found


@pytest.fixture
def opened(faults: Faults) -> Iterator[Sessions]:
    clusters = {"ray": _cluster("ray"), "dask": _cluster("dask")}
    out = Outputs(stack="dev", program="embedded", region="r", worker_memory_mib=4096, worker_vcpu=1, clusters=clusters)
    with Sessions(out, Access(), {}) as sessions:
        yield sessions


def taken(
    sessions: Sessions, folder: Path, labels: list[str], repeats: int = 1, cold: int = 0, **reads: Any
) -> tuple[list[Row], list[samples.Sample]]:
    """The rows of a command's samples, and its plan."""
    job = Ingest(Access(), Dataset("s3://data/a", (), ("x",), Query(), TRUTH), None, 4096)
    readers = {label: reads.get(label, lambda opened, job, spans: opened[0].read()) for label in labels}
    run = Run(
        sessions, job, TRUTH, readers, "ranges", [(label, label) for label in labels], folder, False, 0.5, "ingest"
    )
    plan = samples.plan([(label, label) for label in labels], repeats, cold)
    with progress(len(plan)) as report:
        run.take(plan, report)
    assert list(rows.read(run.path)) == run.rows
    return run.rows, plan


def hang() -> None:
    """As an engine's own loop that takes an interrupt for a failed try, and tries again."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with suppress(Exception):
            time.sleep(20)


def told(found: list[Row], label: str) -> list[tuple[str, str | None]]:
    return [(row.status, row.failure and row.failure.kind) for row in found if row.label == label]


@pytest.mark.parametrize("step", ["open", "read", "cancel", "close"])
def test_a_sample_ends_in_time_whatever_its_engine_hangs_in(
    opened: Sessions, faults: Faults, step: str, tmp_path: Path
) -> None:
    faults[f"ray {step}"] = hang
    if step in ("cancel", "close"):  # which follow a failure
        faults["ray read"] = lambda: 1 / 0
    began = time.monotonic()
    found, plan = taken(opened, tmp_path, ["ray", "dask"], repeats=0, cold=1)
    assert time.monotonic() - began < 10
    assert told(found, "ray") == [("failed", "deadline" if step in ("open", "read") else "engine")]
    assert told(found, "dask") == [("ok", None)]
    assert len(reasons(found, plan)) == 1


def test_an_alarm_that_is_swallowed_rings_again(opened: Sessions, faults: Faults, tmp_path: Path) -> None:
    heard: list[BaseException] = []

    def deaf() -> None:
        try:
            time.sleep(20)
        except BaseException as error:
            heard.append(error)
        time.sleep(20)

    faults["ray read"] = deaf
    found, _ = taken(opened, tmp_path, ["ray", "dask"], repeats=0, cold=1)
    assert heard
    assert told(found, "ray") == [("failed", "deadline")]


def test_judging_that_fails_is_a_row_and_the_next_engine_runs(opened: Sessions, tmp_path: Path) -> None:
    """An outcome without a trace has no worker to judge."""
    found, plan = taken(opened, tmp_path, ["ray", "dask"], repeats=0, cold=1, ray=lambda *_: Outcome(TRUTH, []))
    assert told(found, "ray") == [("failed", "engine")]
    assert told(found, "dask") == [("ok", None)]
    with pytest.raises(SystemExit) as ended:
        conclude(found, plan)
    assert ended.value.code == 1


def test_a_wrong_answer_is_wrong_whatever_memory_its_workers_saw(opened: Sessions, tmp_path: Path) -> None:
    def read(session: Any, job: Any, spans: Any) -> Outcome:
        found: Outcome = session[0].read(1024, Answer(rows=2))
        return found

    found, _ = taken(opened, tmp_path, ["ray"], repeats=0, cold=1, ray=read)
    assert told(found, "ray") == [("failed", "wrong-answer")]


def test_samples_that_were_all_dropped_are_no_success(
    opened: Sessions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, plan = taken(
        opened, tmp_path, ["ray", "dask"], repeats=2, ray=lambda session, job, spans: session[0].read(1024)
    )
    assert {row.status for row in found if row.label == "ray"} == {"dropped"}
    with pytest.raises(SystemExit) as ended:
        conclude(found, plan)
    assert ended.value.code == 1
    assert (
        "ray warm: no valid sample, 2 of 2 do not count: dropped, unequal: ray: a worker sees"
        in capsys.readouterr().err
    )


def test_a_sample_that_was_never_taken_is_no_success(opened: Sessions, tmp_path: Path) -> None:
    found, plan = taken(opened, tmp_path, ["dask"], repeats=1)
    assert reasons(found, plan) == []
    assert reasons(found, [*plan, samples.Sample("ray", "ray", "warm", 0)]) == ["ray warm: was not taken"]


@pytest.mark.parametrize("pair", [("pandas", "arrow"), ("ray", "ray+lithops")])
def test_an_engine_that_fails_costs_another_no_sample(opened: Sessions, pair: tuple[str, str], tmp_path: Path) -> None:
    """A hybrid's failure ends its cluster's workers: the cluster alone is warmed anew."""
    fine, bad = pair

    def fail(*_: Any) -> Outcome:
        raise BadData("a record is too long", "s3://b/k", 0, "x")

    found, plan = taken(opened, tmp_path, [fine, bad], repeats=2, **{bad: fail})
    warm = [row for row in found if row.condition == "warm"]
    assert told(warm, fine) == [("ok", None)] * 2
    assert told(warm, bad) == [("failed", "bad-data")] * 2
    assert all(reason.startswith(bad) for reason in reasons(found, plan))


def test_a_failure_names_no_key(opened: Sessions, tmp_path: Path) -> None:
    told = {"endpoint_url": "http://127.0.0.1:1", "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE"}
    told["aws_secret_access_key"] = "wJalrXUtnFEMI/K7MDENG"

    def fail(*_: Any) -> Outcome:
        raise RuntimeError(f"could not connect: {told}")

    found, _ = taken(opened, tmp_path, ["ray"], repeats=0, cold=1, ray=fail)
    (row,) = found
    assert row.failure
    assert "127.0.0.1" in row.failure.message
    assert "AKIAIOSFODNN7EXAMPLE" not in row.model_dump_json()
    assert "wJalrXUtnFEMI" not in row.model_dump_json()


class Pods(Engine):
    """A session that brings its pods to zero as it closes."""

    platform = "eks"


@pytest.mark.parametrize(("failures", "left"), [(2, False), (9, True)])
def test_pods_that_do_not_go_are_loud_tried_again_rows_and_the_exit(
    faults: Faults, monkeypatch: pytest.MonkeyPatch, failures: int, left: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Sessions, "_start", lambda self, name: Pods(name, faults))
    tries: list[str] = []

    def refuse() -> None:
        tries.append("close")
        if len(tries) <= failures:
            raise SessionError("50 pods are left")

    faults["ray close"] = refuse
    noted: list[tuple[str, str | None]] = []
    out = Outputs(stack="k8s-50", program="bench", region="r", worker_memory_mib=4096, worker_vcpu=1)
    sessions = Sessions(out, Access(), {}).__enter__()
    sessions.on_down = lambda name, seconds, why: noted.append((name, why))
    sessions.of("ray")
    if left:
        with pytest.raises(LeftRunning, match="ray: not at zero: SessionError: 50 pods are left"):
            sessions.__exit__(None, None, None)
    else:
        sessions.__exit__(None, None, None)
    assert len(tries) == 3
    assert [(name, why is None) for name, why in noted] == [("ray", not left)]
    assert "50 pods are left (try 1 of 3)" in capsys.readouterr().err


def test_one_cluster_that_does_not_go_spares_no_other(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sessions, "_start", lambda self, name: Pods(name, faults))
    gone: list[str] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    faults |= {"ray close": interrupted, "dask close": lambda: gone.append("dask")}
    out = Outputs(stack="k8s-50", program="bench", region="r", worker_memory_mib=4096, worker_vcpu=1)
    sessions = Sessions(out, Access(), {}).__enter__()
    sessions._session("ray")
    sessions._session("dask")
    with pytest.raises(KeyboardInterrupt):
        sessions.__exit__(None, None, None)
    assert gone == ["dask"]
