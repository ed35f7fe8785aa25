"""Scaling: time against the size of the work on log axes, and against one process that does the same."""

import math
from collections.abc import Sequence
from typing import Any

from bench import stats
from bench.report.charts import sizes
from bench.report.charts.style import colour, in_order
from bench.report.data import BASELINES, Measured, Report
from bench.report.findings import Answer, rivals, seconds, sureness, with_interval
from bench.report.pages import study
from bench.report.parts import ANY, Answers, Figure, Filters, Line, Page, Refs, Table, number

REFERENCES = ("arrow", "polars")
"""What the figures of `benchmarks/` are measured against."""


def page(found: Report) -> Page | None:
    """None where no workload was measured at several sizes."""
    field = [m for m in found.measured if m.size and not m.double]
    sizes_of = {name: {m.size for m in field if m.group.workload == name} for name in found.workloads}
    workloads = [name for name, there in sizes_of.items() if len(there) > 1]
    if not workloads:
        return None
    field = [m for m in field if m.group.workload in workloads]
    warm = [m for m in field if m.group.condition == "warm"]
    figures = [_by_size([m for m in field if m.group.workload == name], name) for name in workloads]
    figures += [_against(warm, reference) for reference in REFERENCES]
    told = ", ".join(f"{len(sizes_of[name])} of {name}" for name in workloads)
    return Page(
        key="scaling",
        title="Scaling",
        lead=f"How does time grow with the work? Sizes: {told}, the latest run of each.",
        filters=Filters(
            data=[],
            runs=[],
            readers=[],
            engines=in_order(m.engine for m in field),
            conditions=[c for c in ("warm", "cold") if any(m.group.condition == c for m in field)],
        ),
        answers=_answers(warm),
        figures=[figure for figure in figures if figure.table.lines],
    )


def _latest(field: Sequence[Measured]) -> list[Measured]:
    return [m for m in field if m.latest]


def _answers(warm: Sequence[Measured]) -> list[Answers]:
    """Of the largest work that several engines did warm, in one run."""
    said = []
    for name in dict.fromkeys(m.group.workload for m in warm):
        own = [m for m in _latest(warm) if m.group.workload == name and m.size]
        largest = max(own, key=lambda m: m.size or (0, ""))
        ranked = rivals([m for m in own if m.group.dataset == largest.group.dataset])
        best = ranked[0]
        heading = f"{name.capitalize()}: the largest work, {largest.group.dataset}, warm"
        fast = Answer("Which was fastest?", sizes.name(best), f"{with_interval(best.estimate)}, {best.rate}", best.refs,
                      best.engine)  # fmt: skip
        answers = [fast]
        if len(ranked) > 1:
            refs = [*best.refs, *ranked[1].refs]
            lead = f"{ranked[1].estimate.median / best.estimate.median - 1:.0%} ahead"
            answers.append(Answer("By how much?", lead, f"{sizes.name(ranked[1])} is next with "
                                  f"{seconds(ranked[1].estimate.median)}", refs))  # fmt: skip
            answers.append(Answer("How sure?", *sureness(best.samples, ranked[1].samples), refs))
        slopes = {sizes.name(m): slope for m in ranked if (slope := _slope(m, own)) is not None}
        if slopes:
            least = min(slopes, key=lambda variant: slopes[variant])
            detail = f"time grows as size to the power of {slopes[least]:.2f}; 1 is in proportion"
            engine = next(m.engine for m in ranked if sizes.name(m) == least)
            answers.append(Answer("Which scales best?", least, detail, [], engine))
        said.append(Answers(ANY, "warm", heading, answers))
    return said


def _slope(of: Measured, own: Sequence[Measured]) -> float | None:
    """Exponent between the smallest and the largest size of one variant on one stack, None for a single size."""
    mine = sorted((m for m in own if sizes.name(m) == sizes.name(of) and m.group.stack == of.group.stack),
                  key=lambda m: m.size or (0, ""))  # fmt: skip
    if not mine or not mine[0].size or not mine[-1].size or mine[0].size[0] in (0, mine[-1].size[0]):
        return None
    grown = mine[-1].estimate.median / mine[0].estimate.median
    return math.log(grown) / math.log(mine[-1].size[0] / mine[0].size[0])


def _by_size(field: Sequence[Measured], workload: str) -> Figure:
    unit = field[0].size[1] if field[0].size else ""
    theirs = study.select("data_ingestion", "read_time") if workload == "ingest" else []
    shown = _latest(field)
    lines = [
        Line([sizes.name(m), m.group.condition, m.group.dataset, number(m.estimate.median), number(m.estimate.low),
              number(m.estimate.high), m.rate, Refs(m.refs)], sizes.tags(m))
        for m in sorted(shown, key=lambda m: m.size or (0, ""))
    ] + [Line([one.engine.replace("+", ", "), one.condition, f"{one.data_gb:g} GB, {one.workers} workers",
               study.bounds(one), "", "", "", f"{one.source}, {one.place}"]) for one in theirs]  # fmt: skip
    note = " Triangles: published bounds for warm reads of 50 GB, of 2023 on AWS." if theirs else ""
    return Figure(
        workload,
        {ANY: _size_title(shown, workload)},
        "Medians with 95 % intervals; both axes are logarithmic, so equal slopes are equal growth. Full lines: warm; "
        f"dashed: cold. Several file counts of one size are points above each other.{note}",
        sizes.time_by_size(shown, unit, theirs),
        Table("", ["variant", "condition", "data", "median s", "low s", "high s", "rate", "source or rows"], lines),
    )


def _size_title(field: Sequence[Measured], workload: str) -> str:
    warm = [m for m in field if m.group.condition == "warm"] or list(field)
    some = sorted({m.size[0] for m in warm if m.size})
    name = workload.capitalize()
    unit = warm[0].size[1] if warm[0].size else ""
    at_least = [rivals([m for m in warm if m.size and m.size[0] == size])[0] for size in (some[0], some[-1])]
    first, last = at_least
    if sizes.name(first) == sizes.name(last):
        return f"{name}: {sizes.name(first)} is fastest at {some[0]:.3g} and at {some[-1]:.3g} {unit}"
    return f"{name}: {sizes.name(first)} is fastest at {some[0]:.3g} {unit}, {sizes.name(last)} at {some[-1]:.3g}"


def _against(warm: Sequence[Measured], reference: str) -> Figure:
    """Each engine's time over that of one process with all of the machine's threads, of the same run."""
    bases = {m.group._replace(label=""): m for m in warm if m.engine == reference and m.latest}
    records: list[dict[str, Any]] = []
    lines = []
    ratios: dict[str, list[float]] = {}
    for m in _latest(warm):
        base = next(
            (b for g, b in bases.items() if g._replace(reader=m.group.reader) == m.group._replace(label="")), None
        )
        if base is None or m.engine in BASELINES or not m.size:
            continue
        found = stats.compare(base.samples, m.samples)
        low, high = (found.low, found.high) if found.low is not None else (found.ratio, found.ratio)
        ratios.setdefault(sizes.name(m), []).append(found.ratio)
        line = f"{sizes.name(m)}, {m.group.workload}, {sizes.files(m)}"
        records.append({**sizes.tags(m), "colour": colour(m.engine), "line": line,
                        "size": m.size[0], "ratio": found.ratio, "low": low, "high": high})  # fmt: skip
        cells = [sizes.name(m), m.group.dataset, number(m.estimate.median), number(base.estimate.median)]
        interval = f"{found.low:.2f} to {found.high:.2f}" if found.low is not None else "-"
        lines.append(Line([*cells, f"{found.ratio:.2f}", interval, Refs([*m.refs, *base.refs])], sizes.tags(m)))
    below = [variant for variant, found in ratios.items() if max(found) < 1]
    said = (
        f"{', '.join(below)} always below {reference}'s time"
        if below
        else f"No engine is always below {reference}'s time"
    )
    return Figure(
        f"against-{reference}",
        {ANY: said},
        f"{reference} is one process with all threads of this machine, in the same run on the same objects. "
        "Broad lines: 95 % intervals of the ratio.",
        sizes.ratio_by_size(records, reference, "GB"),
        Table("", ["variant", "data", "median s", f"{reference} s", "ratio", "95 % interval", "rows"], lines),
    )
