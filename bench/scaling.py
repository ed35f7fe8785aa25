"""Workers over time: what was wanted, starting, ready, busy and leaving, and the times and areas that follow.

`wanted` is the same for every engine: the workers that the unfinished items could occupy, within the bounds. An area is
in worker-seconds: under-provisioned where fewer were ready than wanted, over-provisioned where more were.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.sessions.session import Done


@dataclass(frozen=True)
class Step:
    """Counts that hold from `at_s` (since the items were submitted) until the next step. None: the platform does not
    tell."""

    at_s: float
    wanted: int
    ready: int
    busy: int
    done: int
    starting: int | None = None
    leaving: int | None = None


@dataclass(frozen=True)
class Times:
    """Seconds since submission, None for what did not happen; `to_min_s` since the last item was done."""

    first_extra_s: float | None
    to_max_s: float | None
    to_min_s: float | None


def wanted(remaining: int, least: int, most: int) -> int:
    """Workers that `remaining` items could occupy, one each, within the bounds."""
    return min(most, max(least, remaining))


def times(steps: Sequence[Step], most: int, least: int, done_s: float) -> Times:
    """When the first worker was added, the most were ready, and after `done_s` only `least` were left."""
    began = steps[0].ready if steps else 0
    first = next((step.at_s for step in steps if step.ready > began), None)
    full = next((step.at_s for step in steps if step.ready >= most), None)
    # Never more than the least: there was nothing to shrink.
    down = next((step.at_s - done_s for step in steps if step.at_s >= done_s and step.ready <= least), None)
    return Times(first, full, down if first is not None else None)


def areas(steps: Sequence[Step]) -> tuple[float, float]:
    """(under-provisioned, over-provisioned) worker-seconds between the first and the last step."""
    under = over = 0.0
    for step, following in itertools.pairwise(steps):
        lasted_s = following.at_s - step.at_s
        under += max(0, step.wanted - step.ready) * lasted_s
        over += max(0, step.ready - step.wanted) * lasted_s
    return under, over


def rate(steps: Sequence[Step], every_s: float = 1.0) -> list[tuple[float, float]]:
    """(end of interval in s, items per second in it), from the first step to the last item."""
    found: list[tuple[float, float]] = []
    at, before = every_s, 0
    total = steps[-1].done if steps else 0
    while before < total:
        held = max((step.done for step in steps if step.at_s <= at), default=0)
        found.append((at, (held - before) / every_s))
        at, before = at + every_s, held
    return found


def changes(steps: Iterable[Step]) -> list[Step]:
    """The first and last step and those that differ in more than their time: a stepped line needs no others."""
    kept: list[Step] = []
    last: Step | None = None
    for step in steps:
        if not kept or _counts(step) != _counts(kept[-1]):
            kept.append(step)
        last = step
    if last is not None and kept[-1] is not last:
        kept.append(last)
    return kept


def busy_at(instants: Sequence[float], done: Iterable[Done]) -> list[int]:
    """How many workers were inside an item at each instant (epoch, ascending), by the workers' own clocks."""
    edges = sorted(edge for one in done for edge in ((one.trace.began_at, 1), (one.trace.ended_at, -1)))
    counts, position, running = [], 0, 0
    for instant in instants:
        while position < len(edges) and edges[position][0] <= instant:
            running += edges[position][1]
            position += 1
        counts.append(running)
    return counts


def _counts(step: Step) -> tuple[int | None, ...]:
    return (step.wanted, step.ready, step.busy, step.done, step.starting, step.leaving)
