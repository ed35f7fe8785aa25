"""What happened, in USD: each engine's start-up, runs, idle time and teardown apart, priced when rows are read.

Rows hold quantities and no money, so that any of them can be priced again at any date. `at` of a run is its beginning;
of start-up and teardown rows it is the instant at which they were over.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from bench.engines import BASELINES
from bench.rows import Row
from plan import billing
from plan.cost import DEFAULT_REGION, modelled_usd
from plan.settings import Worker

HELD = ("node_s", "worker_s")  # billed while they exist; all other quantities only when used
BYTES_PER_TB = 10**12
# `at` is a wall clock and `value` a monotonic one: they may differ by this before it is called an error.
CLOCK_SLACK_S = 1.0


@dataclass(frozen=True)
class Prices:
    """At which prices rows are read. What if: another date, region, the spot market, Arm."""

    on: date | None = None
    region: str = DEFAULT_REGION
    spot: bool = False
    arm: bool = False

    def usd(self, billed: Mapping[str, Any], worker: Worker) -> Decimal:
        """USD of billed quantities. Raises catalog.prices.PriceMissing or UnknownRegion."""
        return modelled_usd(billed, worker, self.on, self.region, spot=self.spot, arm=self.arm)[0]


@dataclass(frozen=True)
class Spending:
    """One engine's share of one command, in USD. `idle` is what its machines cost between runs, failed runs included.

    open: no teardown row yet, so the machines may still run and the cost may still grow; teardown is then None.
    runs: samples that count. items and size_bytes: done by those runs, None where rows do not say.
    """

    run_id: str
    stack: str
    label: str
    engine: str
    platform: str
    startup: Decimal
    run: Decimal
    idle: Decimal
    teardown: Decimal | None
    runs: int
    items: int | None
    size_bytes: int | None

    @property
    def open(self) -> bool:
        return self.teardown is None

    @property
    def total(self) -> Decimal:
        return self.startup + self.run + self.idle + (self.teardown or Decimal(0))

    @property
    def usd_per_item(self) -> Decimal | None:
        """All that was spent over the items done; None where rows do not count items."""
        return self.total / self.items if self.items else None

    @property
    def usd_per_tb(self) -> Decimal | None:
        """All that was spent over the data read, for 10**12 bytes."""
        return self.total * BYTES_PER_TB / self.size_bytes if self.size_bytes else None


def spending(rows: Iterable[Row], prices: Prices | None = None) -> list[Spending]:
    """One Spending for each run id and label, in the order of the rows.

    Raises plan.billing.ClockBackwards for a span that ends before it begins, or begins before the last one ended.
    """
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.run_id, row.label].append(row)
    return [_spending(group, prices or Prices()) for group in groups.values()]


def worker_of(row: Row) -> Worker:
    """The declared worker of a row, as a slot to be priced."""
    memory_mib = row.workers.declared_mib if row.workers else Worker().memory_mib
    return Worker(memory_mib=memory_mib, reason="as the row declares it")


def held(row: Row) -> dict[str, Any]:
    """The quantities of this run that are billed by existing, per second of it; empty for functions."""
    seconds = row.value or 0.0
    if not seconds:
        return {}
    billed = row.billed
    nodes = {kind: used / seconds for kind, used in billed.node_s.items()}
    return {"node_s": nodes, "worker_s": billed.worker_s / seconds}


def _spending(group: Sequence[Row], prices: Prices) -> Spending:
    _check_clock(group)
    runs = [row for row in group if row.metric == "run_s"]
    done = [row for row in runs if row.status == "ok"]
    known = next((row for row in runs if row.value and (row.billed.node_s or row.billed.worker_s)), None)
    per_s = prices.usd(held(known), worker_of(known)) if known else Decimal(0)
    startup_s, teardown_s = (_seconds(group, metric) for metric in ("startup_s", "teardown_s"))
    first, ends_itself = group[0], group[0].engine in BASELINES
    return Spending(
        run_id=first.run_id,
        stack=first.stack,
        label=first.label,
        engine=first.engine,
        platform=first.platform,
        startup=per_s * (startup_s or 0),
        run=sum((prices.usd(row.billed.model_dump(), worker_of(row)) for row in runs), Decimal(0)),
        idle=Decimal(0) if ends_itself else per_s * _idle_s(group),
        # Functions and a baseline's one process hold nothing that a teardown would end.
        teardown=None if teardown_s is None and per_s and not ends_itself else per_s * (teardown_s or 0),
        runs=len(done),
        items=sum(int(row.parameters.get("items") or 0) for row in done) or None,
        size_bytes=sum(row.data.size_bytes for row in done if row.data) or None,
    )


def _seconds(group: Sequence[Row], metric: str) -> Decimal | None:
    found = [billing.exact(row.value) for row in group if row.metric == metric and row.value is not None]
    return sum(found, Decimal(0)) if found else None


def _check_clock(group: Sequence[Row]) -> None:
    """Runs of one engine follow each other: one that begins before the one before it ended was timed by a bad clock."""
    ended: float | None = None
    for row in group:
        what = f"{row.run_id}, {row.label}, {row.metric} {row.repeat}"
        if row.value is not None and row.value < 0:
            raise billing.ClockBackwards(f"{what}: took {row.value} s; use one monotonic clock, run again")
        if row.metric not in ("run_s", "teardown_s"):
            continue
        begin, end = _span(row)
        if ended is not None:
            billing.elapsed_s(ended, begin + CLOCK_SLACK_S, f"{what}, since the run before it")
        ended = end


def _idle_s(group: Sequence[Row]) -> Decimal:
    """Seconds from the end of start-up (without one, the first run) to the last row's end in which nothing was run."""
    spans = [_span(row) for row in group if row.metric in ("run_s", "teardown_s")]
    if not spans:
        return Decimal(0)
    begin = min([_span(row)[1] for row in group if row.metric == "startup_s"] + [spans[0][0]])
    whole_s = max(end for _, end in spans) - begin
    return billing.exact(round(max(whole_s - sum(end - start for start, end in spans), 0.0), 3))


def _span(row: Row) -> tuple[float, float]:
    at, seconds = datetime.fromisoformat(row.at).timestamp(), row.value or 0.0
    return (at, at + seconds) if row.metric == "run_s" else (at - seconds, at)
