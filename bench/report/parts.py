"""What a page is made of, as data: answers, charts with the tables behind them, filters."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import vl_convert

from bench.report.charts.style import Chart
from bench.report.findings import Answer

ANY = "*"
"""The slice of what is shown whatever data, run and reader are chosen."""
LATEST, ALL = "latest", "all"
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])  # what the charts were written for

WIDTH = "max(160, (isFinite(containerSize()[0]) ? containerSize()[0] : 600) - 76)"
"""Of a panel: its container's, less what a y axis of numbers or of lanes takes."""


@dataclass(frozen=True)
class Refs:
    """A cell that names rows and links to each, after a text if there is one."""

    refs: Sequence[str]
    text: str = ""

    def by_file(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """File name and its (ref, line) pairs, for a link per line."""
        files: dict[str, list[tuple[str, str]]] = {}
        for ref in self.refs:
            files.setdefault(ref.rpartition(":")[0], []).append((ref, ref.rpartition(":")[2]))
        return list(files.items())


Cell = str | Refs


@dataclass(frozen=True)
class Line:
    """One row of a table. `tags`: the fields by which the page filters it, none: always shown. `ref`: its own link."""

    cells: Sequence[Cell]
    tags: dict[str, Any] = field(default_factory=dict)
    ref: str = ""


@dataclass(frozen=True)
class Table:
    """A plain table, and what to say where it is empty."""

    title: str
    columns: list[str]
    lines: list[Line]
    empty: str = ""
    note: str = ""
    always_open: bool = False


@dataclass(frozen=True)
class Figure:
    """A chart with its finding per slice (or for ANY), what it shows, and its table. wide: across the page."""

    key: str
    titles: dict[str, str]
    caption: str
    chart: Chart
    table: Table
    wide: bool = False

    @property
    def spec(self) -> str:
        """The chart compiled to Vega, safe inside a script element; a chart that does not compile is seen here."""
        compiled = vl_convert.vegalite_to_vega(self.chart.to_dict(), vl_version=VEGA_LITE)
        # One legend below the other: beside each other they would be wider than a phone. Altair refuses the setting.
        compiled["config"]["legend"]["layout"] = {"top": {"anchor": "start", "direction": "vertical", "margin": 2}}
        for signal in compiled["signals"]:
            if signal["name"] == "child_width":  # a facet's panels have no width of their container in Vega-Lite
                signal.pop("value", None)
                signal |= {"init": WIDTH, "on": [{"events": "window:resize", "update": WIDTH}]}
        return json.dumps(compiled, separators=(",", ":")).replace("</", "<\\/")


@dataclass(frozen=True)
class Answers:
    """The reader's questions for one slice in one condition; `heading` says of what. condition "": of all."""

    slice: str
    condition: str
    heading: str
    answers: list[Answer]


@dataclass(frozen=True)
class Filters:
    """What can be chosen on a page, in the order shown; the first of data is the default. Of one there is no choice.

    name: what `data` is called.
    """

    data: list[str]
    runs: list[str]
    readers: list[str]
    engines: list[str]
    conditions: list[str]
    name: str = "Data"


@dataclass(frozen=True)
class Page:
    """One page of the report; without filters everything on it is always shown."""

    key: str
    title: str
    lead: str
    filters: Filters | None = None
    answers: list[Answers] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def number(value: float | None, form: str = ".3f") -> str:
    """A cell's number; a dash for none."""
    return "-" if value is None else f"{value:{form}}"
