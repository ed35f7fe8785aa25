"""One autoscaling run: many small items on an engine, whose workers are watched until they are few again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.failures import Deadline
from bench.scaling import Step, Times, areas, times
from bench.scaling_watch import Look, Recorder, looker
from bench.sessions.session import Done, Session
from plan.outputs import ClusterOutputs

EVERY_S = 0.5


@dataclass(frozen=True)
class Bounds:
    """Workers between which an engine moves; equal: nothing moves it. `slots`: workers of a node."""

    least: int
    most: int
    slots: int = 1

    @property
    def moves(self) -> bool:
        """Whether an autoscaler is expected to."""
        return self.least < self.most


@dataclass(frozen=True)
class Ran:
    """One run. `results` in the order of the items. `run_s`: from submission until the driver had the last result."""

    run_s: float
    results: list[Any]
    done: list[Done]
    steps: list[Step]
    times: Times
    under_worker_s: float
    over_worker_s: float
    settled: bool
    """Whether the workers were at the least again before the watch ended."""


def bounds(cluster: ClusterOutputs | None, workers: int) -> Bounds:
    """An engine's bounds: of its autoscaler where it has one, else `workers`, which stay."""
    if cluster is None or cluster.autoscale is None:
        return Bounds(workers, workers, cluster.slots_per_node if cluster else 1)
    slots, scale = cluster.slots_per_node, cluster.autoscale
    return Bounds(max(1, -(-scale.min_workers // slots)) * slots, cluster.nodes * slots, slots)


def chunks(items: Sequence[str], size: int) -> list[list[str]]:
    """The items in calls of `size`."""
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def run(
    session: Session, call: Callable[..., list[Any]], access: Any, calls: Sequence[list[str]], *,
    limits: Bounds, after: Sequence[str] = (), settle_s: float = 0.0,
) -> Ran:  # fmt: skip
    """Do `call(access, items)` for every list of items, then `after` in one call each, which provokes the shrinking,
    then watch until `limits.least` workers are left, `settle_s` at most. Raises what the engine raises."""
    look = looker(session, limits.slots) if session.engine != "lithops" else lambda: Look(0)
    items = sum(len(one) for one in calls)
    done: list[Done] = []
    with Recorder(look, items, limits.least, limits.most, EVERY_S) as recorder:
        for one in session.stream(call, [(access, names) for names in calls]):
            done.append(one)
            recorder.done += len(one.result)
        run_s = recorder.now_s
        list(session.stream(call, [(access, [name]) for name in after]))
        settled = not limits.moves or _settle(recorder, limits.least, settle_s)
    steps = recorder.steps(done)
    if session.engine == "lithops":  # a function is there while it works: what the platform bills, and all it tells
        steps = [Step(s.at_s, s.wanted, s.busy, s.busy, s.done) for s in steps if s.at_s <= run_s]
    ordered = sorted(done, key=lambda one: one.index)
    results = [result for one in ordered for result in one.result]
    found = times(steps, limits.most, limits.least, run_s)
    return Ran(run_s, results, done, steps, found, *areas(steps), settled)


def _settle(recorder: Recorder, least: int, settle_s: float) -> bool:
    until = time.monotonic() + settle_s
    while time.monotonic() < until:
        last = recorder.last
        if last.at_s > 0 and last.ready <= least and not last.leaving and not last.starting:
            return True
        time.sleep(EVERY_S)
    return False


def unsettled(ran: Ran, limits: Bounds) -> Deadline:
    """What to say of workers that did not go."""
    return Deadline(f"{ran.steps[-1].ready} workers are left, wanted {limits.least}; the idle time-out decides when")
