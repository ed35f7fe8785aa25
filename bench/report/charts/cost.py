"""Charts of money."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from bench.breakeven import Option
from bench.breakeven.charts import chart as cost_of_a_day
from bench.report.charts import style
from bench.report.data import Measured
from bench.report.findings import dollars, rivals


def cost_and_time(field: Sequence[Measured]) -> style.Chart:
    """Modelled USD of 1000 runs against the median time of one. Lower left is better; the ends are named."""
    priced = [m for m in rivals(field) if m.usd is not None]
    best = _ends(priced)
    records = [
        {
            **style.mark(m),
            "median": m.estimate.median,
            "low": m.estimate.low if m.estimate.low is not None else m.estimate.median,
            "high": m.estimate.high if m.estimate.high is not None else m.estimate.median,
            "usd": float(m.usd or 0) * 1000,
            "price": dollars(float(m.usd or 0)),
            "prices of": str(m.priced_on),
            "label": m.variant if m in best else "",
        }
        for m in priced
    ]
    shown = style.shown(records)
    y = alt.Y("usd:Q", title="USD of 1000 runs (log, ↓ cheaper)", **style.log(record["usd"] for record in records))
    axis = style.log(record[name] for record in records for name in ("low", "median", "high"))

    def x(name: str) -> alt.X:
        return alt.X(f"{name}:Q", title="Time of one run (s, log, ← faster)", **axis)

    tip = [
        style.tip("variant"),
        style.tip("condition"),
        style.tip("median", ".3f"),
        style.tip("price"),
        style.tip("prices of"),
    ]
    spread = shown.mark_rule(strokeWidth=4, opacity=0.3).encode(y, x("low"), alt.X2("high"), style.coloured())
    points = shown.mark_point(filled=True, size=120, opacity=1, stroke="var(--paper)", strokeWidth=1).encode(
        y, x("median"), style.engine_fill(records), style.condition(records), tooltip=tip
    )
    label = shown.mark_text(dy=-13, fontSize=11.5, fill="var(--ink)").encode(y, x("median"), text="label:N")
    return style.finish(spread + points + label, height=340)


def break_even(options: Sequence[Option]) -> style.Chart:
    """USD a day against runs a day, a line and a band for each option, named after its engine."""
    drawn = cost_of_a_day(options, {option.name: style.colour(option.name) for option in options})
    finished: style.Chart = (
        style.finish(drawn, height=340).configure_text(color="var(--ink)").configure_rule(color="var(--ink)")
    )
    return finished


def _ends(field: Sequence[Measured]) -> list[Measured]:
    """The fastest and the cheapest of each data, warm where there are warm ones: few enough to be named."""
    found = []
    for dataset in dict.fromkeys(m.group.dataset for m in field):
        own = [m for m in field if m.latest and m.group.dataset == dataset]
        own = [m for m in own if m.group.condition == "warm"] or own
        if own:
            found += [min(own, key=lambda m: m.estimate.median), min(own, key=lambda m: m.usd or 0)]
    return found


def spent(records: list[dict[str, Any]], parts: Sequence[str]) -> style.Chart:
    """Stacked bars of USD by part of a command, a bar for each engine: the fuller the colour, the earlier the part.

    records: engine, variant, part, usd, total and the tags by which the page filters.
    """
    there = [part for part in parts if any(record["part"] == part for record in records)]
    shown = style.shown(records)
    rows = style.rows_by("variant", "total")
    bars = shown.mark_bar(stroke="var(--card)", strokeWidth=1, height={"band": 0.68}).encode(
        rows,
        style.x_of("usd", "USD of the whole command", 110),
        style.coloured(),
        alt.Opacity(
            "part:O",
            sort=there,
            scale=alt.Scale(domain=there, range=[1, 0.3] if len(there) > 1 else [1, 1]),
            legend=style.legend_on_top(symbolFillColor="var(--muted)", symbolStrokeWidth=0, symbolType="square"),
        ),
        alt.Order("turn:Q"),
        tooltip=[style.tip("variant"), style.tip("part"), style.tip("usd", ".3g")],
    )
    ends = list({(record["variant"], record["data"], record["run"]): record for record in records}.values())
    whole = style.shown(ends)
    said = style.label(whole, "said").encode(rows, style.x_of("total", "USD of the whole command", 110))
    return style.finish(bars + said, row_px=24)


def estimate_and_actual(records: list[dict[str, Any]], within: float) -> style.Chart:
    """Estimate against what was measured, both in seconds on log axes. On the diagonal the estimate was right; the band
    is `within` of it. records: engine, variant, actual, estimate, low, high, row."""
    axis = style.log(record[name] for record in records for name in ("actual", "estimate", "low", "high"))
    x = alt.X("actual:Q", title="Measured (s, log)", **axis)

    def y(name: str) -> alt.Y:
        return alt.Y(f"{name}:Q", title="Estimated (s, log)", **axis)

    line = [
        {"actual": at, "estimate": at, "low": at * (1 - within), "high": at * (1 + within)}
        for at in axis["scale"]["domain"]
    ]
    right = alt.Chart(alt.InlineData(values=line))
    band = right.mark_area(opacity=0.1, fill="var(--ink)", clip=True).encode(x, y("low"), alt.Y2("high"))
    diagonal = right.mark_line(stroke="var(--ink)", strokeDash=[4, 3], strokeWidth=1, clip=True).encode(
        x, y("estimate")
    )
    shown = style.shown(records)
    spread = shown.mark_rule(strokeWidth=4, opacity=0.3, strokeCap="round").encode(
        x, y("low"), alt.Y2("high"), style.coloured()
    )
    shape = alt.Shape("workload:N", legend=style.legend_on_top(symbolFillColor="var(--muted)"))
    tip = [
        style.tip("variant"),
        style.tip("workload"),
        style.tip("estimate", ".2f"),
        style.tip("actual", ".2f"),
        style.tip("row"),
    ]
    points = shown.mark_point(filled=True, size=85, opacity=1, stroke="var(--card)", strokeWidth=1).encode(
        x, y("estimate"), style.engine_fill(records), shape, tooltip=tip
    )
    return style.finish(band + diagonal + spread + points, height=360)


def by_part(records: list[dict[str, Any]], title: str) -> style.Chart:
    """Stacked bars of USD by model: the cluster's part in its engine's colour, the functions' in theirs.

    records: model, part, usd, turn, colour, and the tags by which the page filters.
    """
    order = list(dict.fromkeys(record["model"] for record in records))
    shown = style.shown(records)
    rows = alt.Y("model:N", title=None, sort=order, axis=alt.Axis(domain=False, ticks=False, labelLimit=170))
    bars = shown.mark_bar(height={"band": 0.62}, stroke="var(--card)", strokeWidth=1).encode(
        rows,
        style.x_of("usd", title, 60),
        alt.Fill("colour:N", scale=None),
        alt.Order("turn:Q"),
        tooltip=[style.tip("model"), style.tip("part"), style.tip("usd", ".4g")],
    )
    own = ("part", "usd", "turn", "colour")
    totals: dict[str, dict[str, Any]] = {}
    for record in records:
        kept = {key: value for key, value in record.items() if key not in own}
        whole_usd = totals.setdefault(repr(kept), kept | {"usd": 0.0})
        whole_usd["usd"] += record["usd"]
    ends = [one | {"said": f"{one['usd']:.3g}"} for one in totals.values()]
    whole = style.shown(ends)
    said = style.label(whole, "said").encode(rows, style.x_of("usd", title, 60))
    return style.finish(bars + said, row_px=28)
