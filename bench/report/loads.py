"""Cluster loading: start-up samples grouped by engine and shape, with the time until each share of the workers."""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from bench import stats
from bench.costs import Prices, worker_of
from bench.report.data import Report
from bench.stored import Sourced

SHARES = {"first": "first", "half": "half", "90": "90 %", "all": "all"}
"""Of the workers, by the part of the metric's name."""


SHAPED = {"workers", "nodes", "slots_per_node"}
"""What a row must say to have a shape."""


class Shape(NamedTuple):
    """Samples that may be pooled."""

    stack: str
    label: str
    workers: int
    nodes: int
    run: str


@dataclass(frozen=True)
class Load:
    """One engine's start of so many workers.

    `shares`: seconds until that share had run a task. `typical`: the sample
    nearest the median, whose phases are shown. usd: modelled, all workers from the command until the last one's task.
    """

    shape: Shape
    engine: str
    platform: str
    slots: int
    shares: dict[str, stats.Estimate]
    samples: list[float]
    refs: list[str]
    typical: Sourced
    usd: Decimal
    latest: bool

    @property
    def whole(self) -> stats.Estimate:
        """Until all had run one."""
        return self.shares["all"]

    @property
    def tags(self) -> dict[str, Any]:
        """The fields by which the page filters."""
        shape = self.shape
        return {"engine": self.engine, "data": shape.stack, "run": shape.run, "latest": self.latest}


def loads(found: Report) -> list[Load]:
    """All start-ups that ended well, in the order of the rows."""
    groups: dict[Shape, dict[str, list[Sourced]]] = defaultdict(lambda: defaultdict(list))
    for sourced in found.rows:
        row = sourced.row
        if (
            row.workload == "startup"
            and row.status == "ok"
            and (row.value or 0) > 0
            and row.parameters.keys() >= SHAPED
        ):
            told = row.parameters
            shape = Shape(row.stack, row.label, int(told["workers"] or 0), int(told["nodes"] or 0), row.run_id)
            groups[shape][row.metric.removeprefix("startup_").removesuffix("_s")].append(sourced)
    newest = {shape[:-1]: shape.run for shape in groups}
    return [_load(shape, group, newest[shape[:-1]]) for shape, group in groups.items() if "all" in group]


def _load(shape: Shape, group: dict[str, list[Sourced]], newest: str) -> Load:
    shares = {
        share: stats.estimate([float(s.row.value or 0) for s in group[share]]) for share in SHARES if share in group
    }
    whole = group["all"]
    typical = min(whole, key=lambda s: abs(float(s.row.value or 0) - shares["all"].median))
    worker, row = worker_of(typical.row), typical.row
    held_s = shape.workers * shares["all"].median
    billed = {"function_gb_s": held_s * worker.memory_mib / 1024} if row.engine == "lithops" else {"worker_s": held_s}
    return Load(
        shape=shape,
        engine=row.engine,
        platform=row.platform,
        slots=int(row.parameters["slots_per_node"] or 1),
        shares=shares,
        samples=[float(s.row.value or 0) for s in whole],
        refs=[s.ref for share in SHARES for s in group.get(share, [])],
        typical=typical,
        usd=Prices().usd(billed, worker),
        latest=shape.run == newest,
    )
