"""How far the estimate was off: against our own runs, and against published figures that it was not fitted to."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.charts import cost, published
from bench.report.charts.style import colour
from bench.report.data import Report
from bench.report.findings import Answer
from bench.report.parts import ANY, Answers, Figure, Line, Page, Refs, Table
from bench.stored import Sourced
from plan.estimate.backtest import Outcome, backtest, summary

WITHIN = 0.25
"""The band of the chart: the error that the estimate aims at on the embedded stack."""


@dataclass(frozen=True)
class Kept:
    """An estimate that a run has kept beside its median."""

    row: Sourced
    estimate_s: float
    low_s: float
    high_s: float
    actual_s: float
    of: str
    calibrated_rows: int | None

    @property
    def rested_on(self) -> str:
        """What the estimate had to go by."""
        if self.calibrated_rows is None:
            return "not told"
        return f"{self.calibrated_rows} calibration rows" if self.calibrated_rows else "published parameters"

    @property
    def error(self) -> float:
        return self.estimate_s / self.actual_s - 1


def page(found: Report) -> Page:
    """Both comparisons; without runs of our own, the published one."""
    ours, theirs = kept(found), backtest()
    error, points, inside, bounds = summary(theirs)
    figures = [_ours(ours)] if ours else []
    return Page(
        key="estimate",
        title="Estimate",
        lead="How far was the estimate off? Every run keeps the estimate that was made before it.",
        answers=[Answers(ANY, "", "Estimate against what came out", _answers(ours, theirs))],
        figures=[*figures, _published(theirs)],
        tables=[
            Table(
                "Published bounds",
                ["figure", "model", "bound", "holds", "source"],
                [
                    Line(
                        [one.name, f"{one.model:.3g} {one.unit}", _bound(one), "yes" if one.inside else "NO", one.place]
                    )
                    for one in theirs
                    if one.error is None
                ],
                "",
                f"{inside} of {bounds} hold; the {points} points have a median error of {error:.0%}.",
            )
        ],
    )


def kept(found: Report) -> list[Kept]:
    """Of rows that tell estimate and measured median."""
    return [
        Kept(s, s.row.value, float(told.get("estimate_low_s") or 0), float(told.get("estimate_high_s") or 0), actual_s,
             str(told.get("actual", "warm")), None if (n := told.get("calibrated_rows")) is None else int(n))
        for s in found.rows
        for told in [s.row.parameters]
        for actual_s in [told.get("actual_s")]
        if s.row.metric == "estimate_s" and s.row.value and isinstance(actual_s, float) and actual_s
    ]  # fmt: skip


def _answers(ours: Sequence[Kept], theirs: Sequence[Outcome]) -> list[Answer]:
    error, points, inside, bounds = summary(list(theirs))
    said = []
    if ours:
        refs = [one.row.ref for one in ours]
        held = sum(one.low_s <= one.actual_s <= one.high_s for one in ours)
        worst = max(ours, key=lambda one: abs(one.error))
        based = "" if worst.calibrated_rows is None else f", from {worst.rested_on}"
        said = [
            _error(ours),
            Answer("Did its range hold?", f"{held} of {len(ours)}", "measured medians inside the range given before",
                   refs),
            Answer("Where was it worst?", f"{worst.row.row.label}, {worst.row.row.workload}",
                   f"estimated {worst.estimate_s:.2f} s, measured {worst.actual_s:.2f} s ({worst.error:+.0%}){based}",
                   [worst.row.ref], worst.row.row.engine),
        ]  # fmt: skip
    study = f"{points} published points it was not fitted to; {inside} of {bounds} published bounds hold"
    return [*said, Answer("How wrong against the studies?", f"{error:.0%} median error", study, [])]


def _error(ours: Sequence[Kept]) -> Answer:
    """The error of estimates with own rows to go by; those from before, with none, are told apart from it."""
    question = "How wrong here?"
    first = [one for one in ours if one.calibrated_rows == 0]
    later = [one for one in ours if one.calibrated_rows != 0]
    before = f"{len(first)} rested on published parameters alone, {_median(first):.0%} off" if first else ""
    if not later:
        return Answer(question, "Not calibrated yet", f"all {before}: the next run has rows of this machine to go by",
                      [one.row.ref for one in first])  # fmt: skip
    near = sum(abs(one.error) <= WITHIN for one in later)
    detail = f"{len(later)} estimates with own rows to go by; {near} within {WITHIN:.0%}"
    if all(one.calibrated_rows is None for one in later):
        detail = f"{len(later)} estimates; {near} within {WITHIN:.0%}; rows do not tell what they rested on"
    return Answer(question, f"{_median(later):.0%} median error", "; ".join(filter(None, [detail, before])),
                  [one.row.ref for one in later])  # fmt: skip


def _median(ours: Sequence[Kept]) -> float:
    return statistics.median(abs(one.error) for one in ours)


def _ours(ours: Sequence[Kept]) -> Figure:
    records: list[dict[str, Any]] = [
        {"engine": one.row.row.engine, "variant": f"{one.row.row.label}, {one.of}", "workload": one.row.row.workload,
         "actual": one.actual_s, "estimate": one.estimate_s, "low": one.low_s, "high": one.high_s,
         "colour": colour(one.row.row.engine), "row": one.row.ref}
        for one in ours
    ]  # fmt: skip
    middle = statistics.median(one.error for one in ours)
    near = sum(abs(one.error) <= WITHIN for one in ours)
    way = "under" if middle < 0 else "over"
    published_only = all(one.calibrated_rows == 0 for one in ours)
    by = ", by published parameters alone" if published_only else ""
    lines = [
        Line([Refs([one.row.ref]), one.row.row.workload, one.row.row.label, one.row.dataset, f"{one.estimate_s:.2f}",
              f"{one.low_s:.2f} to {one.high_s:.2f}", f"{one.actual_s:.2f}", one.of, f"{one.error:+.0%}",
              one.rested_on])
        for one in ours
    ]  # fmt: skip
    return Figure(
        "ours",
        {
            ANY: f"{near} of {len(ours)} estimates are within {WITHIN:.0%}; "
            f"the middle one is {abs(middle):.0%} {way}{by}"
        },
        f"On the dashed line the estimate was right; the band is {WITHIN:.0%} of it. Upright lines: the range that the "
        "estimate gave. Both axes are logarithmic.",
        cost.estimate_and_actual(records, WITHIN),
        Table(
            "",
            ["row", "workload", "engine", "data", "estimate s", "range s", "measured s", "of", "error", "rested on"],
            lines,
        ),
    )


def _published(theirs: Sequence[Outcome]) -> Figure:
    points = sorted((one for one in theirs if one.error is not None), key=lambda one: one.error or 0)
    error, count, _, _ = summary(list(theirs))
    records = [
        {
            "name": one.name,
            "value": 1 + (one.error or 0),
            "whose": "ours",
            "colour": "var(--accent)",
            "source": one.place,
        }
        for one in points
    ]
    below = sum((one.error or 0) < 0 for one in points)
    lines = [
        Line([one.name, f"{one.low:g} {one.unit}", f"{one.model:.4g} {one.unit}", f"{one.error:+.0%}", one.place])
        for one in points
    ]
    return Figure(
        "published",
        {ANY: f"Against {count} published points the median error is {error:.0%}; {below} of them are foretold low"},
        "The model's figure over the published one, for figures that the model was not fitted to: at 1 it is right. "
        "The points are not independent: costs follow from times. The axis is logarithmic.",
        published.beside(records, "Model over published (log)", "{:.2f} times".format, reference=1),
        Table("", ["figure", "published", "model", "error", "source"], lines),
    )


def _bound(one: Outcome) -> str:
    if one.low is not None and one.high is not None:
        return f"{one.low:g} to {one.high:g} {one.unit}"
    return f"over {one.low:g} {one.unit}" if one.low is not None else f"under {one.high:g} {one.unit}"
