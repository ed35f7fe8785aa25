"""What a page is made of, as data: answers, charts with the tables behind them, filters."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import vl_convert

from bench.report import charts, findings

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])  # what the charts were written for


@dataclass(frozen=True)
class Refs:
    """A cell that names rows and links to each."""

    refs: Sequence[str]

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


@dataclass(frozen=True)
class Figure:
    """A chart with its finding per slice, what it shows, and the table behind it."""

    key: str
    titles: dict[str, str]
    caption: str
    chart: charts.Chart
    table: Table

    @property
    def spec(self) -> str:
        """The chart compiled to Vega, safe inside a script element; a chart that does not compile is seen here."""
        compiled = vl_convert.vegalite_to_vega(self.chart.to_dict(), vl_version=VEGA_LITE)
        return json.dumps(compiled, separators=(",", ":")).replace("</", "<\\/")


@dataclass(frozen=True)
class Answers:
    """The reader's questions for one slice in one condition."""

    slice: str
    condition: str
    answers: list[findings.Answer]


@dataclass(frozen=True)
class Filters:
    """What can be chosen on a page, in the order shown; the first of data is the default."""

    data: list[str]
    runs: list[str]
    readers: list[str]
    engines: list[str]
    conditions: list[str]


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
