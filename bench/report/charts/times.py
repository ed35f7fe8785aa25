"""Charts of run times: medians and intervals, phases, cold and warm, start-up, tasks over time."""

from collections.abc import Sequence

import altair as alt

from bench.report.charts import style
from bench.report.data import Measured
from bench.report.findings import seconds, words
from catalog.published import Published

AFTER_S = 1e12
"""Added where bars are sorted, so that cold runs come below all warm ones: the two are no rivals."""


def run_times(field: Sequence[Measured]) -> style.Chart:
    """Median with interval per variant and condition, every sample as a small mark. Seconds."""
    records = [
        {
            **style.mark(m),
            "median": m.estimate.median,
            "low": m.estimate.low if m.estimate.low is not None else m.estimate.median,
            "high": m.estimate.high if m.estimate.high is not None else m.estimate.median,
            "sample": m.samples,
            "edge": m.estimate.greatest,
            "label": seconds(m.estimate.median) + ("" if m.estimate.low is not None else f" (n={m.estimate.n})"),
            "method": m.estimate.method,
        }
        for m in field
    ]
    shown = style.shown(records)
    rows = style.rows_by("variant", "median")
    offset = alt.YOffset("condition:N", sort=["warm", "cold"])
    title = "Time of one run (s)"
    tip = [
        style.tip("variant"),
        style.tip("condition"),
        style.tip("median", ".3f"),
        style.tip("low", ".3f"),
        style.tip("high", ".3f"),
    ]
    interval = shown.mark_rule(strokeWidth=5, opacity=0.35, strokeCap="round").encode(
        rows, style.x_of("low", title, 90), alt.X2("high"), offset, style.coloured()
    )
    dots = (
        shown.transform_flatten(["sample"])
        .mark_tick(thickness=1.5, size=9, opacity=0.55)
        .encode(rows, style.x_of("sample", title, 90), offset, style.coloured())
    )
    medians = shown.mark_point(filled=True, size=95, opacity=1, stroke="var(--paper)", strokeWidth=1).encode(
        rows,
        style.x_of("median", title, 90),
        offset,
        style.coloured(),
        style.condition(records),
        tooltip=[*tip, "method:N"],
    )
    label = style.label(shown, "label").encode(rows, style.x_of("edge", title, 90), offset)
    return style.finish(
        interval + dots + medians + label,
        lane_px=12 if len({m.group.condition for m in field}) > 1 else 22,
    )


def phases(field: Sequence[Measured]) -> style.Chart:
    """Spans of the sample nearest the median, stacked in the order in which they happen. Seconds."""
    order = list(dict.fromkeys(name for m in field for name in m.phases))
    records = [
        {
            **style.mark(m),
            "name": f"{m.variant}, {m.group.condition}",
            "phase": words(name),
            "turn": order.index(name),
            "seconds": spent_s,
            "total": sum(m.phases.values()) + (AFTER_S if m.group.condition == "cold" else 0.0),
            "row": m.typical_ref,
        }
        for m in field
        for name, spent_s in m.phases.items()
    ]
    # One hue per engine everywhere, so spans differ by strength: the last faint, the first full, gaps of paper between.
    bars = (
        style.shown(records)
        .mark_bar(stroke="var(--paper)", strokeWidth=1, height={"band": 0.72})
        .encode(
            style.rows_by("name", "total"),
            style.x_of("seconds", "Time of one run (s)").stack("zero"),
            style.coloured(),
            alt.Opacity(
                "phase:O",
                sort=[words(name) for name in order],
                scale=alt.Scale(domain=[words(name) for name in order], range=[1, 0.25]),
                legend=style.legend_on_top(
                    columns=3, symbolFillColor="var(--muted)", symbolStrokeWidth=0, symbolType="square"
                ),
            ),
            alt.Order("turn:Q"),
            tooltip=[style.tip("name"), style.tip("phase"), style.tip("seconds", ".3f"), style.tip("row")],
        )
    )
    return style.finish(bars, row_px=20)


def cold_and_warm(field: Sequence[Measured]) -> style.Chart:
    """First run and warm run of a variant joined by a line, with the factor between them. Seconds."""
    records = [
        {
            **style.any_condition(cold),
            "warm": warm.estimate.median,
            "cold": cold.estimate.median,
            "factor": f"{cold.estimate.median / warm.estimate.median:.2f} times",
            "edge": max(cold.estimate.median, warm.estimate.median),
        }
        for warm, cold in pairs(field)
    ]
    shown = style.shown(records)
    rows = style.rows_by("variant", "warm")
    title = "Time of one run (s): ● warm, ◇ cold"
    tip = [style.tip("variant"), style.tip("warm", ".3f"), style.tip("cold", ".3f"), style.tip("factor")]
    line = shown.mark_rule(strokeWidth=3, opacity=0.35).encode(
        rows, style.x_of("warm", title, 90), alt.X2("cold"), style.coloured()
    )
    warm = shown.mark_point(filled=True, size=95, opacity=1).encode(
        rows, style.x_of("warm", title, 90), style.coloured(), tooltip=tip
    )
    cold = shown.mark_point(
        filled=True, shape="diamond", size=95, opacity=1, fill="var(--paper)", strokeWidth=2
    ).encode(rows, style.x_of("cold", title, 90), alt.Stroke("colour:N", scale=None), tooltip=tip)
    label = style.label(shown, "factor").encode(rows, style.x_of("edge", title, 90))
    return style.finish(line + warm + cold + label, row_px=26)


def startups(field: Sequence[Measured]) -> style.Chart:
    """Seconds from asking for workers to having them, one bar per variant."""
    records = [
        {
            **style.any_condition(m),
            "startup": m.startup_s,
            "label": seconds(m.startup_s),
            "edge": m.startup_s,
        }
        for m in once_per_variant(field)
        if m.startup_s is not None
    ]
    shown = style.shown(records)
    rows = style.rows_by("variant", "startup")
    title = "Start-up (s)"
    bars = shown.mark_bar(height={"band": 0.6}, cornerRadiusEnd=2).encode(
        rows,
        style.x_of("startup", title, 90),
        style.coloured(),
        tooltip=[style.tip("variant"), style.tip("startup", ".2f")],
    )
    label = style.label(shown, "label").encode(rows, style.x_of("edge", title, 90))
    return style.finish(bars + label, row_px=24)


def cold_factors(field: Sequence[Measured], published: Sequence[Published]) -> style.Chart:
    """How many times longer a first run takes than a warm one: ours beside what the text of the study states."""
    ours = [
        {
            **style.any_condition(cold),
            "factor": cold.estimate.median / warm.estimate.median,
            "whose": "ours",
            "own": 1,
            "label": f"{cold.estimate.median / warm.estimate.median:.2f}",
        }
        for warm, cold in pairs(field)
        if cold.engine in {p.engine for p in published} and not cold.double
    ]
    theirs = [
        {
            "engine": p.engine,
            "variant": p.engine,
            "colour": style.colour(p.engine),
            "factor": p.value,
            "whose": "published",
            "own": 0,
            "label": f"{p.value:g} published",
            "source": f"{p.source}, {p.place}",
        }
        for p in published
        if p.value is not None
    ]
    records = [*ours, *theirs]
    shown = style.shown(records)
    rows = alt.Y("engine:N", title=None, axis=alt.Axis(domain=False, ticks=False))
    offset = alt.YOffset("whose:N", sort=["ours", "published"])
    title = "Cold over warm (times as long)"
    points = shown.mark_point(size=95, opacity=1, strokeWidth=2).encode(
        rows,
        style.x_of("factor", title, 100),
        offset,
        alt.Stroke("colour:N", scale=None),
        alt.Fill("colour:N", scale=None),
        alt.FillOpacity("own:Q", scale=None),
        alt.Shape(
            "whose:N",
            scale=alt.Scale(domain=["ours", "published"], range=["circle", "triangle-up"]),
            legend=style.legend_on_top(),
        ),
        tooltip=[style.tip("variant"), style.tip("whose"), style.tip("factor", ".2f"), style.tip("source")],
    )
    label = style.label(shown, "label").encode(rows, style.x_of("factor", title, 100), offset)
    return style.finish(points + label, lane_px=20)


def pairs(field: Sequence[Measured]) -> list[tuple[Measured, Measured]]:
    """(warm, cold) of the same variant, data and run."""
    cold = {m.group: m for m in field if m.group.condition == "cold"}
    found = [(m, cold.get(m.group._replace(condition="cold"))) for m in field if m.group.condition == "warm"]
    return [(warm, first) for warm, first in found if first is not None]


def once_per_variant(field: Sequence[Measured]) -> list[Measured]:
    """One group for all conditions of a variant, since they share their start-up."""
    return list({m.group._replace(condition=""): m for m in field}.values())


def tasks_over_time(field: Sequence[Measured]) -> style.Chart:
    """Each call in each worker's lane, of the sample nearest the median, a panel for each variant and condition."""
    records = [
        {
            **style.mark(m),
            "panel": panel_name(m),
            "lane": f"{'function' if task.on_function else 'worker'} {task.lane + 1}",
            "turn": task.lane,
            "from": task.began_s,
            "to": task.ended_s,
            "seconds": task.ended_s - task.began_s,
            "colour": style.colour("lithops" if task.on_function else m.engine.split("+")[0]),
            "row": m.typical_ref,
        }
        for m in field
        for task in m.typical.row.tasks
    ]
    bars = (
        alt.Chart()
        .mark_bar(stroke="var(--card)", strokeWidth=1, height={"band": 0.8})
        .encode(
            alt.X(
                "from:Q",
                title="Seconds since the run began",
                axis=alt.Axis(tickCount=8, labelOverlap="greedy", labelSeparation=6),
            ),
            alt.X2("to"),
            alt.Y(
                "lane:N",
                title=None,
                sort=alt.EncodingSortField("turn", op="min"),  # not by the name: 10 is before 2 in it
                axis=alt.Axis(domain=False, ticks=False, grid=False),
            ),
            style.coloured(),
            tooltip=[style.tip("panel"), style.tip("lane"), style.tip("seconds", ".3f"), style.tip("row")],
        )
    )
    order = [panel_name(m) for m in sorted(field, key=lambda m: m.estimate.median)]
    return style.panels(records, "panel", bars, order=order)


def panel_name(measured: Measured) -> str:
    """For a panel's head."""
    return f"{measured.variant}, {measured.group.condition}"
