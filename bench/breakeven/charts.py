"""The chart a manager reads at once: USD a day against runs a day."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from bench.breakeven import Option, grid, reached


def chart(options: Sequence[Option], colours: Mapping[str, str] | None = None) -> alt.LayerChart | alt.FacetChart:
    """USD a day against runs a day: a line and a band per option, a rule at break-even. `colours` by option name."""
    points = [
        {"option": option.name, "runs": runs, "usd": usd.value, "low": usd.low, "high": usd.high}
        for option in options
        for runs in grid(options)
        if (option.kind == "functions" or runs <= option.runs_per_day) and (usd := option.day_usd(runs))
    ]
    names = [option.name for option in options]
    scale = alt.Scale(domain=names, range=[colours[name] for name in names]) if colours else alt.Scale(domain=names)
    colour = alt.Color("option:N", scale=scale, legend=alt.Legend(title=None, orient="top", symbolOpacity=1))
    decades = alt.Axis(tickCount=5, gridOpacity=0.4, format=",~g")
    x = alt.X("runs:Q", scale=alt.Scale(type="log"), title="Runs a day", axis=decades)
    base = alt.Chart(alt.InlineData(values=points))
    band = base.mark_area(opacity=0.18).encode(
        x, alt.Y("low:Q", scale=alt.Scale(type="log"), title="USD a day", axis=decades), alt.Y2("high"), colour
    )
    tip = [alt.Tooltip("option:N"), *(alt.Tooltip(f"{f}:Q", format=",.4g") for f in ("runs", "usd", "low", "high"))]
    line = base.mark_line(strokeWidth=2.5).encode(x, alt.Y("usd:Q"), colour, tooltip=tip)
    layers = [band, line, *_rule(options, x)]
    return alt.layer(*layers).properties(width="container", height=320)


def _rule(options: Sequence[Option], x: alt.X) -> list[alt.Chart]:
    loads = [one.runs_per_day.value for one in reached(options) if one.runs_per_day]
    if not loads:
        return []
    # Where there is room: a label on the right of a late rule would make the axis shrink for it.
    late = math.log(loads[0]) > math.log(grid(options)[-1]) / 2
    place: dict[str, Any] = {"align": "right", "dx": -5} if late else {"align": "left", "dx": 5}
    label = f"as cheap at {loads[0]:,.0f} runs a day"
    base = alt.Chart(alt.InlineData(values=[{"runs": loads[0], "label": label}]))
    rule = base.mark_rule(strokeDash=[4, 3]).encode(x)
    return [rule, base.mark_text(**place, dy=8, baseline="top").encode(x, y=alt.value(0), text="label:N")]
