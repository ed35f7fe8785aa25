"""Each engine's own documented way to read CSV, parsing only the asked column where the engine has an option for it."""

import codecs
import pickle
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import click

from bench.engines import EngineError
from bench.readers.ingest import Ingest, Outcome, Read
from bench.sessions.on_dask import DaskSession
from bench.sessions.on_lithops import LithopsSession
from bench.sessions.on_processes import ProcessSession
from bench.sessions.on_ray import RaySession
from bench.sessions.session import Session, mapped
from bench.spans import Spans
from tasks import native
from tasks.answer import Answer, merge
from tasks.objects import Access, DataObject, Request, read_range
from tasks.records import LINE_END
from tasks.slices import is_whole
from tasks.trace import Trace

# What every engine's reader takes literally. fsspec splits at :: and expands *, ?, [ and {; addresses end at # and ?.
_LITERAL = re.compile(r"[\w/.=@,()~^&;!$' -]*")


def parted(job: Ingest) -> tuple[list[DataObject], list[DataObject]]:
    """The objects that an engine's own reader reads, and those to be read whole apart from it, one task each.

    Apart is what must be decompressed or turned into UTF-8 first, which the engines do for different suffixes and some
    for none, and names that they would expand. Objects without a byte hold no record and are in neither,
    unless there is nothing else: some worker must have looked.
    """
    own, apart = [], []
    for item in job.data.objects:
        literal = _LITERAL.fullmatch(item.uri.removeprefix("s3://")) and "//" not in item.uri.removeprefix("s3://")
        if is_whole(item, job.data.dialect) or not literal:
            apart.append(item)
        elif item.size_bytes:
            own.append(item)
    return own, apart if own or apart else list(job.data.objects)


def parted_for_ray(job: Ingest) -> tuple[list[DataObject], list[DataObject]]:
    """As `parted`. Apart is also a header alone: Ray's reader refuses one without a line end. Only objects that are no
    longer than the header of the set are looked into."""
    own, apart = parted(job)
    dialect, names = job.data.dialect, job.data.columns
    header = dialect.delimiter.join(f'"{name}"' for name in names).encode(dialect.text_encoding, "surrogateescape")
    most_bytes = len(codecs.BOM_UTF8) + len(header)
    alone = [item for item in own if item.size_bytes <= most_bytes and not _holds_record(job.access, item)]
    return [item for item in own if item not in alone], [*apart, *alone]


def _holds_record(access: Access, item: DataObject) -> bool:
    text = read_range(access, Request(item, 0, item.size_bytes))
    return sum(bool(line) for line in LINE_END.split(text)) > 1


def _merged(job: Ingest, session: Session, own: list[tuple[Answer, Trace]], apart: list[DataObject]) -> Outcome:
    """The engine's own part with what is read apart from it."""
    query = job.data.query
    done = mapped(session, native.file_answer, [(job.access, item, query, job.data.dialect) for item in apart])
    answers = [*(answer for answer, _ in own), *(one.result for one in done)]
    traces = [*(trace for _, trace in own), *(one.trace for one in done)]
    return Outcome(merge(answers, query), traces, notes={"read_whole": len(apart)})


def ray(sessions: Sequence[RaySession], job: Ingest, spans: Spans) -> Outcome:
    """Ray Data's read_csv, one read task per file, then map_batches on each block."""
    query = job.data.query
    with spans.span("plan"):
        own, apart = parted_for_ray(job)
        rows = ray_rows(job, own, [query.column]) if own else None
        if rows is not None:
            rows = rows.map_batches(
                native.traced_table_answer, batch_format="pyarrow", batch_size=None, fn_kwargs={"query": query}
            )
    with spans.span("run"):
        parts = [pickle.loads(row["part"]) for row in rows.take_all()] if rows is not None else []  # noqa: S301  our own workers
        return _merged(job, sessions[0], parts, apart)


def ray_rows(job: Ingest, own: list[DataObject], columns: Sequence[str]) -> Any:
    """Ray's data set of these columns, by its own reader."""
    from ray import data

    filesystem, paths = arrow_filesystem(job.access, own)
    reading, parsing, converting = native.table_options(columns, job.data.dialect)
    return data.read_csv(
        paths,
        filesystem=filesystem,
        read_options=reading,
        parse_options=parsing,
        convert_options=converting,
        file_extensions=None,
        arrow_open_stream_args={"compression": None},
    )


def dask(sessions: Sequence[DaskSession], job: Ingest, spans: Spans) -> Outcome:
    """Dask DataFrame's read_csv with its own block size, then map_partitions."""
    import pandas as pd

    query = job.data.query
    with spans.span("plan"):
        own, apart = parted(job)
        parts = None
        if own:
            frame = dask_rows(job, own, [query.column])
            parts = frame.map_partitions(native.traced_frame_answer, query, meta=pd.Series([], dtype=object))
    with spans.span("run"):
        return _merged(job, sessions[0], list(sessions[0].computed(parts)) if own else [], apart)


def dask_rows(job: Ingest, own: list[DataObject], columns: Sequence[str]) -> Any:
    """Dask's frame of these columns, by its own reader."""
    import dask.dataframe as dd

    return dd.read_csv(
        [item.uri for item in own],
        storage_options=storage_options(job.access, own),
        compression=None,
        **native.frame_options(columns, job.data.dialect),
    )


def lithops(sessions: Sequence[LithopsSession], job: Ingest, spans: Spans) -> Outcome:
    """Lithops's partitioner: one function per file, or as many per file as make one per worker."""
    session, query = sessions[0], job.data.query
    with spans.span("read"):
        began_at = time.time()
        own, apart = parted(job)
        done = partitioned(session, job, own, native.stream_answer, (query, job.data.dialect))
        outcome = _merged(job, session, done, apart)
    spans.split("read", began_at, outcome.traces)
    return replace(outcome, functions=outcome.traces)


def pandas(sessions: Sequence[ProcessSession], job: Ingest, spans: Spans) -> Outcome:
    """pandas.read_csv, one file after the other."""
    own, apart = parted(job)
    rest = (storage_options(job.access, own), apart, job.data.query, job.data.dialect)
    return _in_one_process(sessions[0], job, spans, native.pandas_answer, (job.access, own, *rest))


def arrow(sessions: Sequence[ProcessSession], job: Ingest, spans: Spans) -> Outcome:
    """pyarrow.csv with its own threads, one file after the other."""
    own, apart = parted(job)
    rest = (*arrow_filesystem(job.access, own), apart, job.data.query, job.data.dialect)
    return _in_one_process(sessions[0], job, spans, native.arrow_answer, (job.access, *rest))


def polars(sessions: Sequence[ProcessSession], job: Ingest, spans: Spans) -> Outcome:
    """polars.read_csv with its own threads, one file after the other, each fetched whole."""
    args = (job.access, job.data.objects, job.data.query, job.data.dialect)
    return _in_one_process(sessions[0], job, spans, native.polars_answer, args)


def _in_one_process(
    session: ProcessSession, job: Ingest, spans: Spans, function: Any, args: tuple[Any, ...]
) -> Outcome:
    with spans.span("read"):
        began_at = time.time()
        (done,) = mapped(session, function, [args])
    spans.split("read", began_at, [done.trace])
    return Outcome(done.result, [done.trace])


def partitioned(
    session: LithopsSession, job: Ingest, own: list[DataObject], function: Any, args: tuple[Any, ...]
) -> list[tuple[Any, Trace]]:
    """Map `function(stream, names, *args)` over the partitions that Lithops makes of the data."""
    if not own:
        return []
    scheme = "minio" if session.platform == "local" else "aws_s3"
    uris = [item.uri.replace("s3://", f"{scheme}://") for item in own]
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
    if not objects or not objects[0].uri.startswith("s3://"):
        return None
    key_id, secret = access.keys()
    return {
        "key": key_id,
        "secret": secret,
        "client_kwargs": {"endpoint_url": access.endpoint_url, "region_name": access.region},
        "config_kwargs": {
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        },
    }


def arrow_filesystem(access: Access, objects: Sequence[DataObject]) -> tuple[Any, list[str]]:
    """Arrow's file system for the data, and the paths in it."""
    from pyarrow import fs

    uris = [item.uri for item in objects]
    if not uris or not uris[0].startswith("s3://"):
        return fs.LocalFileSystem(), uris
    where = urlsplit(access.endpoint_url or "")
    key_id, secret = access.keys()
    filesystem = fs.S3FileSystem(
        access_key=key_id,
        secret_key=secret,
        region=access.region,
        endpoint_override=where.netloc or None,
        scheme=where.scheme or None,
    )
    return filesystem, [uri.removeprefix("s3://") for uri in uris]


def that_skip(labels: list[tuple[str, str]], reader: str, *, asked_for: bool) -> list[tuple[str, str]]:
    """Of the engines those that can skip bad rows, all by the ranges reader, which alone tells every such row.

    pandas takes a row that is too short for one with missing values. Raises EngineError for one that was asked for.
    """
    cannot = [label for label, engine in labels if engine in BASELINES or reader == "native"]
    if cannot and (asked_for or reader == "native"):
        raise EngineError(
            f"found --bad-rows skip with {', '.join(cannot)} and --reader {reader}; wanted --reader ranges and other "
            "engines: its own reader can't tell which rows are bad"
        )
    if cannot:
        click.echo(f"left out, since they can't tell which rows are bad: {', '.join(cannot)}", err=True)
    return [one for one in labels if one[0] not in cannot]


BASELINES: dict[str, Read] = {"pandas": pandas, "arrow": arrow, "polars": polars}
READ: dict[str, Read] = {"ray": ray, "dask": dask, "lithops": lithops, **BASELINES}
