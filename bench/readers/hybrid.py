"""Functions read and filter, a cluster sorts: the published hybrids (EXPERIMENTS A5), each in its published form.

Ray takes the filtered values as the functions' results and sorts them as a data set. Dask reads parts that the
functions wrote to the working bucket, under a prefix of this run alone; they are counted, and removed in every case.
"""

import pickle
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from bench.readers import native as own
from bench.readers.ingest import Ingest, Outcome, Read
from bench.sessions.on_lithops import LithopsSession
from bench.sessions.session import mapped
from bench.spans import Spans
from tasks import native, ranges
from tasks.answer import Answer, Query, merge
from tasks.objects import list_objects
from tasks.trace import Trace
from tasks.upload import remove

Kept = list[tuple[Any, Trace]]
# Filters in functions: (session, job, prefix for parts or None) to what each function returned.
Filter = Callable[[LithopsSession, Ingest, str | None], Kept]


def by_partitions(session: LithopsSession, job: Ingest, parts_at: str | None) -> Kept:
    """Read with Lithops's own partitioner."""
    query = job.data.query
    if parts_at is None:
        return own.partitioned(session, job, native.stream_kept, (query,))
    return own.partitioned(session, job, native.written_stream, (job.access, parts_at, query))


def by_ranges(session: LithopsSession, job: Ingest, parts_at: str | None) -> Kept:
    """Read with the ranges reader; rows are certain before they are handed on."""
    size = ranges.range_bytes(job.data.objects, session.fleet().workers, job.memory_mib, functions=True)
    pieces = ranges.plan(job.data.objects, size)
    if parts_at is None:
        done = mapped(session, native.piece_kept, [(job.access, piece, job.data.query) for piece in pieces])
    else:
        done = mapped(
            session, native.written_piece, [(job.access, parts_at, piece, job.data.query) for piece in pieces]
        )
    return [(d.result, d.trace) for d in done]


def ray(filtered: Filter) -> Read:
    """Ray sorts what the functions return."""

    def read(sessions: Sequence[Any], job: Ingest, spans: Spans) -> Outcome:
        from ray import data

        kept = _filter(filtered, sessions[1], job, spans, None)
        rows = sum(found[0] for found, _ in kept)
        with spans.span("sort"):
            ordered = data.from_arrow([pa.table({"units": found[1]}) for found, _ in kept]).sort(
                "units", descending=True
            )
            parts = ordered.map_batches(
                native.traced_sorted_table, batch_format="pyarrow", batch_size=None, fn_kwargs={"query": job.data.query}
            )
            found = [pickle.loads(row["part"]) for row in parts.take_all()]  # noqa: S301  our own workers wrote it
        return _outcome(found, kept, rows, sum(len(f[1]) for f, _ in kept), job.data.query)

    return read


def dask(filtered: Filter) -> Read:
    """Dask sorts what the functions wrote."""

    def read(sessions: Sequence[Any], job: Ingest, spans: Spans) -> Outcome:
        import dask.dataframe as dd
        import pandas as pd

        parts_at = f"{job.working}/hybrid/{uuid.uuid4().hex}"
        try:
            kept = _filter(filtered, sessions[1], job, spans, parts_at)
            with spans.span("sort"):
                written = list_objects(job.access, parts_at)
                if len(written) != len(kept):
                    raise ValueError(f"{parts_at}: found {len(written)} parts, wanted {len(kept)}, one per function")
                ordered = dd.read_csv(
                    [item.uri for item in written],
                    dtype={"units": "int64"},
                    blocksize="80MB",
                    storage_options=own.storage_options(job.access, written),
                ).sort_values("units", ascending=False)
                parts = ordered.map_partitions(
                    native.traced_sorted_frame, job.data.query, meta=pd.Series([], dtype=object)
                )
                found = list(sessions[0].client.compute(parts).result())
            return _outcome(found, kept, sum(f[0] for f, _ in kept), sum(f[1] for f, _ in kept), job.data.query)
        finally:
            with spans.span("clean"):
                _remove_all(job, parts_at)

    return read


def _remove_all(job: Ingest, parts_at: str) -> None:
    try:
        left = list_objects(job.access, parts_at)
    except OSError:  # none was written, or the endpoint is gone and its own error is on its way
        return
    for item in left:
        remove(job.access, item.uri)


def _filter(filtered: Filter, session: LithopsSession, job: Ingest, spans: Spans, parts_at: str | None) -> Kept:
    with spans.span("read"):
        began_at = time.time()
        kept = filtered(session, job, parts_at)
    spans.split("read", began_at, [trace for _, trace in kept])
    return kept


def _outcome(sorted_parts: list[tuple[Answer, Trace]], kept: Kept, rows: int, count: int, query: Query) -> Outcome:
    """The answer of the sorted values, with the rows that the functions read. Raises ValueError if one was lost."""
    answer = merge((part for part, _ in sorted_parts), query)
    if answer.kept != count:
        raise ValueError(f"the functions kept {count} values, the cluster sorted {answer.kept}")
    functions = [trace for _, trace in kept]
    return Outcome(
        replace(answer, rows=rows),
        [*functions, *(trace for _, trace in sorted_parts)],
        functions,
        {"handed_over": count},
    )


NATIVE: dict[str, Read] = {"ray+lithops": ray(by_partitions), "dask+lithops": dask(by_partitions)}
RANGES: dict[str, Read] = {"ray+lithops": ray(by_ranges), "dask+lithops": dask(by_ranges)}
