"""Read, filter, sort (EXPERIMENTS A5): by a cluster alone, or functions read and filter and the cluster sorts.

All end in the same state: the rows in one total order (`tasks.sorting`), held by the cluster's workers, Ray's as blocks
and Dask's as persisted futures. The clock stops there; the digest is taken after it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.engines import Sessions
from bench.readers.ingest import Ingest, Outcome, Read
from bench.readers.native import dask_rows, parted, parted_for_ray, ray_rows
from bench.rows import Billed, Row
from bench.runner import Run, replace_row
from bench.samples import Sample
from bench.sessions.session import Session
from bench.spans import Spans
from bench.stage import Ledger, Stage, clear, exchange_of, in_flight, store_of
from tasks import ranges, sorting
from tasks.sorting import SortedAnswer, SortedPart

Check = Callable[[], list[SortedPart]]


@dataclass(frozen=True, kw_only=True)
class Sort(Ingest):
    """rows: records in the data, read by all. ledgers: what the running sample's stages asked of functions."""

    sessions: Sessions
    exchange: Any
    rows: int
    ledgers: list[Ledger] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Held(Outcome):
    """Rows held in the cluster. check: their parts, in order, looked at when the clock has stopped."""

    check: Check = list


class SortRun(Run):
    """Checks what is held after the clock has stopped; a failed or cancelled sample has what its functions cost."""

    def _sample(self, sample: Sample) -> Row:
        assert isinstance(self.job, Sort)
        self.job.ledgers.clear()
        row = super()._sample(sample)
        if row.status != "failed" or not self.job.ledgers:
            return row
        return replace_row(row, billed=self._functions_billed(), parameters=row.parameters | noted(self.job.ledgers))

    def _judged(self, sample: Sample, row: Row, outcome: Outcome, opened: Sequence[Session]) -> Row:
        assert isinstance(self.job, Sort)
        assert isinstance(outcome, Held)
        parts = outcome.check()
        answer = sorting.combined(parts, self.job.data.query, self.job.rows)
        traces = [*outcome.traces, *(part.trace for part in parts)]
        return super()._judged(
            sample, row, Outcome(answer, traces, outcome.functions, noted(self.job.ledgers) | outcome.notes), opened
        )

    def _functions_billed(self) -> Billed:
        assert isinstance(self.job, Sort)
        seconds = sum(ledger.function_s for ledger in self.job.ledgers)
        functions = self.sessions.outputs.functions
        return Billed(
            function_s=seconds,
            function_code_s=sum(ledger.code_s for ledger in self.job.ledgers),
            function_gb_s=seconds * (functions.memory_mib if functions else 0) / 1024,
            function_requests=sum(ledger.invoked for ledger in self.job.ledgers),
            architecture=functions.architecture if functions else "x86_64",
        )


def noted(ledgers: Sequence[Ledger]) -> dict[str, str | int | float | bool | None]:
    """The stages' counts, for a row's parameters."""
    found: dict[str, str | int | float | bool | None] = {}
    for ledger in ledgers:
        found |= {"invoked": ledger.invoked, "retried": ledger.retried, "cancelled": ledger.cancelled}
        found |= {"not_run": ledger.not_run, "handed_over_s": round(ledger.handed_over_s, 6)}
        found |= {f"bytes_by_{way}": size for way, size in ledger.bytes_by_way.items()}
    return found


def ray_native(opened: Sequence[Any], job: Ingest, spans: Spans) -> Outcome:
    """Ray Data alone: read_csv, one task per file, map_batches, sort."""
    from ray import data

    with spans.span("plan"):
        own, apart = parted_for_ray(job)
        query = {"query": job.data.query}
        rows = ray_rows(job, own, job.data.columns) if own else None
        if rows is not None:
            rows = rows.map_batches(sorting.kept, batch_format="pyarrow", batch_size=None, fn_kwargs=query)
        if apart:
            read = data.from_arrow_refs(_read_by_ray(job, ranges.plan(apart, 1, job.data.dialect)))
            rows = read if rows is None else rows.union(read)
    return _sorted_by_ray(rows, job, spans)


def _read_by_ray(job: Ingest, pieces: Sequence[ranges.Piece]) -> list[Any]:
    import ray

    read = ray.remote(sorting.read_kept)
    return [read.remote(_work(job, piece)) for piece in pieces]


def dask_native(opened: Sequence[Any], job: Ingest, spans: Spans) -> Outcome:
    """Dask DataFrame alone: read_csv by its own block size, a filter, sort_values. What passes is kept for the sort."""
    import dask.dataframe as dd

    query = job.data.query
    with spans.span("plan"):
        own, apart = parted(job)
        parts = []
        if own:
            rows = dask_rows(job, own, job.data.columns)
            column = rows[query.column]
            parts.append(rows[column.notnull() if query.above is None else column > query.above / 10**query.decimals])
        if apart:
            work = [_work(job, piece) for piece in ranges.plan(apart, 1, job.data.dialect)]
            parts.append(_frame(opened[0].client.map(sorting.read_kept_frame, work, pure=False), job))
    # Else its sort reads everything twice, the first time for the quantiles.
    with spans.span("read"):
        kept = opened[0].persisted(parts[0] if len(parts) == 1 else dd.concat(parts))
    return _sorted_by_dask(kept, opened[0], job, spans)


def ray_ranges(opened: Sequence[Any], job: Ingest, spans: Spans) -> Outcome:
    """Ray alone, reading by ranges."""
    import ray
    from ray import data

    with spans.span("plan"):
        pieces = _pieces(opened[0], job, functions=False)
        references = _read_by_ray(job, pieces)
    with spans.span("read"):
        ray.wait(references, num_returns=len(references), fetch_local=False)
    return _sorted_by_ray(data.from_arrow_refs(references), job, spans)


def dask_ranges(opened: Sequence[Any], job: Ingest, spans: Spans) -> Outcome:
    """Dask alone, reading by ranges."""
    from distributed import wait

    with spans.span("plan"):
        pieces = _pieces(opened[0], job, functions=False)
        work = [_work(job, piece) for piece in pieces]
        futures = opened[0].client.map(sorting.read_kept_frame, work, pure=False)
    with spans.span("read"):
        wait(futures)
    return _sorted_by_dask(_frame(futures, job), opened[0], job, spans)


def ray_hybrid(opened: Sequence[Any], job: Ingest, spans: Spans) -> Outcome:
    """Functions read by ranges and filter, Ray sorts."""
    from ray import data

    return _hybrid(
        sorting.read_kept, opened, job, spans, lambda found: _sorted_by_ray(data.from_arrow_refs(found), job, spans)
    )


def dask_hybrid(opened: Sequence[Any], job: Ingest, spans: Spans) -> Outcome:
    """Functions read by ranges and filter, Dask sorts."""
    return _hybrid(
        sorting.read_kept_frame,
        opened,
        job,
        spans,
        lambda found: _sorted_by_dask(_frame(found, job), opened[0], job, spans),
    )


def _hybrid(
    function: Callable[..., Any],
    opened: Sequence[Any],
    job: Ingest,
    spans: Spans,
    sort: Callable[[list[Any]], Outcome],
) -> Outcome:
    assert isinstance(job, Sort)
    cluster, pool = opened
    exchange = exchange_of(job.sessions, job.exchange)
    stage = Stage(function, pool, store_of(cluster), exchange, in_flight(pool), timeout_s=_timeout_s(job))
    pieces = _pieces(pool, job, functions=True)
    job.afterwards.append(lambda: clear(exchange))
    with spans.span("read"):
        began_at = time.time()
        arrivals = stage(_work(job, piece) for piece in pieces)
        job.ledgers.append(arrivals.ledger)
        try:
            references = arrivals.in_order()
        finally:
            arrivals.close()
    functions = arrivals.ledger.traces
    spans.split("read", began_at, functions)
    held = sort(references)
    return Held(held.answer, functions, functions, {"pieces": len(pieces)}, check=held.check)  # type: ignore[attr-defined]


def _work(job: Ingest, piece: ranges.Piece) -> sorting.Work:
    return job.access, piece, job.data.columns, job.data.query, job.bad_rows, job.data.dialect


def _timeout_s(job: Sort) -> int:
    functions = job.sessions.outputs.functions
    return functions.timeout_s if functions else 0


def _pieces(session: Session, job: Ingest, functions: bool) -> list[ranges.Piece]:
    size = ranges.range_bytes(job.data.objects, session.fleet().workers, job.memory_mib, functions=functions)
    return ranges.plan(job.data.objects, size, job.data.dialect)


def _sorted_by_ray(rows: Any, job: Ingest, spans: Spans) -> Held:
    import ray
    from ray.data import DataContext

    query = job.data.query
    # Else blocks come in the order in which their tasks end.
    DataContext.get_current().execution_options.preserve_order = True
    with spans.span("sort"):
        held = (
            rows.sort(query.column, descending=True)
            .map_batches(sorting.settle, batch_format="pyarrow", batch_size=None, fn_kwargs={"query": query})
            .materialize()
        )

    def check() -> list[SortedPart]:
        digested = ray.remote(sorting.digested)
        # Of no block, where nothing passed, a worker says so too.
        blocks = held.to_arrow_refs() or [_no_rows(job)]
        found: list[SortedPart] = ray.get([digested.remote(block, query) for block in blocks])
        return found

    return Held(SortedAnswer(), [], check=check)


def _sorted_by_dask(rows: Any, dask: Any, job: Ingest, spans: Spans) -> Held:
    import pandas as pd

    query = job.data.query
    with spans.span("sort"):
        ordered = rows.sort_values(query.column, ascending=False)
        held = dask.persisted(ordered.map_partitions(sorting.settle_frame, query, meta=ordered._meta))

    def check() -> list[SortedPart]:
        parts = held.map_partitions(sorting.digested_frame, query, meta=pd.Series([], dtype=object))
        return list(dask.computed(parts))

    return Held(SortedAnswer(), [], check=check)


def _no_rows(job: Ingest) -> Any:
    import pyarrow as pa

    return pa.table({name: pa.array([], pa.float64()) for name in job.data.columns})


def _frame(futures: list[Any], job: Ingest) -> Any:
    import dask.dataframe as dd
    import pandas as pd

    meta = pd.DataFrame({name: pd.Series([], dtype="float64") for name in job.data.columns})
    return dd.from_delayed(futures, meta=meta, verify_meta=False)


_HYBRID: dict[str, Read] = {"ray+lithops": ray_hybrid, "dask+lithops": dask_hybrid}
READERS: dict[str, dict[str, Read]] = {
    "native": {"ray": ray_native, "dask": dask_native, **_HYBRID},
    "ranges": {"ray": ray_ranges, "dask": dask_ranges, **_HYBRID},
}
