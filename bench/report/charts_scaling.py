"""Charts of loading and autoscaling: pure functions from rows (and published values) to Altair charts.

Plots 1 to 4 and 8 to 12 of the cluster study. Colours are the page's own variables, as in `charts`. One sample is one
panel or line: samples are not pooled over time, since their steps do not fall together.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt

from bench import stats
from bench.report.charts import Chart, colour
from bench.rows import Row
from bench.scaling import Step, rate
from bench.scaling_rows import SERIES
from catalog.published import Published

PUBLISHED_AS = {"ec2": "EC2 VMs", "eks": "managed Kubernetes", "lambda": "AWS Lambda"}
"""Our platforms by the study's names. Local processes have no published counterpart: a rule there would mislead."""
PHASES = ("machine", "boot", "request", "engine", "first task")
STATES = ("wanted", "starting", "ready", "busy", "leaving")


def loading(rows: Sequence[Row], published: Sequence[Published] = ()) -> Chart:
    """Phase-stacked bars of the last worker's start against the number of workers, a panel per engine and node size.

    The sample nearest the median is drawn, since medians of phases do not add up; every sample's whole is a mark.
    """
    bars: list[dict[str, Any]] = []
    marks: list[dict[str, Any]] = []
    for group in _by(rows, "startup_all_s", "workers", "nodes").values():
        middle = stats.estimate([float(row.value or 0) for row in group]).median
        typical = min(group, key=lambda row: abs(float(row.value or 0) - middle))
        shape = _shape(typical)
        at = 0.0
        for phase in PHASES:
            if phase in typical.phases:
                end = at + typical.phases[phase]
                bars.append(
                    {**shape, "kind": "bar", "phase": phase, "from": at, "to": end, "seconds": typical.phases[phase]}
                )
                at = end
        marks += [{**_shape(row), "kind": "sample", "to": row.value, "n": len(group)} for row in group]
    x = alt.X("workers:O", title="Workers")
    y = alt.Y("from:Q", title="Seconds to the last worker's first task")
    # Values of one measure share one panel: the fill says the phase, never the engine.
    stacked = (
        _only("bar")
        .mark_bar()
        .encode(x, y, alt.Y2("to"), alt.Fill("phase:N", sort=list(PHASES), legend=_legend()), tooltip=_tips("phase"))
    )
    dots = _only("sample").mark_point(size=30, stroke="var(--ink)").encode(x, alt.Y("to:Q"))
    told = _published(published, {one["panel"]: one["platform"] for one in bars})
    rules = _only("published").mark_rule(strokeDash=[4, 3], stroke="var(--muted)")
    rules = rules.encode(alt.Y("to:Q"), tooltip=_tips("published"))
    return _panels(bars + marks + told, stacked, dots, rules)


def loading_by_size(rows: Sequence[Row]) -> Chart:
    """Time until the first, half, 90 % and all workers have run a task, on log axes, a line per engine and share."""
    records = []
    for share in ("first", "half", "90", "all"):
        for group in _by(rows, f"startup_{share}_s", "workers", "nodes").values():
            middle = stats.estimate([float(row.value or 0) for row in group]).median
            name = "90 %" if share == "90" else share
            records.append({**_shape(group[0]), "share": name, "seconds": middle, "colour": colour(group[0].engine)})
    lines = (
        alt.Chart()
        .mark_line(point=True)
        .encode(
            alt.X("workers:Q", title="Workers", scale=alt.Scale(type="log", base=2)),
            alt.Y("seconds:Q", title="Seconds from the create command", scale=alt.Scale(type="log")),
            alt.Stroke("colour:N", scale=None),
            alt.StrokeDash("share:N", sort=["first", "half", "90 %", "all"], legend=_legend()),
            detail=["engine:N", "share:N", "slots:N"],
            tooltip=[*_tips("engine", "share"), alt.Tooltip("seconds:Q", format=".2f")],
        )
    )
    return _panels(records, lines)


def workers_over_time(rows: Sequence[Row]) -> Chart:
    """Stepped lines of workers by state, a panel per sample; the area between wanted and ready is shaded."""
    records: list[dict[str, Any]] = []
    areas: list[dict[str, Any]] = []
    for name, steps in timelines(rows).items():
        for step in steps:
            shown = {state: getattr(step, state) for state in STATES}
            records += [
                {"panel": name, "kind": "line", "at": step.at_s, "state": state, "workers": value}
                for state, value in shown.items()
                if value is not None
            ]
            areas.append({"panel": name, "kind": "area", "at": step.at_s, "wanted": step.wanted, "ready": step.ready})
    x = alt.X("at:Q", title="Seconds since the images were submitted")
    shaded = (
        _only("area")
        .mark_area(interpolate="step-after", opacity=0.18, fill="var(--ink)")
        .encode(x, alt.Y("wanted:Q", title="Workers"), alt.Y2("ready"))
    )
    lines = (
        _only("line")
        .mark_line(interpolate="step-after")
        .encode(
            x,
            alt.Y("workers:Q", title="Workers", axis=alt.Axis(tickMinStep=1)),
            alt.Color("state:N", sort=list(STATES), legend=_legend()),
            tooltip=[*_tips("state"), alt.Tooltip("at:Q", format=".1f"), alt.Tooltip("workers:Q")],
        )
    )
    return _panels(records + areas, shaded, lines)


def images_over_time(rows: Sequence[Row], every_s: float = 1.0) -> Chart:
    """Images per second as stepped lines, one per sample, in the colour of its engine."""
    engines = {_sample(row): row.engine for row in rows if row.metric == SERIES}
    records = [
        {"sample": name, "at": at - every_s, "rate": per_s, "colour": colour(engines[name])}
        for name, steps in timelines(rows).items()
        for at, per_s in rate(steps, every_s)
    ]
    lines = (
        alt.Chart(alt.InlineData(values=records))
        .mark_line(interpolate="step-after")
        .encode(
            alt.X("at:Q", title="Seconds since the images were submitted"),
            alt.Y("rate:Q", title="Images per second"),
            alt.Stroke("colour:N", scale=None),
            detail="sample:N",
            tooltip=[*_tips("sample"), alt.Tooltip("at:Q"), alt.Tooltip("rate:Q")],
        )
    )
    return _styled(lines.properties(width="container", height=260))


def scaling_times(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The table beside the lines: the median of each time and area, and of how many samples; like with like."""
    metrics = ("first_extra_s", "to_max_s", "to_min_s", "under_worker_s", "over_worker_s", "images_per_s", "run_s")
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for metric in metrics:
        for key, group in _by(rows, metric, "images", "chunk").items():
            line = found.setdefault(
                key, dict(zip(("stack", "label", "condition", "images", "chunk"), key, strict=True))
            )
            line[metric] = stats.estimate([float(row.value or 0) for row in group]).median
            line[f"{metric} n"] = len(group)
    return list(found.values())


def timelines(rows: Iterable[Row]) -> dict[str, list[Step]]:
    """The steps of every sample, by its name."""
    found: dict[str, list[Step]] = {}
    for row in rows:
        if row.metric == SERIES and row.value is not None:
            told = row.parameters
            wanted, busy, done = (int(told[name] or 0) for name in ("wanted", "busy", "done"))
            moving = {name: int(told[name] or 0) for name in ("starting", "leaving") if name in told}
            step = Step(float(told["at_s"] or 0), wanted, round(row.value), busy, done, **moving)
            found.setdefault(_sample(row), []).append(step)
    return found


def _sample(row: Row) -> str:
    return f"{row.label} · {row.condition} {row.repeat + 1} · {row.run_id}"


def _shape(row: Row) -> dict[str, Any]:
    told = row.parameters
    slots = told["slots_per_node"]
    where = f"{row.label} on {row.platform}"
    panel = where if row.engine == "lithops" else f"{where}, {slots} to a node"
    return {
        **{"engine": row.engine, "platform": row.platform, "panel": panel},
        **{"workers": told["workers"], "nodes": told["nodes"], "slots": slots},
    }


def _by(rows: Iterable[Row], metric: str, *parameters: str) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row.metric == metric and row.status == "ok" and row.value is not None and row.condition != "none":
            key = (row.stack, row.label, row.condition, *(row.parameters.get(name) for name in parameters))
            found.setdefault(key, []).append(row)
    return found


def _published(published: Sequence[Published], panels: dict[str, str]) -> list[dict[str, Any]]:
    """Published start-up times in the panels of the same platform, each with its place; a range gives both its ends."""
    return [
        {"panel": panel, "kind": "published", "to": seconds, "published": f"published, {one.platform}: {one.place}"}
        for one in published
        for seconds in (one.value, one.low, one.high)
        for panel, platform in panels.items()
        if seconds is not None
        and (one.experiment, one.metric, one.unit) == ("cluster_loading", "startup_time", "s")
        and one.platform == PUBLISHED_AS.get(platform)
    ]


def _tips(*names: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{name}:N") for name in names]


def _legend() -> alt.Legend:
    return alt.Legend(orient="top", title=None)


def _only(kind: str) -> alt.Chart:
    """A layer's part of its panel's records."""
    return alt.Chart().transform_filter(f"datum.kind == '{kind}'")


def _panels(records: list[dict[str, Any]], *layers: alt.Chart) -> Any:
    """Layers over the same records, a panel for each value of `panel`."""
    shown = alt.layer(*layers, data=alt.InlineData(values=records)).properties(width=420, height=240)
    return _styled(shown.facet(facet=alt.Facet("panel:N", title=None), columns=2))


def _styled(chart: Any) -> Any:
    return chart.configure_view(stroke=None).configure_axis(
        labelColor="var(--ink)", titleColor="var(--muted)", gridColor="var(--line)", domainColor="var(--line)"
    )
