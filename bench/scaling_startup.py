"""Cluster loading: from the create command until every worker has run a task, split as far as the platform tells."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bench.failures import Deadline
from bench.sessions.kubernetes_pods import PodTimes
from bench.sessions.session import Cancelled, Session, SessionError
from tasks.startup import Up, up
from tasks.trace import Trace, traced

HOLD_S = 0.1
_LOOK_S = 0.05
_END_S = 60.0


@dataclass(frozen=True)
class Loaded:
    """One worker's first task. Seconds from the create command; `phases` sum to `ran_s`, on this driver's clock.

    process_s: until this worker's own process was there, by its clock; before it joined on Dask, after it on Ray.
    """

    worker: str
    process_s: float | None
    joined_s: float | None
    ran_s: float
    phases: dict[str, float]
    trace: Trace


def phases(began_at: float, joined_at: float | None, told: Up, ran_at: float) -> dict[str, float]:
    """Where the time until a worker's first task went. Instants in epoch seconds.

    machine: until the machine boots, where it does after the command. request: until the node's first process is there
    (boot, where the machine boots). engine: until the node has joined. first task: until its answer. An instant that
    the platform does not tell, or that another clock puts out of order, makes two phases one.
    """
    marks = [("machine", told.host_at if told.host_at and told.host_at > began_at else None)]
    marks.append(("boot" if marks[0][1] else "request", told.node_at))
    marks += [("engine", joined_at), ("first task", ran_at)]
    found, before = {}, began_at
    for name, at in marks:
        if at is not None and before <= at <= ran_at:
            found[name] = at - before
            before = at
    return found


def of_pods(times: Sequence[PodTimes]) -> dict[str, str | float]:
    """What Kubernetes tells of the workers' pods: medians from step to step, and whether nodes had the image."""
    spans: dict[str, list[float]] = {}
    for one in times:
        for name, seconds in one.spans_s().items():
            spans.setdefault(f"pod_{name}_s", []).append(seconds)
    there = {one.image_was_there for one in times if one.image_was_there is not None}
    found: dict[str, str | float] = {name: statistics.median(values) for name, values in spans.items()}
    if there:
        found["image"] = "warm: on the nodes before" if there == {True} else "cold: pulled by a node"
    return found


def load(session: Session, nodes: int, slots: int, deadline_s: float) -> list[Loaded]:
    """Give the create command for `nodes` of `slots` on a cluster at none, and return its workers by their first task.

    Raises Deadline where they are not all there in time, and what `scale` raises.
    """
    if session.engine == "lithops":  # its functions start with the first call, which is the command
        session.scale(nodes * slots)
    began_at = time.time()
    create = _Command(lambda cancelled: None if session.engine == "lithops" else session.scale(nodes, slots, cancelled))
    first: dict[str, Loaded] = {}
    try:
        probe = PROBES[session.engine](session, nodes * slots)
        while len(first) < nodes * slots:
            for joined_at, told, trace, ran_at in probe.look():
                if trace.worker not in first:
                    joined_s = joined_at - began_at if joined_at else None
                    split = phases(began_at, joined_at, told, ran_at)
                    process_s = told.worker_at - began_at if told.worker_at else None
                    first[trace.worker] = Loaded(trace.worker, process_s, joined_s, ran_at - began_at, split, trace)
            create.check()
            if time.time() - began_at > deadline_s:
                raise Deadline(f"{len(first)} of {nodes * slots} workers have run a task after {deadline_s:g} s")
            time.sleep(_LOOK_S)
        create.finish()
    finally:
        create.end()
    return sorted(first.values(), key=lambda one: one.ran_s)


class _Command:
    """The create command in a thread of its own, so that workers are met while others are still starting."""

    def __init__(self, work: Callable[[Cancelled], None]):
        self._error: BaseException | None = None
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[Cancelled], None]) -> None:
        try:
            work(self._cancel.is_set)
        except BaseException as error:  # raised again where it is waited for
            self._error = error

    def check(self) -> None:
        if self._error:
            raise self._error

    def finish(self) -> None:
        self._thread.join()
        self.check()

    def end(self) -> None:
        """Cancel it where it still goes on, and wait: what follows scales the same nodes, and must be alone in that.

        Raises SessionError where it does not end.
        """
        self._cancel.set()
        self._thread.join(_END_S)
        if self._thread.is_alive():
            raise SessionError(f"the create command did not end {_END_S:.0f} s after it was cancelled")


Probed = Iterator[tuple[float | None, Up, Trace, float]]
"""When the worker joined, what it tells, who it is, and when its answer was here."""


class _Probe(Protocol):
    """Sees who has joined, gives each a task, and tells of the answers that have come since the last look."""

    def look(self) -> Probed: ...


class _RayProbe:
    """As many tasks as slots to each node that joins, until each of its workers has answered."""

    def __init__(self, session: Session, workers: int):
        self._joined: dict[str, tuple[float, int]] = {}
        self._met: dict[str, set[str]] = {}
        self._running: dict[Any, str] = {}

    def look(self) -> Probed:
        import ray  # noqa: PLC0415  only where Ray is what is loaded
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415

        for node in ray.nodes():
            slots = int(node["Resources"].get("CPU", 0))
            if node["Alive"] and slots and node["NodeID"] not in self._joined:
                self._joined[node["NodeID"]] = (time.time(), slots)
                self._met[node["NodeID"]] = set()
        for node_id, (_, slots) in self._joined.items():
            missing = slots - len(self._met[node_id])
            while missing and list(self._running.values()).count(node_id) < missing:
                there = NodeAffinitySchedulingStrategy(node_id, soft=False)
                task = ray.remote(num_cpus=1, scheduling_strategy=there)(traced)
                self._running[task.remote((up, (HOLD_S,)))] = node_id
        ready, _ = (
            ray.wait(list(self._running), num_returns=len(self._running), timeout=0) if self._running else ([], [])
        )
        for reference in ready:
            node_id = self._running.pop(reference)
            told, trace = ray.get(reference)
            self._met[node_id].add(trace.worker)
            yield self._joined[node_id][0], told, trace, time.time()


class _DaskProbe:
    """One task to each worker that joins."""

    def __init__(self, session: Session, workers: int):
        from distributed import default_client  # noqa: PLC0415  only where Dask is what is loaded

        self._client = default_client()
        self._running: dict[str, tuple[float, Any]] = {}

    def look(self) -> Probed:
        for address in self._client.scheduler_info(n_workers=-1)["workers"]:
            if address not in self._running:
                future = self._client.submit(
                    traced, (up, (HOLD_S,)), workers=[address], allow_other_workers=False, pure=False
                )
                self._running[address] = (time.time(), future)
        for joined_at, future in self._running.values():
            if future.done():
                told, trace = future.result()
                yield joined_at, told, trace, time.time()


class _PoolProbe:
    """As many calls as functions, again while some function has answered twice and another not at all."""

    def __init__(self, session: Session, workers: int):
        self._session, self._workers = session, workers

    def look(self) -> Probed:
        for done in self._session.stream(up, [(HOLD_S * 5,)] * self._workers):
            yield None, done.result, done.trace, time.time()


PROBES: dict[str, Callable[[Session, int], _Probe]] = {"ray": _RayProbe, "dask": _DaskProbe, "lithops": _PoolProbe}
