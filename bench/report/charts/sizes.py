"""Charts of scaling: time against the size of the work, on log axes."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from bench.report.charts import style
from bench.report.data import BASELINES, Measured, without
from catalog.published import Published

MORE, LESS = "published: over", "published: under"
ONE, SEVERAL = "one file", "several files"
SIGNS = {SEVERAL: "circle", ONE: "square", MORE: "triangle-up", LESS: "triangle-down"}


def time_by_size(field: Sequence[Measured], unit: str, published: Sequence[Published] = ()) -> style.Chart:
    """Median with interval against the size of the work, a line for each variant; published bounds as triangles."""
    records: list[dict[str, Any]] = [
        {
            **tags(m),
            "colour": style.colour(m.engine),
            "size": m.size[0],
            "seconds": m.estimate.median,
            "low": m.estimate.low if m.estimate.low is not None else m.estimate.median,
            "high": m.estimate.high if m.estimate.high is not None else m.estimate.median,
            "line": f"{name(m)}, {m.group.condition}, {m.group.stack}, {files(m)}",
            "sign": files(m),
        }
        for m in field
        if m.size
    ]
    shown = style.shown(records)
    bounds = _bounds(published)
    every = [*records, *bounds]
    x = alt.X("size:Q", title=f"{unit} (log)", **style.log(record["size"] for record in every))
    seconds = style.log(record[name] for record in every for name in ("low", "seconds", "high") if name in record)

    def y(name: str) -> alt.Y:
        return alt.Y(f"{name}:Q", title="Time of one run (s, log)", **seconds)

    there = [sign for sign in SIGNS if any(record["sign"] == sign for record in every)]
    shape = alt.Shape(
        "sign:N",
        scale=alt.Scale(domain=there, range=[SIGNS[sign] for sign in there]),
        legend=style.legend_on_top(columns=2) if len(there) > 1 else None,
    )
    tip = [style.tip("line"), style.tip("size", ".3g"), style.tip("seconds", ".3f")]
    lines = shown.mark_line(strokeWidth=2).encode(
        x, y("seconds"), alt.Stroke("colour:N", scale=None), style.dashes(records), alt.Detail("line:N"), tooltip=tip
    )
    spread = shown.mark_rule(strokeWidth=4, opacity=0.3, strokeCap="round").encode(
        x, y("low"), alt.Y2("high"), style.coloured()
    )
    dots = shown.mark_point(filled=True, size=75, opacity=1, stroke="var(--card)", strokeWidth=1).encode(
        x, y("seconds"), style.engine_fill(records), shape, tooltip=tip
    )
    layers: list[alt.Chart] = [lines, spread, dots]
    if bounds:
        theirs = alt.Chart(alt.InlineData(values=bounds))
        layers.append(
            theirs.mark_point(size=80, filled=True, fill="var(--muted)", opacity=1).encode(
                x, y("seconds"), shape, tooltip=[style.tip("said"), style.tip("source")]
            )
        )
        layers.append(
            theirs.mark_text(align="right", dx=-9, fontSize=11.5, fill="var(--muted)").encode(
                x, y("seconds"), text="said:N"
            )
        )
    return style.finish(alt.layer(*layers), height=340)


def ratio_by_size(records: list[dict[str, Any]], reference: str, unit: str) -> style.Chart:
    """Time over that of the reference against size: below 1 is faster than it. Records: size, ratio, low, high."""
    shown = style.shown(records)
    x = alt.X("size:Q", title=f"{unit} (log)", **style.log(record["size"] for record in records))
    axis = style.log([1.0, *(record[name] for record in records for name in ("low", "high"))])

    def y(name: str) -> alt.Y:
        return alt.Y(f"{name}:Q", title=f"Times the time of {reference} (log)", **axis)

    tip = [
        style.tip("line"),
        style.tip("size", ".3g"),
        style.tip("ratio", ".2f"),
        style.tip("low", ".2f"),
        style.tip("high", ".2f"),
    ]
    lines = shown.mark_line(strokeWidth=2).encode(
        x, y("ratio"), alt.Stroke("colour:N", scale=None), alt.Detail("line:N")
    )
    spread = shown.mark_rule(strokeWidth=4, opacity=0.3, strokeCap="round").encode(
        x, y("low"), alt.Y2("high"), style.coloured()
    )
    dots = shown.mark_point(filled=True, size=75, opacity=1, stroke="var(--card)", strokeWidth=1).encode(
        x, y("ratio"), style.engine_fill(records), tooltip=tip
    )
    one = alt.Chart(alt.InlineData(values=[{"one": 1, "said": f"as fast as {reference}"}]))
    rule = one.mark_rule(stroke="var(--ink)", strokeDash=[4, 3]).encode(alt.Y("one:Q"))
    said = one.mark_text(align="right", dy=-6, fontSize=11.5, fill="var(--ink)").encode(
        alt.Y("one:Q"), x=alt.value("width"), text="said:N"
    )
    return style.finish(alt.layer(rule, said, lines, spread, dots), height=300)


def tags(m: Measured) -> dict[str, Any]:
    """Tags for a chart that shows all sizes and only the latest: neither data, run nor reader filter it."""
    return without(m.tags, "data", "run", "latest", "reader")


def _bounds(published: Sequence[Published]) -> list[dict[str, Any]]:
    return [
        {
            "size": one.data_gb,
            "seconds": one.low if one.high is None else one.high,
            "sign": MORE if one.high is None else LESS,
            "said": f"{one.workers} workers: {'>' if one.high is None else '<'} {one.low or one.high:g} s",
            "source": f"{one.source}, {one.place}",
        }
        for one in published
        if one.data_gb
    ]


def name(m: Measured) -> str:
    """With its reader at every size: a variant's own name tells it only where readers are compared."""
    return m.group.label if m.engine in BASELINES or m.group.reader == "-" else f"{m.group.label} · {m.group.reader}"


def files(m: Measured) -> str:
    """One file is a case of its own: not every reader can split it."""
    data = m.typical.row.data
    return ONE if data and data.files == 1 else SEVERAL
