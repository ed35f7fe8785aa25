"""Autoscaling: what one engine's workers did while images were worked off, from the sample nearest the median run."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench import stats
from bench.report.data import Measured, Report
from bench.rows import Row
from bench.scaling import Step
from bench.scaling_rows import SERIES
from bench.stored import Sourced

METRICS = {
    "first_extra_s": "first extra worker",
    "to_max_s": "all workers",
    "to_min_s": "back to the fewest",
    "under_worker_s": "wanted, not ready",
    "over_worker_s": "ready, not wanted",
}
"""Metrics of one sample in words: three in seconds, then two areas in worker-seconds."""


@dataclass(frozen=True)
class Growth:
    """`steps` are of the sample nearest the median of `of`; times and areas are medians of all its samples.

    missed: metrics that a sample did not reach, with the reason. bounds: fewest and most workers that were ready.
    """

    of: Measured
    steps: list[Step]
    steps_refs: list[str]
    run_s: float
    times: dict[str, stats.Estimate]
    samples: dict[str, list[float]]
    refs: dict[str, list[str]]
    missed: dict[str, str]

    @property
    def moves(self) -> bool:
        """Whether an autoscaler was to move it."""
        return "first_extra_s" in self.times or "first_extra_s" in self.missed

    @property
    def name(self) -> str:
        """For a panel's head."""
        group = self.of.group
        return f"{self.of.variant}, {group.condition} {self.of.typical.row.repeat + 1}"


def growths(found: Report, field: Sequence[Measured]) -> list[Growth]:
    """One for each group whose workers were watched."""
    watched: dict[tuple[str, str, str], list[Sourced]] = defaultdict(list)
    for sourced in found.rows:
        if sourced.row.metric in METRICS or sourced.row.metric == SERIES:
            watched[_key(sourced.row)].append(sourced)
    return [one for m in field if (one := _growth(m, watched[_key(m.typical.row)]))]


def _key(row: Row) -> tuple[str, str, str]:
    return row.run_id, row.label, row.condition


def _growth(of: Measured, rows: Sequence[Sourced]) -> Growth | None:
    series = [s for s in rows if s.row.metric == SERIES and s.row.repeat == of.typical.row.repeat]
    if not series:
        return None
    values: dict[str, list[float]] = defaultdict(list)
    refs: dict[str, list[str]] = defaultdict(list)
    missed = {}
    for s in rows:
        if s.row.metric in METRICS:
            refs[s.row.metric].append(s.ref)
            if s.row.value is not None and s.row.status == "ok":
                values[s.row.metric].append(s.row.value)
            elif s.row.failure:
                missed[s.row.metric] = s.row.failure.message
    return Growth(
        of=of,
        steps=sorted(_steps(s.row for s in series), key=lambda step: step.at_s),
        steps_refs=[s.ref for s in series],
        run_s=float(of.typical.row.value or 0),
        times={metric: stats.estimate(found) for metric, found in values.items()},
        samples=dict(values),
        refs=dict(refs),
        missed=missed,
    )


def _steps(rows: Iterable[Row]) -> Iterable[Step]:
    for row in rows:
        told = row.parameters
        wanted, busy, done = (int(told[name] or 0) for name in ("wanted", "busy", "done"))
        moving: dict[str, Any] = {name: int(told[name] or 0) for name in ("starting", "leaving") if name in told}
        yield Step(float(told["at_s"] or 0), wanted, round(row.value or 0), busy, done, **moving)
