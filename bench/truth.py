"""The true answer of a run: the manifest's, or that of an untimed read beside the engines, watched as samples are."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bench.budget import Guard
from bench.dataset import DataError, Dataset
from bench.engines import Sessions
from bench.failures import Deadline, OverBudget
from bench.progress import progress
from bench.readers.ingest import Ingest
from bench.sessions.session import Args
from tasks import ranges, sorting
from tasks.answer import Answer
from tasks.records import BadData
from tasks.sorting import SortedAnswer

# As many processes as read data no slower than S3 gives it to one machine; more would crowd a driver host.
_PROCESSES = 4
# What is read in less than a second or two needs no progress.
_QUICK_BYTES = 256 << 20


def of_ingest(sessions: Sessions, job: Ingest, guard: Guard, timeout_s: float) -> Answer:
    """The manifest's answer, or for other data that of the ranges reader. Raises BadData, DataError."""
    if job.data.truth is not None:
        return job.data.truth
    with _watched(sessions, job.data, guard, timeout_s) as (pieces, run):
        return ranges.answer(
            lambda work, pieces: run(work, [(piece,) for piece in pieces]),
            *(job.access, pieces, job.data.query, job.bad_rows, job.data.dialect),
        ).answer


def of_sort(sessions: Sessions, job: Ingest, guard: Guard, timeout_s: float) -> tuple[SortedAnswer, int, list[BadData]]:
    """The rows that pass, told by a sum of their hashes: nothing is sorted. And how many were bad, with examples."""
    data = job.data
    with _watched(sessions, data, guard, timeout_s) as (pieces, run):
        work = [((job.access, piece, data.columns, data.query, job.bad_rows, data.dialect),) for piece in pieces]
        found: list[sorting.Passing] = run(sorting.passing, work)
    examples = [example for part in found for example in part.bad_examples]
    return sorting.passing_all(found, data.query), sum(part.bad_rows for part in found), examples


Run = Callable[[Callable[..., Any], Sequence[Args]], list[Any]]


@contextmanager
def _watched(
    sessions: Sessions, data: Dataset, guard: Guard, timeout_s: float
) -> Iterator[tuple[list[ranges.Piece], Run]]:
    """The pieces of the data and what maps a function over them, by processes of this machine, within the deadline."""
    most = min(_PROCESSES, os.cpu_count() or 1)
    pieces = ranges.plan(data.objects, ranges.range_bytes(data.objects, most), data.dialect)
    pool = sessions.processes(max(1, min(most, len(pieces))))

    def run(function: Callable[..., Any], items: Sequence[Args]) -> list[Any]:
        done = {}
        if data.size_bytes < _QUICK_BYTES:
            done = {one.index: one.result for one in pool.stream(function, items)}
        else:
            with progress(len(items)) as report:
                report.begin("reading once for the true answer")
                for one in pool.stream(function, items):
                    done[one.index] = one.result
                    report.end("read once for the true answer")
        return [done[index] for index in sorted(done)]

    try:
        with deadline_as_error(data.uri, guard, timeout_s):
            yield pieces, run
    finally:
        pool.close()


@contextmanager
def deadline_as_error(what: str, guard: Guard, timeout_s: float) -> Iterator[None]:
    """What is inside must end within the deadline and the budget. Raises DataError where it does not."""
    try:
        # Of the stack only what all engines share runs meanwhile: a baseline stands for that.
        with guard.watched("arrow", timeout_s):
            yield
    except OverBudget as error:
        raise DataError(str(error)) from error
    except Deadline as error:
        raise DataError(
            f"the true answer of {what} was not found in {timeout_s:g} s: raise --timeout, or take less"
        ) from error
