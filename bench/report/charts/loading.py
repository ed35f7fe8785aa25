"""Charts of cluster loading: phases against the number of workers, node sizes, and growth on log axes."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from bench.report.charts import style
from bench.report.findings import seconds
from bench.report.loads import SHARES, Load

PHASES = ("machine", "boot", "request", "engine", "first task")


def by_workers(field: Sequence[Load]) -> style.Chart:
    """Phase-stacked bars of the last worker's start against the number of workers, an engine beside the other."""
    return _stacked(field, {id(one): one.shape.workers for one in field}, "Workers")


def by_node_size(field: Sequence[Load]) -> style.Chart:
    """The same for equal workers in fewer, bigger nodes."""
    names = {id(one): f"{one.shape.nodes} x {one.slots}" for one in field}
    order = list(dict.fromkeys(names[id(one)] for one in sorted(field, key=lambda one: one.slots)))
    return _stacked(field, names, "Nodes x workers of a node", order)


def growth(field: Sequence[Load]) -> style.Chart:
    """Seconds until the first worker and until all have run a task, on log axes, the time between them shaded."""
    records = [
        {
            **one.tags,
            "colour": style.colour(one.engine),
            "workers": one.shape.workers,
            **{name: one.shares[share].median for share, name in SHARES.items() if share in one.shares},
        }
        for one in field
    ]
    shown = style.shown(records)
    sizes = sorted({one.shape.workers for one in field})
    ticks = alt.Axis(values=sizes, format="d", grid=False)
    x = alt.X("workers:Q", title="Workers", scale=alt.Scale(type="log", base=2, nice=False, padding=18), axis=ticks)
    title = "Seconds until first and last worker"
    tip = [style.tip("engine"), style.tip("workers"), *(style.tip(name, ".2f") for name in SHARES.values())]

    axis = style.log(record[name] for record in records for name in ("first", "all") if name in record)

    def y(name: str) -> alt.Y:
        return alt.Y(f"{name}:Q", title=title, **axis)

    engine = alt.Detail("engine:N")
    between = shown.mark_area(opacity=0.14).encode(x, y("first"), alt.Y2("all"), style.coloured(), engine)
    last = shown.mark_line(strokeWidth=2.5).encode(x, y("all"), style.coloured(), engine)
    first = shown.mark_line(strokeWidth=1.5, strokeDash=[4, 3]).encode(x, y("first"), style.coloured(), engine)
    dots = shown.mark_point(filled=True, size=70, opacity=1).encode(
        x, y("all"), style.engine_fill(records), tooltip=tip
    )
    return style.finish(between + last + first + dots, height=300)


def _stacked(
    field: Sequence[Load], places: dict[int, Any], title: str, order: Sequence[str] | None = None
) -> style.Chart:
    bars: list[dict[str, Any]] = []
    wholes = []
    for one in field:
        base = {**one.tags, "place": places[id(one)], "colour": style.colour(one.engine)}
        at, spans = 0.0, one.typical.row.phases
        for phase in [*(name for name in PHASES if name in spans), *(name for name in spans if name not in PHASES)]:
            end = at + spans[phase]
            told = {"phase": phase, "from": at, "to": end, "seconds": spans[phase], "row": one.typical.ref}
            bars.append({**base, **told, "turn": _turn(phase)})
            at = end
        wholes.append(
            {
                **base,
                "whole": at,
                "label": seconds(at).removesuffix(" s"),
                "sample": one.samples,
                "top": max(at, *one.samples),
                "room": max(at, *one.samples) * 1.1,
            }
        )
    x = alt.X("place:O", title=title, sort=order, axis=alt.Axis(labelAngle=0, domain=False, ticks=False))
    offset = alt.XOffset("engine:N", sort=style.in_order(one.engine for one in field))
    y_title = "Seconds to the last worker's first task"
    there = [phase for phase in PHASES if any(record["phase"] == phase for record in bars)]
    stacked = (
        style.shown(bars)
        .mark_bar(stroke="var(--card)", strokeWidth=1)
        .encode(
            x,
            offset,
            alt.Y("from:Q", title=y_title, axis=alt.Axis(tickCount=6)),
            alt.Y2("to"),
            style.engine_fill(bars, symbolType="square"),
            alt.Opacity(
                "phase:O",
                sort=there,
                scale=alt.Scale(domain=there, range=[1, 0.3] if len(there) > 1 else [1, 1]),
                legend=style.legend_on_top(symbolFillColor="var(--muted)", symbolStrokeWidth=0, symbolType="square"),
            ),
            tooltip=[style.tip("engine"), style.tip("phase"), style.tip("seconds", ".2f"), style.tip("row")],
        )
    )
    shown = style.shown(wholes)
    samples = (
        shown.transform_flatten(["sample"])
        .mark_tick(thickness=1.5, color="var(--ink)", opacity=0.7)
        .encode(x, offset, alt.Y("sample:Q", title=y_title))
    )
    names = shown.mark_text(dy=-7, fontSize=11, fill="var(--ink)").encode(x, offset, alt.Y("top:Q"), text="label:N")
    room = shown.mark_point(opacity=0, size=0).encode(x, offset, alt.Y("room:Q"))
    return style.finish(stacked + samples + names + room, height=300)


def _turn(phase: str) -> int:
    return PHASES.index(phase) if phase in PHASES else len(PHASES)
