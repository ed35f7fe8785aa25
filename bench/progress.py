"""What a person sees while samples are taken: a bar on a terminal, one plain line per sample in a log."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Report(Protocol):
    """Told before and after each step."""

    def begin(self, what: str) -> None: ...

    def end(self, line: str) -> None: ...


class _Bar:
    def __init__(self, progress: Progress, total: int):
        self._progress, self._task = progress, progress.add_task("", total=total)

    def begin(self, what: str) -> None:
        self._progress.update(self._task, description=what)

    def end(self, line: str) -> None:
        self._progress.console.print(line, highlight=False)
        self._progress.advance(self._task)


class _Lines:
    def __init__(self, console: Console, total: int):
        self._console, self._total, self._done = console, total, 0

    def begin(self, what: str) -> None:
        pass

    def end(self, line: str) -> None:
        self._done += 1
        self._console.print(f"{self._done}/{self._total} {line}", highlight=False, soft_wrap=True, markup=False)


@contextmanager
def progress(total: int, console: Console | None = None) -> Iterator[Report]:
    """A bar of `total` steps on a terminal, else plain lines on the same stream (stderr)."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar, total)
