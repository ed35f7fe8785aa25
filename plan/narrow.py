"""What is printed on a terminal of any width: no figure is cut, and lines end between words."""

import shutil
import sys
import textwrap

import click
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_PARTS = "  "
"""Between two named cells of one line."""


class Fitted:
    """A table, or, where its cells would be cut, each of its lines as cells with their headings.

    lead: columns that name a line.
    """

    def __init__(self, table: Table, lead: int = 1):
        self.table, self.lead = table, lead
        for column in table.columns:
            column.no_wrap = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.update(max_width=10_000, width=10_000)
        if Measurement.get(console, wide, self.table).maximum <= options.max_width:
            yield self.table
            return
        if self.table.title:
            yield Text(str(self.table.title))
        names = [" ".join(str(column.header).split()) for column in self.table.columns]
        for cells in zip(*(column.cells for column in self.table.columns), strict=True):
            yield Text(" ".join(str(cell) for cell in cells[: self.lead]), style="bold")
            found = list(zip(names, map(str, cells), strict=True))[self.lead :]
            for line in _filled([f"{name} {cell}" for name, cell in found if cell], options.max_width - 2):
                yield Text(f"  {line}")
        if self.table.caption:
            yield Text(str(self.table.caption), style="italic")


def echo(text: str) -> None:
    """Print lines; on a terminal they end between words, and what follows is set in. A pipe gets them as they are."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(_wrapped(line, width) for line in text.splitlines())
    click.echo(text)


def _wrapped(line: str, width: int) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _filled(parts: list[str], width: int) -> list[str]:
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(_PARTS) + len(part) <= width:
            lines[-1] += _PARTS + part
        else:
            lines.append(part)
    return lines
