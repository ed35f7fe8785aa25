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
from bench.readers.ingest import Ingest, Outcome, Read, bad_notes
from bench.sessions.on_lithops import LithopsSession
from bench.sessions.session import mapped
from bench.spans import Spans
from tasks import kept, native, ranges
from tasks.answer import Answer, Query, merge
from tasks.kept import Kept
from tasks.listing import list_objects
from tasks.trace import Trace
from tasks.upload import remove_below

Filtered = list[tuple[Kept, Trace]]
# Filters in functions: (session, job, prefix for parts or None) to what each function returned.
Filter = Callable[[LithopsSession, Ingest, str | None], Filtered]


def by_partitions(session: LithopsSession, job: Ingest, parts_at: str | None) -> Filtered:
    """Read with Lithops's own partitioner."""
    plain, apart = own.parted(job)
    rest = (job.data.query, job.data.dialect)
    if parts_at is None:
        done = mapped(session, native.file_kept, [(job.access, item, *rest) for item in apart])
        handed = own.partitioned(session, job, plain, native.stream_kept, rest)
    else:
        done = mapped(session, native.written_file, [(job.access, parts_at, item, *rest) for item in apart])
        handed = own.partitioned(session, job, plain, native.written_stream, (job.access, parts_at, *rest))
    return [*handed, *((one.result, one.trace) for one in done)]


def by_ranges(session: LithopsSession, job: Ingest, parts_at: str | None) -> Filtered:
    """Read with the ranges reader; rows are certain before they are handed on."""
    size = ranges.range_bytes(job.data.objects, session.fleet().workers, job.memory_mib, functions=True)
    pieces = ranges.plan(job.data.objects, size, job.data.dialect)
    rest = (job.data.query, job.bad_rows, job.data.dialect)
    if parts_at is None:
        done = mapped(session, kept.piece_kept, [(job.access, piece, *rest) for piece in pieces])
    else:
        done = mapped(session, kept.written_piece, [(job.access, parts_at, piece, *rest) for piece in pieces])
    return [(d.result, d.trace) for d in done]


def ray(filtered: Filter) -> Read:
    """Ray sorts what the functions return."""

    def read(sessions: Sequence[Any], job: Ingest, spans: Spans) -> Outcome:
        from ray import data

        handed = _filter(filtered, sessions[1], job, spans, None)
        with spans.span("sort"):
            ordered = data.from_arrow([pa.table({"units": found.units}) for found, _ in handed]).sort(
                "units", descending=True
            )
            parts = ordered.map_batches(
                native.traced_sorted_table, batch_format="pyarrow", batch_size=None, fn_kwargs={"query": job.data.query}
            )
            found = [pickle.loads(row["part"]) for row in parts.take_all()]  # noqa: S301  our own workers wrote it
        return _outcome(found, handed, job.data.query)

    return read


def dask(filtered: Filter) -> Read:
    """Dask sorts what the functions wrote."""

    def read(sessions: Sequence[Any], job: Ingest, spans: Spans) -> Outcome:
        import dask.dataframe as dd
        import pandas as pd

        parts_at = f"{job.working}/hybrid/{uuid.uuid4().hex}"
        job.afterwards.append(lambda: remove_below(job.access, parts_at))
        handed = _filter(filtered, sessions[1], job, spans, parts_at)
        with spans.span("sort"):
            written = list_objects(job.access, parts_at)
            if len(written) != len(handed):
                raise ValueError(f"{parts_at}: found {len(written)} parts, wanted {len(handed)}, one per function")
            ordered = dd.read_csv(
                [item.uri for item in written],
                dtype={"units": "int64"},
                blocksize="80MB",
                storage_options=own.storage_options(job.access, written),
            ).sort_values("units", ascending=False)
            parts = ordered.map_partitions(native.traced_sorted_frame, job.data.query, meta=pd.Series([], dtype=object))
            found = list(sessions[0].computed(parts))
        return _outcome(found, handed, job.data.query)

    return read


def _filter(filtered: Filter, session: LithopsSession, job: Ingest, spans: Spans, parts_at: str | None) -> Filtered:
    with spans.span("read"):
        began_at = time.time()
        handed = filtered(session, job, parts_at)
    spans.split("read", began_at, [trace for _, trace in handed])
    return handed


def _outcome(sorted_parts: list[tuple[Answer, Trace]], handed: Filtered, query: Query) -> Outcome:
    """The answer of the sorted values, with the rows that the functions read. Raises ValueError if one was lost."""
    answer, count = merge((part for part, _ in sorted_parts), query), sum(found.count for found, _ in handed)
    if answer.kept != count:
        raise ValueError(f"the functions kept {count} values, the cluster sorted {answer.kept}")
    functions = [trace for _, trace in handed]
    skipped = sum(found.bad_rows for found, _ in handed)
    examples = [example for found, _ in handed for example in found.bad_examples]
    return Outcome(
        replace(answer, rows=sum(found.rows for found, _ in handed)),
        [*functions, *(trace for _, trace in sorted_parts)],
        functions,
        {"handed_over": count, **bad_notes(skipped, examples)},
    )


NATIVE: dict[str, Read] = {"ray+lithops": ray(by_partitions), "dask+lithops": dask(by_partitions)}
RANGES: dict[str, Read] = {"ray+lithops": ray(by_ranges), "dask+lithops": dask(by_ranges)}
