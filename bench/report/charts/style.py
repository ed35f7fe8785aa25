"""What all charts share. Colours are the page's own variables, such as `var(--ray)`, so one chart serves light, dark
and print. Every record carries the fields by which the page filters; the page sets the parameter `pick`, and `SHOWN`
keeps what it asks for.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt

from bench.report.data import Measured

ENGINES = ("ray", "dask", "lithops", "ray+lithops", "dask+lithops", "pandas", "arrow", "polars")
"""Engines that have a colour of their own in style.css; any other is drawn in the ink of the text."""

PICK = {"data": "", "run": "latest", "reader": "all", "engine": [], "condition": []}
SHOWN = (
    "(pick.data == '' || !isDefined(datum.data) || datum.data == pick.data)"
    " && (!isDefined(datum.run) || (pick.run == 'latest' ? datum.latest : datum.run == pick.run))"
    " && (pick.reader == 'all' || !isDefined(datum.reader) || datum.reader == pick.reader)"
    " && (!isDefined(datum.engine) || indexof(pick.engine, datum.engine) < 0)"
    " && (!isDefined(datum.condition) || indexof(pick.condition, datum.condition) < 0)"
)
FONT = "system-ui, 'Segoe UI', Roboto, sans-serif"  # as in style.css: labels are measured with it
TICKS = 3  # fewer on a log axis would not show its scale
SHAPES = {"warm": "circle", "cold": "diamond", "none": "square"}
WHOSE = {"ours": "circle", "published": "triangle-up"}

BY_WIDTH: Any = {"expr": "clamp(ceil(width / 90), 2, 8)"}
"""Ticks of an axis that is as wide as its chart."""

Chart = alt.LayerChart | alt.Chart | alt.FacetChart


def colour(engine: str) -> str:
    """The engine's colour as the page resolves it; the text's ink for an engine without one."""
    return f"var(--{engine.replace('+', '-')}, var(--ink))"


def mark(measured: Measured) -> dict[str, Any]:
    """What every record of a group has."""
    return {**measured.tags, "variant": measured.variant, "colour": colour(measured.engine)}


def any_condition(measured: Measured) -> dict[str, Any]:
    """The same for what cold and warm have in common."""
    return {key: value for key, value in mark(measured).items() if key != "condition"}


def shown(records: list[dict[str, Any]]) -> alt.Chart:
    """A chart of the records that the page asks for."""
    return alt.Chart(alt.InlineData(values=records)).transform_filter(SHOWN)


def coloured() -> alt.Color:
    return alt.Color("colour:N", scale=None)


def in_order(engines: Iterable[str]) -> list[str]:
    """Engines in the order of their colours, those without one last."""
    there = set(engines)
    return [name for name in ENGINES if name in there] + sorted(there - set(ENGINES))


def engine_fill(records: Sequence[dict[str, Any]], **legend: Any) -> alt.Fill:
    """The engine's colour with a legend, by the field `engine`."""
    names = in_order(record["engine"] for record in records if "engine" in record)
    scale = alt.Scale(domain=names, range=[colour(name) for name in names])
    shape = {"columns": 3, "symbolType": "circle", "symbolStrokeWidth": 0} | legend
    return alt.Fill("engine:N", scale=scale, legend=legend_on_top(**shape))


def legend_on_top(**changes: Any) -> alt.Legend:
    return alt.Legend(orient="top", title=None, **changes)


def rows_by(name: str, by: str) -> alt.Y:
    """A row for each value of `name`, least `by` first."""
    order = alt.EncodingSortField(by, op="min")
    return alt.Y(f"{name}:N", title=None, sort=order, axis=alt.Axis(domain=False, ticks=False, labelLimit=170))


def x_of(name: str, title: Any, room_px: int = 0) -> alt.X:
    """A quantity from zero on. room_px: kept free at the right, for the labels of marks."""
    scale = alt.Scale(zero=True, rangeMax=_left_of(room_px))
    return alt.X(f"{name}:Q", title=title, scale=scale, axis=alt.Axis(tickCount=BY_WIDTH, labelOverlap="greedy"))


def _left_of(room_px: int) -> Any:
    return {"expr": f"width - {room_px}"} if room_px else alt.Undefined


def log(values: Iterable[float], room_px: int = 0) -> dict[str, Any]:
    """Scale and axis of these values on a log axis: the domain just holds them, and ticks are few and round:
    decades where there are enough, else numbers between. room_px: as of `x_of`."""
    there = [value for value in values if value > 0] or [1.0]
    low, high = min(there) / 1.15, max(there) * 1.15
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.4, 1.7, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)):
        ticks = [tick for power in decades for step in steps if low <= (tick := float(f"{step}e{power}")) <= high]
        if len(ticks) >= TICKS:
            break
    axis = alt.Axis(values=ticks, format=",~g", labelOverlap="greedy")
    scale = alt.Scale(type="log", nice=False, domain=[low, high], rangeMax=_left_of(room_px))
    return {"scale": scale, "axis": axis}


def short(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def tip(name: str, form: str | None = None) -> alt.Tooltip:
    return alt.Tooltip(f"{name}:Q", format=form) if form else alt.Tooltip(f"{name}:N")


def label(chart: alt.Chart, name: str, dy: float = 0) -> alt.Chart:
    """Text at the right of a mark."""
    drawn = chart.mark_text(align="left", dx=9, dy=dy, fontSize=11.5, fill="var(--ink)")
    text: alt.Chart = drawn.encode(text=f"{name}:N")
    return text


def condition(records: Sequence[dict[str, Any]]) -> alt.Shape:
    """Warm round, cold as a diamond."""
    there = [name for name in SHAPES if any(record["condition"] == name for record in records)]
    scale = alt.Scale(domain=there, range=[SHAPES[name] for name in there])
    return alt.Shape("condition:N", scale=scale, legend=legend_on_top() if len(there) > 1 else None)


def dashes(records: Sequence[dict[str, Any]]) -> alt.StrokeDash:
    """Warm in full lines, cold dashed."""
    there = [name for name in SHAPES if any(record["condition"] == name for record in records)]
    scale = alt.Scale(domain=there, range=[[1, 0] if name == "warm" else [4, 3] for name in there])
    legend = legend_on_top(symbolType="stroke", symbolSize=300) if len(there) > 1 else None
    return alt.StrokeDash("condition:N", scale=scale, legend=legend)


def whose(records: Sequence[dict[str, Any]]) -> alt.Shape:
    """Ours round, published ones triangles."""
    there = [name for name in WHOSE if any(record["whose"] == name for record in records)]
    scale = alt.Scale(domain=there, range=[WHOSE[name] for name in there])
    return alt.Shape("whose:N", scale=scale, legend=legend_on_top() if len(there) > 1 else None)


def panels(
    records: list[dict[str, Any]], by: str, *layers: alt.Chart, order: Sequence[str], height: int | None = None
) -> Chart:
    """Layers over the same records, one panel below the other for each value of `by`, on one common x axis.

    height: of a panel; without one, 16 px for each lane of a y axis of names, which then is each panel's own.
    """
    drawn = alt.layer(*layers, data=alt.InlineData(values=records)).properties(height=height or alt.Step(16))
    header = alt.Header(labelAnchor="start", labelFontWeight=600, labelFontSize=12.5, labelPadding=4)
    facet = alt.Facet(f"{by}:N", title=None, sort=list(order), header=header)
    below = drawn.transform_filter(SHOWN).facet(facet=facet, columns=1, spacing=14)
    return styled(below if height else below.resolve_scale(y="independent"), grid=True)


def finish(chart: Chart, row_px: int | None = None, height: int | None = None, lane_px: int | None = None) -> Chart:
    """Sized: `height` in all, or px for each row, or for each lane of a row with an offset."""
    size = alt.Step(lane_px, **{"for": "offset"}) if lane_px else alt.Step(row_px) if row_px else height
    return styled(chart.properties(width="container", height=size), grid=height is not None)


def styled(chart: Any, *, grid: bool) -> Chart:
    """The page's fonts and colours, its parameter, no ground of its own. grid: lines at the y axis' ticks."""
    finished: Chart = (
        chart.properties(background="transparent")
        .add_params(alt.param(name="pick", value=PICK))
        .configure(font=FONT)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor="var(--ink)", titleColor="var(--muted)", gridColor="var(--line)", tickColor="var(--line)",
            domainColor="var(--line)", labelFontSize=12, titleFontSize=12, titleFontWeight="normal", titlePadding=8,
        )
        .configure_axisY(grid=grid)
        .configure_header(labelColor="var(--ink)", titleColor="var(--muted)")
        .configure_legend(
            labelColor="var(--ink)", labelFontSize=12, symbolStrokeColor="var(--muted)", symbolFillColor="var(--muted)",
        )
    )  # fmt: skip
    return finished
