"""Charts: pure functions from measured groups to Altair charts. Colours are the page's own variables.

A colour such as `var(--ray)` is resolved by the page, so one chart serves light, dark and print. Every record carries
the fields by which the page filters; the page sets the parameter `pick`, and `SHOWN` keeps what it asks for.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

from bench.breakeven import Option
from bench.breakeven.charts import chart as cost_of_a_day
from bench.report.data import BASELINES, Measured
from bench.report.findings import dollars, rivals, seconds, words
from catalog.published import Published

ENGINES = ("ray", "dask", "lithops", "ray+lithops", "dask+lithops", "pandas", "arrow")
"""Engines that have a colour of their own in style.css; any other is drawn in the ink of the text."""

PICK = {"data": "", "run": "latest", "reader": "all", "engine": [], "condition": []}
SHOWN = (
    "(pick.data == '' || !isDefined(datum.data) || datum.data == pick.data)"
    " && (!isDefined(datum.run) || (pick.run == 'latest' ? datum.latest : datum.run == pick.run))"
    " && (pick.reader == 'all' || !isDefined(datum.reader) || datum.reader == pick.reader)"
    " && indexof(pick.engine, datum.engine) < 0"
    " && (!isDefined(datum.condition) || indexof(pick.condition, datum.condition) < 0)"
)
# Room at the right for a mark's label, as a share of its value: labels are not part of an axis' extent.
LABEL_ROOM = 1.28
FONT = "system-ui, 'Segoe UI', Roboto, sans-serif"  # as in style.css: labels are measured with it
SHAPES = {"warm": "circle", "cold": "diamond", "none": "square"}

Chart = alt.LayerChart | alt.Chart | alt.FacetChart


def tags(measured: Measured) -> dict[str, Any]:
    """The fields by which the page filters, the same in a chart's records and in a table's rows."""
    group = measured.group
    return {
        "engine": measured.engine,
        "condition": group.condition,
        **({} if measured.engine in BASELINES else {"reader": group.reader}),
        "data": group.dataset,
        "run": group.run,
        "latest": measured.latest,
    }


def _mark(measured: Measured) -> dict[str, Any]:
    return {**tags(measured), "variant": measured.variant, "colour": colour(measured.engine)}


def _any_condition(measured: Measured) -> dict[str, Any]:
    return {key: value for key, value in _mark(measured).items() if key != "condition"}


def run_times(field: Sequence[Measured]) -> Chart:
    """Median with interval per variant and condition, every sample as a small mark. Seconds."""
    records = [
        {
            **_mark(m),
            "median": m.estimate.median,
            "low": m.estimate.low if m.estimate.low is not None else m.estimate.median,
            "high": m.estimate.high if m.estimate.high is not None else m.estimate.median,
            "sample": m.samples,
            "edge": m.estimate.greatest,
            "room": m.estimate.greatest * LABEL_ROOM,
            "label": seconds(m.estimate.median) + ("" if m.estimate.low is not None else f" (n={m.estimate.n})"),
            "method": m.estimate.method,
        }
        for m in field
    ]
    shown = _shown(records)
    rows = _rows("variant", "median")
    offset = alt.YOffset("condition:N", sort=["warm", "cold"])
    title = "Time of one run (s)"
    tip = [_tip("variant"), _tip("condition"), _tip("median", ".3f"), _tip("low", ".3f"), _tip("high", ".3f")]
    interval = shown.mark_rule(strokeWidth=5, opacity=0.35, strokeCap="round").encode(
        rows, _x("low", title), alt.X2("high"), offset, _colour()
    )
    dots = (
        shown.transform_flatten(["sample"])
        .mark_tick(thickness=1.5, size=9, opacity=0.55)
        .encode(rows, _x("sample", title), offset, _colour())
    )
    medians = shown.mark_point(filled=True, size=95, opacity=1, stroke="var(--paper)", strokeWidth=1).encode(
        rows,
        _x("median", title),
        offset,
        _colour(),
        _condition(records),
        tooltip=[*tip, "method:N"],
    )
    label = _label(shown, "label").encode(rows, _x("edge", title), offset)
    return _finish(interval + dots + medians + label + _room(shown, rows), lane_px=12)


def phases(field: Sequence[Measured]) -> Chart:
    """Spans of the sample nearest the median, stacked in the order in which they happen. Seconds."""
    order = list(dict.fromkeys(name for m in field for name in m.phases))
    records = [
        {
            **_mark(m),
            "name": f"{m.variant}, {m.group.condition}",
            "phase": words(name),
            "turn": order.index(name),
            "seconds": spent_s,
            "total": sum(m.phases.values()),
            "row": m.typical_ref,
        }
        for m in field
        for name, spent_s in m.phases.items()
    ]
    # One hue per engine everywhere, so spans differ by strength: the last faint, the first full, gaps of paper between.
    bars = (
        _shown(records)
        .mark_bar(stroke="var(--paper)", strokeWidth=1, height={"band": 0.72})
        .encode(
            _rows("name", "total"),
            _x("seconds", "Time of one run (s)").stack("zero"),
            _colour(),
            alt.Opacity(
                "phase:O",
                sort=[words(name) for name in order],
                scale=alt.Scale(domain=[words(name) for name in order], range=[1, 0.25]),
                legend=_legend(columns=3, symbolFillColor="var(--muted)", symbolStrokeWidth=0, symbolType="square"),
            ),
            alt.Order("turn:Q"),
            tooltip=[_tip("name"), _tip("phase"), _tip("seconds", ".3f"), _tip("row")],
        )
    )
    return _finish(bars, row_px=20)


def cold_and_warm(field: Sequence[Measured]) -> Chart:
    """First run and warm run of a variant joined by a line, with the factor between them. Seconds."""
    records = [
        {
            **_any_condition(cold),
            "warm": warm.estimate.median,
            "cold": cold.estimate.median,
            "factor": f"{cold.estimate.median / warm.estimate.median:.2f} times",
            "edge": max(cold.estimate.median, warm.estimate.median),
            "room": max(cold.estimate.median, warm.estimate.median) * LABEL_ROOM,
        }
        for warm, cold in pairs(field)
    ]
    shown = _shown(records)
    rows = _rows("variant", "warm")
    title = "Time of one run (s): ● warm, ◇ cold"
    tip = [_tip("variant"), _tip("warm", ".3f"), _tip("cold", ".3f"), _tip("factor")]
    line = shown.mark_rule(strokeWidth=3, opacity=0.35).encode(rows, _x("warm", title), alt.X2("cold"), _colour())
    warm = shown.mark_point(filled=True, size=95, opacity=1).encode(rows, _x("warm", title), _colour(), tooltip=tip)
    cold = shown.mark_point(
        filled=True, shape="diamond", size=95, opacity=1, fill="var(--paper)", strokeWidth=2
    ).encode(rows, _x("cold", title), alt.Stroke("colour:N", scale=None), tooltip=tip)
    label = _label(shown, "factor").encode(rows, _x("edge", title))
    return _finish(line + warm + cold + label + _room(shown, rows), row_px=26)


def startups(field: Sequence[Measured]) -> Chart:
    """Seconds from asking for workers to having them, one bar per variant."""
    records = [
        {
            **_any_condition(m),
            "startup": m.startup_s,
            "label": seconds(m.startup_s),
            "edge": m.startup_s,
            "room": m.startup_s * LABEL_ROOM,
        }
        for m in once_per_variant(field)
        if m.startup_s is not None
    ]
    shown = _shown(records)
    rows = _rows("variant", "startup")
    title = "Start-up (s)"
    bars = shown.mark_bar(height={"band": 0.6}, cornerRadiusEnd=2).encode(
        rows, _x("startup", title), _colour(), tooltip=[_tip("variant"), _tip("startup", ".2f")]
    )
    label = _label(shown, "label").encode(rows, _x("edge", title))
    return _finish(bars + label + _room(shown, rows), row_px=24)


def cost_and_time(field: Sequence[Measured]) -> Chart:
    """Modelled USD of 1000 runs against the median time of one. Lower left is better; what nothing beats is named."""
    priced = [m for m in rivals(field) if m.usd is not None]
    records = [
        {
            **_mark(m),
            "median": m.estimate.median,
            "low": m.estimate.low if m.estimate.low is not None else m.estimate.median,
            "high": m.estimate.high if m.estimate.high is not None else m.estimate.median,
            "usd": float(m.usd or 0) * 1000,
            "price": dollars(float(m.usd or 0)),
            "prices of": str(m.priced_on),
            "label": m.variant if m.group.condition != "cold" and not _beaten(m, priced) else "",
            "room": m.estimate.median * 1.1,
        }
        for m in priced
    ]
    there = [
        name for name in dict.fromkeys([*ENGINES, *(m.engine for m in priced)]) if name in {m.engine for m in priced}
    ]
    scale = alt.Scale(domain=there, range=[colour(name) for name in there])
    shown = _shown(records)
    y = alt.Y("usd:Q", title="USD of 1000 runs (↓ cheaper)", scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5))
    title = "Time of one run (s) (← faster)"
    tip = [_tip("variant"), _tip("condition"), _tip("median", ".3f"), _tip("price"), _tip("prices of")]
    legend = alt.Legend(orient="top", title=None, columns=3, symbolType="circle", symbolStrokeWidth=0)
    spread = shown.mark_rule(strokeWidth=4, opacity=0.3).encode(y, _x("low", title), alt.X2("high"), _colour())
    points = shown.mark_point(filled=True, size=120, opacity=1, stroke="var(--paper)", strokeWidth=1).encode(
        y, _x("median", title), alt.Fill("engine:N", scale=scale, legend=legend), _condition(records), tooltip=tip
    )
    label = shown.mark_text(dy=-13, fontSize=11.5, fill="var(--ink)").encode(y, _x("median", title), text="label:N")
    room = shown.mark_point(opacity=0, size=0).encode(y, _x("room", title))
    return _finish(spread + points + label + room, height=340)


def cold_factors(field: Sequence[Measured], published: Sequence[Published]) -> Chart:
    """How many times longer a first run takes than a warm one: ours beside what the text of the study states."""
    ours = [
        {
            **_any_condition(cold),
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
            "colour": colour(p.engine),
            "factor": p.value,
            "whose": "published",
            "own": 0,
            "label": f"{p.value:g} published",
            "source": f"{p.source}, {p.place}",
        }
        for p in published
        if p.value is not None
    ]
    records = [{**record, "room": record["factor"] * 1.4} for record in (*ours, *theirs)]
    shown = _shown(records)
    rows = alt.Y("engine:N", title=None, axis=alt.Axis(domain=False, ticks=False))
    offset = alt.YOffset("whose:N", sort=["ours", "published"])
    title = "Cold over warm (times as long)"
    points = shown.mark_point(size=95, opacity=1, strokeWidth=2).encode(
        rows,
        _x("factor", title),
        offset,
        alt.Stroke("colour:N", scale=None),
        alt.Fill("colour:N", scale=None),
        alt.FillOpacity("own:Q", scale=None),
        alt.Shape(
            "whose:N", scale=alt.Scale(domain=["ours", "published"], range=["circle", "triangle-up"]), legend=_legend()
        ),
        tooltip=[_tip("variant"), _tip("whose"), _tip("factor", ".2f"), _tip("source")],
    )
    label = _label(shown, "label").encode(rows, _x("factor", title), offset)
    return _finish(points + label + _room(shown, rows), lane_px=20)


def break_even(options: Sequence[Option]) -> Chart:
    """USD a day against runs a day, a line and a band for each option, named after its engine."""
    drawn = cost_of_a_day(options, {option.name: colour(option.name) for option in options})
    finished: Chart = _finish(drawn, height=340).configure_text(color="var(--ink)").configure_rule(color="var(--ink)")
    return finished


def pairs(field: Sequence[Measured]) -> list[tuple[Measured, Measured]]:
    """(warm, cold) of the same variant, data and run."""
    cold = {m.group: m for m in field if m.group.condition == "cold"}
    found = [(m, cold.get(m.group._replace(condition="cold"))) for m in field if m.group.condition == "warm"]
    return [(warm, first) for warm, first in found if first is not None]


def once_per_variant(field: Sequence[Measured]) -> list[Measured]:
    """One group for all conditions of a variant, since they share their start-up."""
    return list({m.group._replace(condition=""): m for m in field}.values())


def _beaten(measured: Measured, field: Sequence[Measured]) -> bool:
    """True where something of the same data and condition is both faster and cheaper."""
    group = measured.group
    others = [
        m for m in field if m.latest and m.group.dataset == group.dataset and m.group.condition == group.condition
    ]
    return any(m.estimate.median < measured.estimate.median and (m.usd or 0) < (measured.usd or 0) for m in others)


def _shown(records: list[dict[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=records)).transform_filter(SHOWN)


def colour(engine: str) -> str:
    """The engine's colour as the page resolves it; the text's ink for an engine without one."""
    return f"var(--{engine.replace('+', '-')}, var(--ink))"


def _colour() -> alt.Color:
    return alt.Color("colour:N", scale=None)


def _condition(records: list[dict[str, Any]]) -> alt.Shape:
    there = [name for name in SHAPES if any(record["condition"] == name for record in records)]
    scale = alt.Scale(domain=there, range=[SHAPES[name] for name in there])
    return alt.Shape("condition:N", scale=scale, legend=_legend())


def _legend(**changes: Any) -> alt.Legend:
    return alt.Legend(orient="top", title=None, **changes)


def _rows(name: str, by: str) -> alt.Y:
    order = alt.EncodingSortField(by, op="min")
    return alt.Y(f"{name}:N", title=None, sort=order, axis=alt.Axis(domain=False, ticks=False, labelLimit=170))


def _x(name: str, title: Any) -> alt.X:
    return alt.X(f"{name}:Q", title=title, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=6))


def _tip(name: str, form: str | None = None) -> alt.Tooltip:
    return alt.Tooltip(f"{name}:Q", format=form) if form else alt.Tooltip(f"{name}:N")


def _label(shown: alt.Chart, name: str) -> alt.Chart:
    text: alt.Chart = shown.mark_text(align="left", dx=9, fontSize=11.5, fill="var(--ink)").encode(text=f"{name}:N")
    return text


def _room(shown: alt.Chart, rows: alt.Y) -> alt.Chart:
    unseen: alt.Chart = shown.mark_point(opacity=0, size=0).encode(rows, alt.X("room:Q"))
    return unseen


def _finish(chart: Chart, row_px: int | None = None, height: int | None = None, lane_px: int | None = None) -> Chart:
    size = alt.Step(lane_px, **{"for": "offset"}) if lane_px else alt.Step(row_px) if row_px else height
    finished: Chart = (
        chart.properties(width="container", height=size, background="transparent")
        .add_params(alt.param(name="pick", value=PICK))
        .configure(font=FONT)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor="var(--ink)", titleColor="var(--muted)", gridColor="var(--line)", tickColor="var(--line)",
            domainColor="var(--line)", labelFontSize=12, titleFontSize=12, titleFontWeight="normal", titlePadding=8,
        )
        .configure_axisY(grid=height is not None)
        .configure_legend(labelColor="var(--ink)", symbolStrokeColor="var(--muted)", symbolFillColor="var(--muted)")
    )  # fmt: skip
    return finished
