"""Rows on disk turned into what charts and sentences need; every figure keeps the lines it came from."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from bench import stats
from bench.rows import Row, Unreadable
from bench.stored import GB, Loaded, Sourced
from catalog.prices import PriceError
from plan.cost import modelled_usd
from plan.settings import Worker

BASELINES = ("pandas", "arrow", "polars")
"""Engines of one process, which are what a user has today; no reader is theirs to choose."""


class Group(NamedTuple):
    """Samples that may be pooled: same run and same everything else but the repeat."""

    stack: str
    workload: str
    dataset: str
    reader: str
    condition: str
    label: str
    run: str


@dataclass(frozen=True)
class Measured:
    """The samples of one group that count, in seconds, and what they would cost.

    `typical` is the sample nearest the median: its spans are shown, since medians of spans do not add up to a median.
    `latest`: no later run measured the same thing. variant: the name on a chart's axis, the engine as asked for, with
    its reader where readers are compared. usd: median of the modelled cost of one run; None where nothing was billed.
    """

    group: Group
    engine: str
    estimate: stats.Estimate
    samples: list[float]
    refs: list[str]
    typical: Sourced
    startup_s: float | None
    startup_refs: list[str]
    usd: Decimal | None
    priced_on: date | None
    unequal: bool
    latest: bool
    variant: str

    @property
    def typical_ref(self) -> str:
        return self.typical.ref

    @property
    def phases(self) -> dict[str, float]:
        return self.typical.row.phases

    @property
    def size(self) -> tuple[float, str] | None:
        """How much was done, and its unit: images of a palette, else GB read; None where nothing was."""
        row = self.typical.row
        if "images" in row.parameters:
            return float(row.parameters["images"] or 0), "images"
        return (row.data.size_bytes / GB, "GB") if row.data and row.data.size_bytes else None

    @property
    def rate(self) -> str:
        """How much was done in a second of the median run, with the unit; a dash where that cannot be said."""
        if not self.size or self.estimate.median <= 0:
            return "-"
        done, unit = self.size
        return f"{done / self.estimate.median:.3g} {unit}/s"

    @property
    def tags(self) -> dict[str, Any]:
        """The fields by which the page filters, the same in a chart's records and in a table's lines."""
        group = self.group
        return {
            "engine": self.engine,
            "condition": group.condition,
            **({} if self.engine in BASELINES else {"reader": group.reader}),
            "data": group.dataset,
            "run": group.run,
            "latest": self.latest,
        }

    @property
    def double(self) -> bool:
        """True for the second label of an engine that ran beside itself (`dask#2`)."""
        return self.group.label != self.engine


@dataclass(frozen=True)
class Report:
    """Everything one report shows."""

    rows: list[Sourced]
    unreadable: list[Unreadable]
    measured: list[Measured]

    @property
    def uncounted(self) -> list[Sourced]:
        """Samples that were dropped or failed, each with its reason."""
        return [s for s in self.rows if s.row.status != "ok"]

    @property
    def workloads(self) -> list[str]:
        """Workloads that have at least one sample, the main one first."""
        there = dict.fromkeys(m.group.workload for m in self.measured)
        return sorted(there, key=lambda name: (name != "ingest", name))


def report(loaded: Loaded) -> Report:
    """Group, estimate and price the rows. See `counts` for what counts."""
    counted: dict[Group, list[Sourced]] = defaultdict(list)
    for sourced in loaded.rows:
        if counts(sourced.row):
            counted[group_of(sourced)].append(sourced)
    startups = _startups(loaded.rows)
    newest: dict[tuple[str, ...], str] = {}
    for group in sorted(counted, key=lambda group: counted[group][-1].row.at):
        newest[group[:-1]] = group.run
    readers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for group, samples in counted.items():
        if samples[0].row.engine not in BASELINES:
            readers[group.workload, group.dataset].add(group.reader)
    measured = [
        _measured(
            group,
            samples,
            startups=startups.get((group.run, group.label), []),
            latest=newest[group[:-1]] == group.run,
            told=samples[0].row.engine not in BASELINES and len(readers[group.workload, group.dataset]) > 1,
        )
        for group, samples in counted.items()
    ]
    return Report(loaded.rows, loaded.unreadable, measured)


def group_of(sourced: Sourced) -> Group:
    """The group whose samples this row's may be pooled with."""
    row = sourced.row
    return Group(row.stack, row.workload, sourced.dataset, row.reader or "-", row.condition, row.label, row.run_id)


def usd_of(row: Row) -> tuple[Decimal, date] | None:
    """What the sample would cost on AWS by its billed quantities; None where it billed nothing, or has no price."""
    worker = Worker(
        memory_mib=row.workers.declared_mib if row.workers else 4096,
        vcpu=max(1, round(row.workers.vcpu)) if row.workers else 1,
        reason="as the row says",
    )
    try:
        usd, priced_on = modelled_usd(row.billed.model_dump(), worker)
    except PriceError:  # listed on the page Cost, with the row
        return None
    return (usd, priced_on) if usd > 0 else None


def counts(row: Row) -> bool:
    """True for a timed run that ended well. Condition `none` is an untimed run before the warm ones."""
    return row.metric == "run_s" and row.status == "ok" and row.condition != "none" and (row.value or 0) > 0


def overhead_of(row: Row) -> float | None:
    """Share of a run's wall time outside every span, 0 to 1: the harness's own. None where no span was recorded."""
    if not counts(row) or not row.phases or not row.value:
        return None
    return 1 - sum(row.phases.values()) / row.value


def without(tags: dict[str, Any], *names: str) -> dict[str, Any]:
    """Tags but those: what does not depend on a choice is shown whatever is chosen."""
    return {key: value for key, value in tags.items() if key not in names}


def null_tests(found: Report) -> list[tuple[Measured, stats.NullTest]]:
    """The A/A test of every engine that ran beside itself (`dask` and `dask#2`) in one run."""
    by_group = {m.group: m for m in found.measured}
    pairs = [
        (by_group[m.group._replace(label=m.engine)], m)
        for m in found.measured
        if m.double and m.group._replace(label=m.engine) in by_group
    ]
    return [(first, stats.null_test(first.samples, second.samples)) for first, second in pairs]


def _startups(found: Sequence[Sourced]) -> dict[tuple[str, str], list[Sourced]]:
    rows_of: dict[tuple[str, str], list[Sourced]] = defaultdict(list)
    for sourced in found:
        if sourced.row.metric == "startup_s" and sourced.row.status == "ok" and sourced.row.value is not None:
            rows_of[sourced.row.run_id, sourced.row.label].append(sourced)
    return rows_of


def _measured(group: Group, samples: list[Sourced], *, startups: list[Sourced], latest: bool, told: bool) -> Measured:
    """`told`: the name says the reader, because readers are compared."""
    variant = f"{group.label} · {group.reader}" if told else group.label
    unequal = any(s.row.unequal for s in samples)
    values = [float(s.row.value) for s in samples if s.row.value is not None]
    estimate = stats.estimate(values)
    typical = min(samples, key=lambda s: abs(float(s.row.value or 0) - estimate.median))
    priced = [usd for s in samples if (usd := usd_of(s.row)) is not None]
    return Measured(
        group=group,
        engine=typical.row.engine,
        estimate=estimate,
        samples=values,
        refs=[s.ref for s in samples],
        typical=typical,
        startup_s=stats.estimate([float(s.row.value or 0) for s in startups]).median if startups else None,
        startup_refs=[s.ref for s in startups],
        usd=statistics.median(usd for usd, _ in priced) if priced else None,
        priced_on=min(on for _, on in priced) if priced else None,
        unequal=unequal,
        latest=latest,
        variant=f"{variant} (unequal)" if unequal else variant,
    )
