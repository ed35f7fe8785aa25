"""Each engine's own documented way to read CSV, parsing only the asked column where the engine has an option for it."""

import pickle
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from bench.readers.ingest import Ingest, Outcome, Read
from bench.sessions.on_dask import DaskSession
from bench.sessions.on_lithops import LithopsSession
from bench.sessions.on_processes import ProcessSession
from bench.sessions.on_ray import RaySession
from bench.sessions.session import mapped
from bench.spans import Spans
from tasks import native
from tasks.answer import merge
from tasks.objects import Access, DataObject
from tasks.trace import Trace


def ray(sessions: Sequence[RaySession], job: Ingest, spans: Spans) -> Outcome:
    """Ray Data's read_csv, one read task per file, then map_batches on each block."""
    from ray import data

    query = job.data.query
    with spans.span("plan"):
        filesystem, paths = arrow_filesystem(job)
        rows = data.read_csv(
            paths, filesystem=filesystem, convert_options=native.column_only(query), file_extensions=None
        ).map_batches(native.traced_table_answer, batch_format="pyarrow", batch_size=None, fn_kwargs={"query": query})
    with spans.span("run"):
        parts = [pickle.loads(row["part"]) for row in rows.take_all()]  # noqa: S301  our own workers wrote it
    with spans.span("merge"):
        return Outcome(merge((answer for answer, _ in parts), query), [trace for _, trace in parts])


def dask(sessions: Sequence[DaskSession], job: Ingest, spans: Spans) -> Outcome:
    """Dask DataFrame's read_csv with its own block size, then map_partitions."""
    import dask.dataframe as dd
    import pandas as pd

    query = job.data.query
    with spans.span("plan"):
        frame = dd.read_csv(
            [item.uri for item in job.data.objects],
            usecols=[query.column],
            dtype={query.column: "float64"},
            storage_options=storage_options(job.access, job.data.objects),
        )
        parts = frame.map_partitions(native.traced_frame_answer, query, meta=pd.Series([], dtype=object))
    with spans.span("run"):
        found = list(sessions[0].computed(parts))
    with spans.span("merge"):
        return Outcome(merge((answer for answer, _ in found), query), [trace for _, trace in found])


def lithops(sessions: Sequence[LithopsSession], job: Ingest, spans: Spans) -> Outcome:
    """Lithops's partitioner: one function per file, or as many per file as make one per worker."""
    session, query = sessions[0], job.data.query
    with spans.span("read"):
        began_at = time.time()
        done = partitioned(session, job, native.stream_answer, (query,))
    traces = [trace for _, trace in done]
    spans.split("read", began_at, traces)
    return Outcome(merge((answer for answer, _ in done), query), traces, functions=traces)


def pandas(sessions: Sequence[ProcessSession], job: Ingest, spans: Spans) -> Outcome:
    """pandas.read_csv, one file after the other."""
    uris = [item.uri for item in job.data.objects]
    return _in_one_process(
        sessions[0],
        job,
        spans,
        native.pandas_answer,
        (uris, storage_options(job.access, job.data.objects), job.data.query),
    )


def arrow(sessions: Sequence[ProcessSession], job: Ingest, spans: Spans) -> Outcome:
    """pyarrow.csv with its own threads, one file after the other."""
    filesystem, paths = arrow_filesystem(job)
    return _in_one_process(sessions[0], job, spans, native.arrow_answer, (filesystem, paths, job.data.query))


def polars(sessions: Sequence[ProcessSession], job: Ingest, spans: Spans) -> Outcome:
    """polars.read_csv with its own threads, one file after the other, each fetched whole."""
    return _in_one_process(
        sessions[0], job, spans, native.polars_answer, (job.access, job.data.objects, job.data.query)
    )


def _in_one_process(
    session: ProcessSession, job: Ingest, spans: Spans, function: Any, args: tuple[Any, ...]
) -> Outcome:
    with spans.span("read"):
        began_at = time.time()
        (done,) = mapped(session, function, [args])
    spans.split("read", began_at, [done.trace])
    return Outcome(done.result, [done.trace])


def partitioned(session: LithopsSession, job: Ingest, function: Any, args: tuple[Any, ...]) -> list[tuple[Any, Trace]]:
    """Map `function(stream, names, *args)` over the partitions that Lithops makes of the data."""
    scheme = "minio" if session.platform == "local" else "aws_s3"
    uris = [item.uri.replace("s3://", f"{scheme}://") for item in job.data.objects]
    chunks = -(-session.fleet().workers // len(uris))
    futures = session.executor.map(
        native.traced_partition,
        [{"obj": uri} for uri in uris],
        extra_args={"names": list(job.data.columns), "function": function, "args": args},
        obj_chunk_number=chunks if chunks > 1 else None,
        include_modules=["tasks"],
    )
    index = {future.call_id: number for number, future in enumerate(futures)}
    return [(done.result, done.trace) for done in session.collect(futures, index)]


def storage_options(access: Access, objects: Sequence[DataObject]) -> dict[str, Any] | None:
    """fsspec's options for S3, as Dask and pandas take them; None for files."""
    if not objects[0].uri.startswith("s3://"):
        return None
    return {
        "key": access.access_key_id,
        "secret": access.secret_access_key,
        "client_kwargs": {"endpoint_url": access.endpoint_url, "region_name": access.region},
        "config_kwargs": {
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        },
    }


def arrow_filesystem(job: Ingest) -> tuple[Any, list[str]]:
    """Arrow's file system for the data, and the paths in it."""
    from pyarrow import fs

    uris = [item.uri for item in job.data.objects]
    if not uris[0].startswith("s3://"):
        return fs.LocalFileSystem(), uris
    where = urlsplit(job.access.endpoint_url or "")
    filesystem = fs.S3FileSystem(
        access_key=job.access.access_key_id,
        secret_key=job.access.secret_access_key,
        region=job.access.region,
        endpoint_override=where.netloc or None,
        scheme=where.scheme or None,
    )
    return filesystem, [uri.removeprefix("s3://") for uri in uris]


BASELINES: dict[str, Read] = {"pandas": pandas, "arrow": arrow, "polars": polars}
READ: dict[str, Read] = {"ray": ray, "dask": dask, "lithops": lithops, **BASELINES}
