"""Worker's side of the sort: rows that pass a filter, their one total order, and a digest that tells any other order.

Rows are tables of float64 columns, missing values null (in frames NaN). The order: the query's column from high to low,
equals by all other columns in the file's order from low to high, missing last. Rows that are still equal are the same.
An engine sorts by the column alone and keeps equals together; `settle` puts the equals of each part in order.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks.answer import Answer, Query, answer_of, exact_units, merge
from tasks.objects import Access
from tasks.ranges import Piece, tables
from tasks.slices import BadRows
from tasks.trace import Trace, trace

# Odd, so that powers never vanish modulo 2**64 (2**64 over the golden ratio, as in splitmix64; and its multipliers).
_BASE = 0x9E3779B97F4A7C15
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_MISSING = np.uint64(0x7FF8DEADBEEF0001)
_WORD = 1 << 64

Work = tuple[Access, Piece, tuple[str, ...], Query, BadRows]
"""A piece, all columns of the file in its order, what to keep, and what to do with rows that can't be read."""


@dataclass(frozen=True)
class SortedAnswer(Answer):
    """The answer of rows in their order. digest: a polynomial of the rows' hashes modulo 2**64, order included."""

    digest: int = 0


@dataclass(frozen=True)
class SortedPart:
    """One part of the sorted rows. factor: what the digest of the parts before it is multiplied by."""

    answer: Answer
    digest: int
    factor: int
    trace: Trace


def kept(table: pa.Table, query: Query) -> pa.Table:
    """The rows whose column is greater than the query's bound, missing values left out."""
    column = table.column(query.column)
    if query.above is None:
        return table.filter(pc.is_valid(column))
    return table.filter(pc.greater(column, query.above / 10**query.decimals))


def read_kept(work: Work) -> pa.Table:
    """The rows of a piece of the ranges reader that pass, as one table. Never more than a block of others in memory."""
    access, piece, columns, query, bad_rows = work
    found = tables(access, piece, dict.fromkeys(columns, pa.float64()), bad_rows=bad_rows)
    return pa.concat_tables([kept(table, query) for table in found]).combine_chunks()


def read_kept_frame(work: Work) -> pd.DataFrame:
    """As `read_kept`, as Dask holds them."""
    return frame(read_kept(work))


def frame(table: pa.Table) -> pd.DataFrame:
    """NumPy's own float64 columns, whatever strings or Arrow types pandas would choose."""
    return pd.DataFrame({name: _values(table.column(name)) for name in table.column_names})


def settle(table: pa.Table, query: Query) -> pa.Table:
    """A part sorted by the column, with its equals in order. For Ray's map_batches."""
    names = table.column_names
    return table.take(pa.array(_order([_values(table.column(name)) for name in names], names.index(query.column))))


def settle_frame(part: pd.DataFrame, query: Query) -> pd.DataFrame:
    """As `settle`, for Dask's map_partitions."""
    names = list(part.columns)
    return part.iloc[_order([part[name].to_numpy() for name in names], names.index(query.column))]


def digested(table: pa.Table, query: Query) -> SortedPart:
    """What one part of the sorted rows is, for `combined`."""
    began_at = time.time()
    return _part([_values(table.column(name)) for name in table.column_names], table.column_names, query, began_at)


def digested_frame(part: pd.DataFrame, query: Query) -> pd.Series:
    """As `digested`, for Dask's map_partitions: one element."""
    began_at = time.time()
    names = list(part.columns)
    found = _part([part[name].to_numpy() for name in names], names, query, began_at)
    return pd.Series([found], dtype=object)


def combined(parts: Sequence[SortedPart], query: Query, rows: int) -> SortedAnswer:
    """The answer of parts in their order. rows: records that were read."""
    digest = 0
    for part in parts:
        digest = (digest * part.factor + part.digest) % _WORD
    found = merge((part.answer for part in parts), query)
    return SortedAnswer(rows, found.kept, found.total, found.largest, digest)


def sorted_alone(
    access: Access, pieces: Iterable[Piece], columns: tuple[str, ...], query: Query, bad_rows: BadRows
) -> SortedPart:
    """The whole sort in one process, by other means than an engine's: what all must give."""
    table = pa.concat_tables([read_kept((access, piece, columns, query, bad_rows)) for piece in pieces])
    values = [_values(table.column(name)) for name in columns]
    key = values[columns.index(query.column)]
    others = [column for name, column in zip(columns, values, strict=True) if name != query.column]
    order = np.lexsort((*others[::-1], -key))
    return _part([column[order] for column in values], list(columns), query, time.time())


def _values(column: pa.ChunkedArray) -> np.ndarray:
    """float64, missing as NaN."""
    found: np.ndarray = column.cast(pa.float64()).to_numpy()
    return found


def _order(columns: list[np.ndarray], key: int) -> np.ndarray:
    """Positions in the total order. Only rows that share their key with a neighbour are compared by other columns."""
    order = np.argsort(-columns[key], kind="stable")
    ranked = columns[key][order]
    same = np.zeros(len(order), bool)
    same[1:] = ranked[1:] == ranked[:-1]
    tied = same.copy()
    tied[:-1] |= same[1:]
    rows, run = order[tied], np.cumsum(~same)[tied]
    others = [column[rows] for number, column in enumerate(columns) if number != key]
    order[tied] = rows[np.lexsort((*others[::-1], run))]
    return order


def _part(columns: list[np.ndarray], names: list[str], query: Query, began_at: float) -> SortedPart:
    values = columns[names.index(query.column)]
    found = answer_of(exact_units(values, query.decimals), 0, Query(query.column, None, query.largest, query.decimals))
    hashes = np.zeros(len(values), np.uint64)
    for column in columns:
        hashes = _mixed(hashes + np.uint64(_BASE) ^ _words(column, query.decimals))
    powers = np.full(len(values), _BASE, np.uint64)
    powers[-1:] = 1
    powers = np.multiply.accumulate(powers[::-1])[::-1]
    digest = int((hashes * powers).sum(dtype=np.uint64))
    return SortedPart(found, digest, pow(_BASE, len(values), _WORD), trace(began_at))


def _words(column: np.ndarray, decimals: int) -> np.ndarray:
    """A column as whole units, the same from every parser: pandas's own may be off by the last bit of a float64."""
    units = np.rint(column * 10.0**decimals) + 0.0  # no negative zero
    return np.where(np.isnan(column), _MISSING, units.view(np.uint64))


def _mixed(words: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser."""
    for shift, factor in zip((30, 27), _MIX, strict=True):
        words = (words ^ (words >> np.uint64(shift))) * factor
    found: np.ndarray = words ^ (words >> np.uint64(31))
    return found
