"""Worker's side of what each engine's own reader does: a piece already parsed goes in, its exact answer comes out.

Frames and tables hold the asked column alone, as float64; `exact_units` turns it into integers or refuses. Files whose
bytes are not their text (compressed, or in an encoding that can't be cut) are read whole by one task each, from the one
stream that opens them for every engine; and so are those whose names an engine's own reader would not take literally.
"""

import io
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
from pyarrow.fs import FileSystem

from tasks.answer import Answer, Query, answer_of, exact_units, merge
from tasks.compressed import opened
from tasks.dialect import Dialect
from tasks.kept import Kept, passing, written
from tasks.objects import Access, DataObject
from tasks.records import BadData
from tasks.trace import trace


def frame_answer(frame: pd.DataFrame, query: Query) -> Answer:
    """The answer of a pandas frame that holds the asked column."""
    return answer_of(_frame_units(frame, query), len(frame), query)


def traced_frame_answer(frame: pd.DataFrame, query: Query) -> pd.Series:
    """For Dask's map_partitions: one element, the answer and its trace."""
    began_at = time.time()
    found = frame_answer(frame, query)
    return pd.Series([(found, trace(began_at))], dtype=object)


def traced_table_answer(table: pa.Table, query: Query) -> pa.Table:
    """For Ray's map_batches: one row, whose column `part` is the pickled answer and its trace."""
    began_at = time.time()
    found = answer_of(_table_units(table, query), table.num_rows, query)
    return pa.table({"part": [pickle.dumps((found, trace(began_at)))]})


def traced_partition(obj: Any, names: list[str], function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """For Lithops's partitioner: `obj` is one partition. Only the first of a file begins with the header."""
    began_at = time.time()
    where = getattr(obj, "key", None) or getattr(obj, "path", "one of the objects")
    with _named("Lithops's reader", str(where)):
        found = function(obj.data_stream, names if obj.part > 1 else None, *args)
    return found, trace(began_at)


@contextmanager
def _named(reader: str, uri: str) -> Iterator[None]:
    """Readers' own errors name no file, and some reach the driver without their text."""
    try:
        yield
    except BadData:
        raise
    except ValueError as error:  # Arrow's, pandas's and Python's decoders' are
        raise BadData(f"{reader} refuses it: {error}", uri, 0, "") from error


def stream_answer(body: Any, names: list[str] | None, query: Query, dialect: Dialect) -> Answer:
    """A chunk of CSV as a stream. names: the header's columns, None where the chunk has the header."""
    return frame_answer(_stream_frame(body, names, query, dialect), query)


def stream_kept(body: Any, names: list[str] | None, query: Query, dialect: Dialect) -> Kept:
    """As `stream_answer`, but the values themselves: for a cluster to sort."""
    return _kept(_stream_frame(body, names, query, dialect), query)


def written_stream(
    body: Any, names: list[str] | None, access: Access, parts_at: str, query: Query, dialect: Dialect
) -> Kept:
    """As `stream_kept`, but the values go to a part of their own below `parts_at`."""
    return written(access, parts_at, stream_kept(body, names, query, dialect))


def sorted_answer(units: np.ndarray, query: Query) -> Answer:
    """The answer of one sorted partition of values that already passed the filter."""
    everything = Query(query.column, None, query.largest, query.decimals)
    return answer_of(units, 0, everything)


def traced_sorted_frame(frame: pd.DataFrame, query: Query) -> pd.Series:
    """For Dask's map_partitions over sorted values."""
    began_at = time.time()
    found = sorted_answer(frame["units"].to_numpy(np.int64), query)
    return pd.Series([(found, trace(began_at))], dtype=object)


def traced_sorted_table(table: pa.Table, query: Query) -> pa.Table:
    """For Ray's map_batches over sorted values."""
    began_at = time.time()
    units = table.column("units").to_numpy() if table.num_rows else np.empty(0, np.int64)
    return pa.table({"part": [pickle.dumps((sorted_answer(units, query), trace(began_at)))]})


def file_answer(access: Access, item: DataObject, query: Query, dialect: Dialect) -> Answer:
    """The answer of one file that is read whole."""
    return frame_answer(_file_frame(access, item, query, dialect), query)


def file_kept(access: Access, item: DataObject, query: Query, dialect: Dialect) -> Kept:
    """As `file_answer`, but the values themselves: for a cluster to sort."""
    return _kept(_file_frame(access, item, query, dialect), query)


def written_file(access: Access, parts_at: str, item: DataObject, query: Query, dialect: Dialect) -> Kept:
    """As `file_kept`, but the values go to a part of their own below `parts_at`."""
    return written(access, parts_at, file_kept(access, item, query, dialect))


def pandas_answer(
    access: Access,
    own: Sequence[DataObject],
    storage_options: dict[str, Any] | None,
    apart: Sequence[DataObject],
    query: Query,
    dialect: Dialect,
) -> Answer:
    """What pandas does in one process: one file after the other, the asked column only."""
    options = frame_options([query.column], dialect)
    found = []
    for item in own:
        with _named("pandas", item.uri):
            found.append(frame_answer(pd.read_csv(item.uri, storage_options=storage_options, **options), query))
    return merge([*found, *(file_answer(access, item, query, dialect) for item in apart)], query)


def arrow_answer(
    access: Access,
    filesystem: FileSystem | None,
    paths: Sequence[str],
    apart: Sequence[DataObject],
    query: Query,
    dialect: Dialect,
) -> Answer:
    """What pyarrow.csv does in one process, with its own threads: one file after the other, the asked column only."""
    found = []
    plain = (filesystem.open_input_stream(path, compression=None) for path in paths) if filesystem else ()
    streams = chain(plain, (opened(access, item, dialect) for item in apart))
    for stream, uri in zip(streams, [*paths, *(item.uri for item in apart)], strict=True):
        with stream, _named("pyarrow", uri):
            try:
                table = pc.read_csv(stream, *table_options([query.column], dialect))
            except pa.ArrowInvalid as error:
                if "Empty CSV file" not in str(error):
                    raise
                continue  # a header without a line end
        found.append(answer_of(_table_units(table, query), table.num_rows, query))
    return merge(found, query)


def polars_answer(access: Access, objects: Sequence[DataObject], query: Query, dialect: Dialect) -> Answer:
    """What polars does in one process, with its own threads: one file after the other, the asked column only.

    Bytes come by boto3, each file's while the one before is parsed: scan_csv refuses an endpoint that answers a range
    which is the whole object with 200, as rclone's does ("Received non-partial response").
    """
    import polars as pl  # noqa: PLC0415  a baseline on request, not among a worker's packages

    found = []
    with ThreadPoolExecutor(1) as ahead:
        coming = [ahead.submit(_whole, access, item, dialect) for item in objects]
        for body in coming:
            text = body.result()
            if not text:
                continue
            frame = pl.read_csv(
                text,
                columns=[query.column],
                schema_overrides={query.column: pl.Float64},
                separator=dialect.delimiter,
                decimal_comma=dialect.decimal == ",",
                null_values=list(dialect.nulls) or None,
                encoding=dialect.text_encoding if dialect.text_encoding != "utf-8" else "utf8-lossy",
            )
            values = frame[query.column]
            units = exact_units(values.drop_nulls().to_numpy(), query.decimals)
            found.append(answer_of(units, len(values), query))
    return merge(found, query)


def _whole(access: Access, item: DataObject, dialect: Dialect) -> bytes:
    return opened(access, item, dialect).read()


def table_options(
    columns: Sequence[str], dialect: Dialect
) -> tuple[pc.ReadOptions, pc.ParseOptions, pc.ConvertOptions]:
    """Arrow's options to parse these columns, as float64, and no other."""
    return (
        pc.ReadOptions(encoding=dialect.text_encoding),
        pc.ParseOptions(delimiter=dialect.delimiter),
        pc.ConvertOptions(
            include_columns=list(columns),
            column_types=dict.fromkeys(columns, pa.float64()),
            null_values=["", *dialect.nulls],
            decimal_point=dialect.decimal,
        ),
    )


def frame_options(columns: Sequence[str], dialect: Dialect) -> dict[str, Any]:
    """pandas' options to parse these columns, as float64, and no other. Nothing is a missing value that Arrow would not
    take for one, and a delimiter at the end of each record makes no index of the first column."""
    return {
        "usecols": list(columns),
        "dtype": dict.fromkeys(columns, "float64"),
        "sep": dialect.delimiter,
        "decimal": dialect.decimal,
        "na_values": ["", *dialect.nulls],
        "keep_default_na": False,
        "index_col": False,
        "encoding": dialect.text_encoding,
        "encoding_errors": "surrogateescape",
    }


def _stream_frame(body: Any, names: list[str] | None, query: Query, dialect: Dialect) -> pd.DataFrame:
    header: Literal[0] | None = None if names else 0
    options = frame_options([query.column], dialect)
    return pd.read_csv(io.BytesIO(body.read()), header=header, names=names, **options)


def _file_frame(access: Access, item: DataObject, query: Query, dialect: Dialect) -> pd.DataFrame:
    try:
        return pd.read_csv(opened(access, item, dialect), **frame_options([query.column], dialect))
    except pd.errors.EmptyDataError:
        return pd.DataFrame({query.column: pd.Series([], dtype="float64")})
    except BadData:
        raise
    except ValueError as error:
        raise BadData(f"pandas refuses it: {error}", item.uri, 0, "") from error


def _kept(frame: pd.DataFrame, query: Query) -> Kept:
    units = passing(_frame_units(frame, query), query)
    return Kept(len(frame), len(units), units)


def _frame_units(frame: pd.DataFrame, query: Query) -> np.ndarray:
    values = frame[query.column].to_numpy(np.float64)
    return exact_units(values[~np.isnan(values)], query.decimals)


def _table_units(table: pa.Table, query: Query) -> np.ndarray:
    return exact_units(table.column(query.column).drop_null().to_numpy(), query.decimals)
