"""What happened, in USD: each engine's start-up, runs, idle time and teardown apart, priced when rows are read.

Rows hold quantities and no money, so that any of them can be priced again at any date. `at` of a run is its beginning;
of start-up and teardown rows it is the instant at which they were over.

A cluster is paid for once, however many engines of a command use it: its start, idle time and end are with the first of
them. Where it outlives the command (embedded stacks), its end and its idle time between commands are a line of their
own, of the rows that the stack's `down` left.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from bench.lifecycle import cluster_of
from bench.rows import Row
from catalog.prices import PriceError
from plan import billing
from plan.cost import DEFAULT_REGION, modelled_usd
from plan.settings import Worker

DOWN = "down"
"""The workload of the rows that a stack leaves when it goes down."""
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


@dataclass(frozen=True)
class Unpriced:
    """What can't be told of one label of one command, and why."""

    run_id: str
    stack: str
    label: str
    error: billing.ClockBackwards | PriceError


def spending(rows: Iterable[Row], prices: Prices | None = None) -> list[Spending]:
    """One Spending for each run id and label, in the order of the rows.

    Raises plan.billing.ClockBackwards for a span that ends before it begins, or begins before the last one ended, and
    catalog.prices.PriceError; `ledger` tells them with what they are of.
    """
    found = []
    for one in ledger(rows, prices):
        if isinstance(one, Unpriced):
            raise one.error
        found.append(one)
    return found


def ledger(rows: Iterable[Row], prices: Prices | None = None) -> Iterator[Spending | Unpriced]:
    """As `spending`, where an error is told in its place and hides nothing else."""
    prices = prices or Prices()
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    commands: dict[tuple[str, str], list[Row]] = defaultdict(list)  # by run id and cluster
    for row in rows:
        groups[row.run_id, row.label].append(row)
        if (cluster := cluster_of(row.engine)) and row.workload != DOWN:
            commands[row.run_id, cluster].append(row)
    lives: dict[_Life, list[list[Row]]] = defaultdict(list)  # the commands of one life of a cluster
    for (_, cluster), command in commands.items():
        if life := _life(command, cluster):
            lives[life].append(command)
    ends = {_life(group, group[0].engine) for group in groups.values() if group[0].workload == DOWN}
    for (run_id, label), group in groups.items():
        try:
            _check_clock(group)
            cluster = cluster_of(group[0].engine) or ""
            command, life = commands.get((run_id, cluster), []), _life(group, cluster)
            if group[0].workload == DOWN:
                yield _after(group[0], lives[life] if life else [], prices)
            elif command and command[0].label == label:
                life = _life(command, cluster)
                first = life is None or min(lives[life], key=_began)[0].run_id == run_id
                yield _spending(group, _Parts.of(command, prices, starts=first, ended=life in ends), prices)
            else:
                yield _spending(group, _Parts(), prices)
        except (billing.ClockBackwards, PriceError) as error:
            yield Unpriced(run_id, group[0].stack, label, error)


def dated(days: Iterable[date]) -> str:
    """Of which days prices are, in the same words wherever an amount is shown: the day of each one's last check."""
    first, last = min(known := list(days)), max(known)
    return f"prices of {first}" if first == last else f"prices of {first} to {last}"


def worker_of(row: Row) -> Worker:
    """The declared worker of a row, as a slot to be priced."""
    memory_mib = row.workers.declared_mib if row.workers else Worker().memory_mib
    return Worker(memory_mib=memory_mib, reason="as the row declares it")


def held(row: Row) -> dict[str, Any]:
    """The quantities of this row that are billed by existing, per second of it; empty for functions."""
    seconds, billed = row.value or 0.0, row.billed
    if not seconds or not (billed.node_s or billed.worker_s):
        return {}
    nodes = {kind: used / seconds for kind, used in billed.node_s.items()}
    return {"node_s": nodes, "worker_s": billed.worker_s / seconds}


_Life = tuple[str, str, str]
"""Stack, cluster, and when its head began."""


def _life(command: Sequence[Row], cluster: str) -> _Life | None:
    up_at = next((row.parameters["up_at"] for row in command if "up_at" in row.parameters), None)
    return (command[0].stack, cluster, str(up_at)) if up_at is not None else None


@dataclass(frozen=True)
class _Parts:
    """What one cluster costs beside its runs, in one command."""

    startup: Decimal = Decimal(0)
    idle: Decimal = Decimal(0)
    teardown: Decimal | None = Decimal(0)

    @classmethod
    def of(cls, command: Sequence[Row], prices: Prices, *, starts: bool, ended: bool) -> "_Parts":
        """starts: this command is the first on the cluster. ended: a `down` has ended it since."""
        label = command[0].label
        known = [row for row in command if held(row)]
        run = next((row for row in known if row.metric == "run_s"), known[0] if known else None)
        per_s = prices.usd(held(run), worker_of(run)) if run else Decimal(0)

        def usd(*metrics: str) -> Decimal:
            edges = [row for row in command if row.metric in metrics and row.value and row.label == label]
            own = [prices.usd(row.billed.model_dump(), worker_of(row)) for row in edges]
            # Rows of before such rows had quantities: at the rate of a run.
            return sum((paid or per_s * billing.exact(row.value or 0) for paid, row in zip(own, edges, strict=True)),
                       Decimal(0))  # fmt: skip

        gone = [row for row in command if row.metric == "teardown_s" and row.parameters.get("head") != "stays"]
        teardown = usd("teardown_s") if gone or ended or not run else None
        startup = usd("startup_s", "startup_all_s") if starts else usd("startup_all_s")
        idle_s = _idle_s(command)
        if gone and teardown is not None and run and run.platform == "ec2":
            spans = (row.value or 0.0 for row in command if row.metric in _SPANS or row.metric == "startup_s")
            whole_s = billing.exact(round(sum(spans), 6)) + idle_s
            teardown += per_s * (billing.instance_s(whole_s) - whole_s)  # seconds begun, a minute at least
        return cls(startup, per_s * idle_s, teardown)


def _spending(group: Sequence[Row], parts: _Parts, prices: Prices) -> Spending:
    runs = [row for row in group if row.metric == "run_s"]
    done = [row for row in runs if row.status == "ok"]
    first = group[0]
    return Spending(
        run_id=first.run_id,
        stack=first.stack,
        label=first.label,
        engine=first.engine,
        platform=first.platform,
        startup=parts.startup,
        run=sum((prices.usd(row.billed.model_dump(), worker_of(row)) for row in runs), Decimal(0)),
        idle=parts.idle,
        teardown=parts.teardown,
        runs=len(done),
        items=sum(int(row.parameters.get("images") or 0) for row in done) or None,
        size_bytes=sum(row.data.size_bytes for row in done if row.data) or None,
    )


def _after(end: Row, commands: Sequence[Sequence[Row]], prices: Prices) -> Spending:
    """A cluster's end, and its idle time outside all commands: its life less its start and the commands' spans."""
    stopped, used_s = _span(end)[0], 0.0
    for number, command in enumerate(sorted(commands, key=_began)):
        starts = [row.value or 0.0 for row in command if row.metric == "startup_s"]
        used_s += starts[0] if starts and not number else 0.0
        spans = [_span(row) for row in command if row.metric in _SPANS]
        used_s += max((last for _, last in spans), default=0.0) - min((first for first, _ in spans), default=0.0)
    whole_s = stopped - float(end.parameters.get("up_at") or stopped)
    idle_s = billing.exact(round(max(whole_s - used_s, 0.0), 3))
    per_s = prices.usd(held(end), worker_of(end)) if end.value else Decimal(0)
    parts = _Parts(idle=per_s * idle_s, teardown=prices.usd(end.billed.model_dump(), worker_of(end)))
    return _spending([end], parts, prices)


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


_SPANS = ("run_s", "teardown_s", "startup_all_s")


def _idle_s(command: Sequence[Row]) -> Decimal:
    """Seconds from a cluster's first use to its last in which nothing ran on it; none between end and new start."""
    idle_s, last = 0.0, None
    for row in sorted((row for row in command if row.metric in _SPANS), key=_span):
        begin, end = _span(row)
        if last is not None:
            idle_s += max(begin - last, 0.0)
        last = None if row.metric == "teardown_s" and row.parameters.get("head") != "stays" else max(end, last or end)
    return billing.exact(round(idle_s, 3))


def _began(command: Sequence[Row]) -> float:
    return min((_span(row)[0] for row in command if row.metric in _SPANS), default=float("inf"))


def _span(row: Row) -> tuple[float, float]:
    at, seconds = datetime.fromisoformat(row.at).timestamp(), row.value or 0.0
    return (at, at + seconds) if row.metric == "run_s" else (at - seconds, at)
