"""Worker's side of what each engine's own reader does: a piece already parsed goes in, its exact answer comes out.

Frames and tables hold the asked column alone, as float64; `exact_units` turns it into integers or refuses.
"""

import io
import pickle
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
from pyarrow.fs import FileSystem

from tasks.answer import Answer, Query, answer_of, exact_units, merge
from tasks.kept import Kept, passing, written
from tasks.objects import Access, DataObject, read_stream
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
    found = function(obj.data_stream, names if obj.part > 1 else None, *args)
    return found, trace(began_at)


def stream_answer(body: Any, names: list[str] | None, query: Query) -> Answer:
    """A chunk of CSV as a stream. names: the header's columns, None where the chunk has the header."""
    return frame_answer(_stream_frame(body, names, query), query)


def stream_kept(body: Any, names: list[str] | None, query: Query) -> Kept:
    """As `stream_answer`, but the values themselves: for a cluster to sort."""
    frame = _stream_frame(body, names, query)
    units = passing(_frame_units(frame, query), query)
    return Kept(len(frame), len(units), units)


def written_stream(body: Any, names: list[str] | None, access: Access, parts_at: str, query: Query) -> Kept:
    """As `stream_kept`, but the values go to a part of their own below `parts_at`."""
    return written(access, parts_at, stream_kept(body, names, query))


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


def pandas_answer(uris: Sequence[str], storage_options: dict[str, Any] | None, query: Query) -> Answer:
    """What pandas does in one process: one file after the other, the asked column only."""
    return merge(
        (
            frame_answer(
                pd.read_csv(
                    uri, usecols=[query.column], dtype={query.column: "float64"}, storage_options=storage_options
                ),
                query,
            )
            for uri in uris
        ),
        query,
    )


def arrow_answer(filesystem: FileSystem, paths: Sequence[str], query: Query) -> Answer:
    """What pyarrow.csv does in one process, with its own threads: one file after the other, the asked column only."""
    found = []
    for path in paths:
        with filesystem.open_input_stream(path) as stream:
            table = pc.read_csv(stream, convert_options=column_only(query))
        found.append(answer_of(_table_units(table, query), table.num_rows, query))
    return merge(found, query)


def polars_answer(access: Access, objects: Sequence[DataObject], query: Query) -> Answer:
    """What polars does in one process, with its own threads: one file after the other, the asked column only.

    Bytes come by boto3, each file's while the one before is parsed: scan_csv refuses an endpoint that answers a range
    which is the whole object with 200, as rclone's does ("Received non-partial response").
    """
    import polars as pl  # noqa: PLC0415  a baseline on request, not among a worker's packages

    found = []
    with ThreadPoolExecutor(1) as ahead:
        coming = [ahead.submit(_whole, access, item) for item in objects]
        for body in coming:
            frame = pl.read_csv(body.result(), columns=[query.column], schema_overrides={query.column: pl.Float64})
            values = frame[query.column]
            units = exact_units(values.drop_nulls().to_numpy(), query.decimals)
            found.append(answer_of(units, len(values), query))
    return merge(found, query)


def _whole(access: Access, item: DataObject) -> bytes:
    return b"".join(read_stream(access, item, 0, item.size_bytes, 16 * 2**20))


def column_only(query: Query) -> pc.ConvertOptions:
    """Arrow's options to parse the asked column and no other."""
    return pc.ConvertOptions(include_columns=[query.column], column_types={query.column: pa.float64()})


def _stream_frame(body: Any, names: list[str] | None, query: Query) -> pd.DataFrame:
    header: Literal[0] | None = None if names else 0
    return pd.read_csv(
        io.BytesIO(body.read()), header=header, names=names, usecols=[query.column], dtype={query.column: "float64"}
    )


def _frame_units(frame: pd.DataFrame, query: Query) -> np.ndarray:
    values = frame[query.column].to_numpy(np.float64)
    return exact_units(values[~np.isnan(values)], query.decimals)


def _table_units(table: pa.Table, query: Query) -> np.ndarray:
    return exact_units(table.column(query.column).drop_null().to_numpy(), query.decimals)
