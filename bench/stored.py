"""Rows of many files read as one set: each sample counts once, and what does not count is named by file and line."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from bench.rows import Row, Unreadable, numbered

GB = 2**30
SHOWN = 10
"""Skipped lines that a command names; the report lists all."""


@dataclass(frozen=True)
class Sourced:
    """A row and where it stands: file name and line, counted from 1."""

    row: Row
    file: str
    line: int

    @property
    def ref(self) -> str:
        """What tables show and links point to."""
        return f"{self.file}:{self.line}"

    @property
    def dataset(self) -> str:
        """The data of the row in a reader's words, with the stack: samples of different data are never pooled."""
        return f"{data_words(self.row)}, {self.row.stack}"


@dataclass(frozen=True)
class Loaded:
    """The rows that count as samples or edges of runs, oldest first, and the lines that were skipped."""

    rows: list[Sourced]
    unreadable: list[Unreadable]


def load(paths: Iterable[Path], stack: str | None = None) -> Loaded:
    """Read files, or every *.jsonl below folders. Raises FileNotFoundError naming the path that is neither.

    A sample that is there again, in the same file or in a copy of it, is skipped with the place of the first.
    """
    found: list[Sourced] = []
    skipped: list[Unreadable] = []
    first: dict[tuple[object, ...], str] = {}
    for path in paths:
        for file in _files(path):
            name = str(file.relative_to(path)) if path.is_dir() else file.name
            for number, item in numbered(file):
                if isinstance(item, Unreadable):
                    skipped.append(item.model_copy(update={"path": name}))
                elif stack in (None, item.stack):
                    sourced = Sourced(item, name, number)
                    known = first.setdefault(sample(item), sourced.ref)
                    if known == sourced.ref:
                        found.append(sourced)
                    else:
                        reason = f"the same sample as {known}, which counts once"
                        skipped.append(Unreadable(path=name, line=number, reason=reason))
    return Loaded(sorted(found, key=lambda s: s.row.at), skipped)


def stored(results: Path) -> list[Row]:
    """The rows in a folder, oldest first; none where there is no folder. Lines that were skipped are named."""
    if not results.is_dir():
        return []
    loaded = load([results])
    for line in told(loaded.unreadable):
        click.echo(line, err=True)
    return [sourced.row for sourced in loaded.rows]


def told(skipped: Sequence[Unreadable]) -> Iterator[str]:
    """What a command says of skipped lines: the first of them, and how many more there are."""
    for one in skipped[:SHOWN]:
        yield f"skipped: {one}"
    if more := len(skipped[SHOWN:]):
        yield f"skipped: {more} more line{'s' * (more != 1)}; the report lists all under Evidence"


def data_words(row: Row) -> str:
    """Size and file count, such as `0.4 GB in 8 files`, or images; `no data` where nothing is read."""
    if row.data is None:
        return "no data"
    if "images" in row.parameters:
        return f"{row.parameters['images']} images"
    files = "1 file" if row.data.files == 1 else f"{row.data.files} files"
    if row.data.size_bytes < GB / 1000:
        return f"{row.data.size_bytes:,} bytes in {files}"
    return f"{row.data.size_bytes / GB:.3g} GB in {files}"


def sample(row: Row) -> tuple[object, ...]:
    """What two rows of one sample share, wherever they are stored.

    A run is taken once under its number. Other metrics, and failures between two runs, may come several times in a
    command: they are told apart by their instant and by what they were measured with.
    """
    key = (row.run_id, row.stack, row.workload, row.label, row.reader, row.condition, row.repeat, row.metric)
    once = row.metric == "run_s" and row.status != "failed"
    return key if once else (*key, row.at, row.status, row.value, *sorted(map(repr, row.parameters.items())))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.rglob("*.jsonl"))
    if path.is_file():
        return [path]
    raise FileNotFoundError(f"found no file or folder {os.fspath(path)!r}, wanted rows (*.jsonl); run a workload first")
