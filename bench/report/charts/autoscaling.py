"""Charts of autoscaling: workers and images over time as stepped lines, the times and the areas that follow.

One sample is one panel or line: samples are not pooled over time, since their steps do not fall together.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import altair as alt

from bench.report.charts import style
from bench.report.growth import METRICS, Growth
from bench.scaling import rate

STATES = {"wanted": [5, 3], "ready": [1, 0], "busy": [1, 0], "starting": [2, 2], "leaving": [8, 2, 2, 2]}
"""Dashes of each line."""
CLOCK = "Seconds since the images were submitted"


def workers_over_time(field: Sequence[Growth]) -> style.Chart:
    """Workers by state, a panel for each sample; the area between wanted and ready is shaded, by who lacks whom."""
    records: list[dict[str, Any]] = []
    for one in field:
        base = {**one.of.tags, "panel": one.name, "colour": style.colour(one.of.engine)}
        for step in one.steps:
            records += [
                {**base, "kind": "line", "at": step.at_s, "state": state, "workers": getattr(step, state), "part": 0}
                for state in ("wanted", "ready", "busy")
            ]
            more = max(step.wanted, step.ready)
            for name, less in (("under", step.ready), ("over", step.wanted)):
                records.append({**base, "area": name, "at": step.at_s, "from": less, "to": more})
        for state in ("starting", "leaving"):
            records += [{**base, "kind": "line", "state": state, **point} for point in _moving(one, state)]
        records.append({**base, "kind": "end", "at": one.run_s, "label": "last image"})
    there = [name for name in STATES if any(record.get("state") == name for record in records)]
    x = alt.X("at:Q", title=CLOCK, axis=alt.Axis(tickCount=8, grid=False))
    workers = alt.Axis(tickMinStep=1, tickCount=4, format="d")

    def y(name: str) -> alt.Y:
        return alt.Y(f"{name}:Q", title="Workers", axis=workers)

    def area(name: str) -> alt.Chart:
        return alt.Chart().transform_filter(f"datum.area == '{name}'")

    shaded = [
        area("under")
        .mark_area(interpolate="step-after", opacity=0.16, fill="var(--ink)")
        .encode(x, y("from"), alt.Y2("to")),
        area("over")
        .mark_area(interpolate="step-after", opacity=0.28)
        .encode(x, y("from"), alt.Y2("to"), style.coloured()),
    ]
    dash = alt.StrokeDash(
        "state:N",
        scale=alt.Scale(domain=there, range=[STATES[name] for name in there]),
        legend=style.legend_on_top(symbolType="stroke", symbolStrokeWidth=2, symbolSize=300, columns=3),
    )
    tip = [style.tip("panel"), style.tip("state"), style.tip("at", ".1f"), style.tip("workers")]
    lines = [
        alt.Chart()
        .transform_filter(f"datum.kind == 'line' && ({which})")
        .mark_line(interpolate="step-after", strokeWidth=width, opacity=opacity)
        .encode(x, y("workers"), dash, alt.Detail(["state:N", "part:N"]), stroke=stroke, tooltip=tip)
        for which, width, opacity, stroke in (
            ("datum.state == 'busy'", 5, 0.35, alt.Stroke("colour:N", scale=None)),
            ("datum.state == 'ready'", 2.5, 1, alt.Stroke("colour:N", scale=None)),
            ("datum.state == 'starting' || datum.state == 'leaving'", 1.5, 0.9, alt.value("var(--muted)")),
            ("datum.state == 'wanted'", 1.5, 1, alt.value("var(--ink)")),
        )
    ]
    end = alt.Chart().transform_filter("datum.kind == 'end'")
    rule = end.mark_rule(stroke="var(--muted)", strokeWidth=1).encode(x)
    said = end.mark_text(align="left", dx=4, dy=-3, baseline="bottom", fontSize=11, fill="var(--muted)").encode(
        x, y=alt.value(0), text="label:N"
    )
    order = list(dict.fromkeys(one.name for one in field))
    return style.panels(records, "panel", *shaded, *lines, rule, said, order=order, height=120)


def images_over_time(field: Sequence[Growth], every_s: float = 1.0) -> style.Chart:
    """Images per second as stepped lines, one per sample, in the colour of its engine; cold ones dashed."""
    records = [
        {
            **one.of.tags,
            "sample": one.name,
            "at": at - every_s,
            "rate": per_s,
            "colour": style.colour(one.of.engine),
        }
        for one in field
        for at, per_s in [*rate(one.steps, every_s), (_end(one, every_s), 0.0)]
    ]
    shown = style.shown(records)
    tip = [style.tip("sample"), style.tip("at", ".0f"), style.tip("rate", ".3g")]
    encoded: dict[str, Any] = {
        "x": alt.X("at:Q", title=CLOCK, axis=alt.Axis(tickCount=8, grid=False)),
        "y": alt.Y("rate:Q", title="Images per second", axis=alt.Axis(tickCount=6)),
    }
    lines = shown.mark_line(interpolate="step-after", strokeWidth=2).encode(
        **encoded,
        stroke=alt.Stroke("colour:N", scale=None),
        strokeDash=style.dashes(records),
        detail="sample:N",
        tooltip=tip,
    )
    # Unseen points carry the legend of colours, which a line without a scale has not.
    names = shown.mark_point(size=0, opacity=0).encode(**encoded, fill=style.engine_fill(records, symbolOpacity=1))
    return style.finish(lines + names, height=280)


def areas(field: Sequence[Growth]) -> style.Chart:
    """Worker-seconds wanted and not ready to the left, ready and not wanted to the right."""
    sides = {"under_worker_s": -1, "over_worker_s": 1}
    records = [
        {
            **one.of.tags,
            "variant": f"{one.of.variant}, {one.of.group.condition}",
            "colour": style.colour(one.of.engine),
            "signed": sides[metric] * one.times[metric].median,
            "side": METRICS[metric],
            "label": f"{one.times[metric].median:.0f}",
            "own": 0.45 if metric == "under_worker_s" else 1,
        }
        for one in field
        for metric in sides
        if metric in one.times
    ]
    shown = style.shown(records)
    rows = style.rows_by("variant", "signed")
    title = "← lacking · worker-seconds · idle →"
    x = alt.X(
        "signed:Q",
        title=title,
        scale=alt.Scale(padding=26),
        axis=alt.Axis(tickCount=7, labelExpr="format(abs(datum.value), '~s')"),
    )
    bars = shown.mark_bar(height={"band": 0.6}).encode(
        rows,
        x,
        style.coloured(),
        alt.Opacity("own:Q", scale=None),
        tooltip=[style.tip("variant"), style.tip("side"), style.tip("label")],
    )
    texts = [
        shown.transform_filter(f"datum.signed {sign} 0")
        .mark_text(align=align, dx=dx, fontSize=11.5, fill="var(--ink)")  # type: ignore[arg-type]
        .encode(rows, x, text="label:N")
        for sign, align, dx in (("<", "right", -5), (">=", "left", 5))
    ]
    zero = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(stroke="var(--ink)").encode(alt.X("zero:Q"))
    return style.finish(alt.layer(bars, *texts, zero), row_px=24)


def palette(image: str, colours: Sequence[str]) -> style.Chart:
    """The colours of one image, the one of most pixels first."""
    records = [{"place": place, "hex": found, "image": image} for place, found in enumerate(colours, start=1)]
    base = style.shown(records)
    x = alt.X(
        "place:O",
        title=f"Colours of {image}, most pixels first",
        axis=alt.Axis(labelAngle=0, domain=False, ticks=False),
    )
    squares = base.mark_rect(stroke="var(--card)", strokeWidth=3, height=90).encode(
        x, alt.Fill("hex:N", scale=None), y=alt.value(45), tooltip=[style.tip("hex")]
    )
    names = base.mark_text(fontSize=11.5, fill="var(--ink)").encode(x, y=alt.value(102), text="hex:N")
    return style.finish(squares + names, height=112)


def _moving(one: Growth, state: str) -> list[dict[str, Any]]:
    """Points of a stepped line where nodes start or leave; nothing is drawn while none does."""
    points = []
    for part, (step, following) in enumerate(itertools.pairwise(one.steps)):
        if count := getattr(step, state):
            points += [{"at": at, "workers": count, "part": part} for at in (step.at_s, following.at_s)]
    return points


def _end(one: Growth, every_s: float) -> float:
    found = rate(one.steps, every_s)
    return (found[-1][0] if found else 0.0) + every_s
