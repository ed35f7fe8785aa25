"""Ours beside what a study states in its text. A published value is a triangle in grey, a published range a line
between two; a bound points the way in which the value lies."""

from collections.abc import Callable
from typing import Any

import altair as alt

from bench.report.charts import style
from catalog.published import Published


def ours(name: str, engine: str, value: float, **more: Any) -> dict[str, Any]:
    """A record of ours. `more`: tags by which the page filters; low and high, if there is an interval."""
    return {"name": name, "engine": engine, "value": value, "whose": "ours", "colour": style.colour(engine), **more}


def theirs(name: str, one: Published, factor: float = 1.0, **more: Any) -> dict[str, Any]:
    """A record of a published value or range, with its place in the source."""
    bounds = [bound * factor for bound in (one.low, one.value, one.high) if bound is not None]
    middle = bounds[0] if len(bounds) == 1 else (bounds[0] * bounds[-1]) ** 0.5
    spread = {"low": bounds[0], "high": bounds[-1]} if len(bounds) > 1 else {}
    return {
        "name": name,
        "value": middle,
        "whose": "published",
        "colour": "var(--muted)",
        "source": f"{one.source}, {one.place}",
        **spread,
        **more,
    }


def beside(
    records: list[dict[str, Any]], title: str, say: Callable[[float], str], reference: float | None = None
) -> style.Chart:
    """A row for each name, in the order given, on a log axis. say: a value with its unit. reference: where a rule is
    drawn, such as 1 for a ratio. A name stands above its marks, since beside them it would leave no room on a phone."""
    names = list(dict.fromkeys(record["name"] for record in records))
    spans = [(record.get("low", record["value"]), record.get("high", record["value"])) for record in records]
    ends = [end for span in spans for end in span]
    axis = style.log([*ends, *([reference] if reference else [])], 100)
    for record, (low, high) in zip(records, spans, strict=True):
        ranged = record["whose"] == "published" and low != high
        said = f"{style.short(low)} to {say(high)}" if ranged else say(record["value"])
        record |= {"from": low, "until": high, "said": said}
    shown = style.shown(records)
    rows = alt.Y("name:N", title=None, sort=names, axis=None)

    def x(name: str) -> alt.X:
        return alt.X(f"{name}:Q", title=title, **axis)

    spread = shown.mark_rule(strokeWidth=4, opacity=0.4, strokeCap="round", yOffset=8).encode(
        rows, x("from"), alt.X2("until"), style.coloured()
    )
    points = shown.mark_point(filled=True, size=90, opacity=1, stroke="var(--card)", strokeWidth=1, yOffset=8).encode(
        rows,
        x("value"),
        alt.Fill("colour:N", scale=None),
        style.whose(records),
        tooltip=[style.tip("name"), style.tip("whose"), style.tip("said"), style.tip("source")],
    )
    texts = style.label(shown, "said", dy=8).encode(rows, x("until"))
    heads = shown.mark_text(align="left", dy=-8, fontSize=11.5, fill="var(--muted)").encode(
        rows, x=alt.value(0), text="name:N"
    )
    layers = [heads, spread, points, texts]
    if reference is not None:
        base = alt.Chart(alt.InlineData(values=[{"at": reference}]))
        layers.insert(0, base.mark_rule(stroke="var(--ink)", strokeDash=[3, 3]).encode(x("at")))
    return style.finish(alt.layer(*layers), row_px=38)
