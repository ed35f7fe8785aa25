"""Worker's side of the sort: rows that pass a filter, their one total order, and how parts of it are checked.

Rows are tables of float64 columns, missing values null (in frames NaN). The order: the query's column from high to low,
equals by all other columns in the file's order from low to high, missing last. Rows that are still equal are the same.
An engine sorts by the column alone and keeps equals together; `settle` puts the equals of each part in order.

Since the order is total, rows are right if they are the right ones and none comes before one that it should follow.
Which rows they are is told by a sum of their hashes, in any order: so the truth needs neither a sort nor the rows in
memory.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks.answer import Answer, Query, answer_of, exact_units, merge
from tasks.dialect import Dialect
from tasks.objects import Access
from tasks.parser import Bad, BadRows
from tasks.ranges import Piece, tables
from tasks.records import BadData
from tasks.trace import Trace, trace

# splitmix64: 2**64 over the golden ratio, and the multipliers of its finaliser.
_BASE = 0x9E3779B97F4A7C15
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_MISSING = np.uint64(0x7FF8DEADBEEF0001)
_WORD = 1 << 64

Work = tuple[Access, Piece, tuple[str, ...], Query, BadRows, Dialect]
"""A piece, all columns of the file in its order, what to keep, what to do with rows that can't be read, how written."""


@dataclass(frozen=True)
class SortedAnswer(Answer):
    """The answer of rows in their order. row_hashes: their sum modulo 2**64."""

    row_hashes: int = 0
    in_order: bool = True


@dataclass(frozen=True)
class SortedPart:
    """One part of the sorted rows. first, last: where its outermost rows stand in the order; None without rows."""

    answer: Answer
    row_hashes: int
    in_order: bool
    first: tuple[float, ...] | None
    last: tuple[float, ...] | None
    trace: Trace


@dataclass(frozen=True)
class Passing:
    """What passes of a piece, in no order. answer: with all rows that were read."""

    answer: Answer
    row_hashes: int
    bad_rows: int = 0
    bad_examples: tuple[BadData, ...] = ()


def kept(table: pa.Table, query: Query) -> pa.Table:
    """The rows whose column is greater than the query's bound, missing values left out."""
    column = table.column(query.column)
    if query.above is None:
        return table.filter(pc.is_valid(column))
    return table.filter(pc.greater(column, query.above / 10**query.decimals))


def read_kept(work: Work) -> pa.Table:
    """The rows of a piece of the ranges reader that pass, as one table. Never more than a block of others in memory."""
    access, piece, columns, query, bad_rows, dialect = work
    found = tables(access, piece, dict.fromkeys(columns, pa.float64()), bad_rows=bad_rows, dialect=dialect)
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
    found = merge((part.answer for part in parts), query)
    filled = [part for part in parts if part.first is not None and part.last is not None]
    borders = all(before.last <= after.first for before, after in pairwise(filled))  # type: ignore[operator]
    in_order = borders and all(part.in_order for part in parts)
    row_hashes = sum(part.row_hashes for part in parts) % _WORD
    return SortedAnswer(rows, found.kept, found.total, found.largest, row_hashes, in_order)


def passing(work: Work) -> Passing:
    """What passes of a piece, read as a stream: what all engines must end with. Memory: a few blocks."""
    access, piece, columns, query, bad_rows, dialect = work
    found, row_hashes, bad = Answer(), 0, Bad(bad_rows)
    types = dict.fromkeys(columns, pa.float64())
    for table in tables(access, piece, types, bad_rows=bad, dialect=dialect):
        part = kept(table, query)
        values = [_values(part.column(name)) for name in columns]
        own = replace(_answer(values[columns.index(query.column)], query), rows=table.num_rows)
        found = merge((found, own), query)
        row_hashes = (row_hashes + _row_hashes(values, query)) % _WORD
    return Passing(found, row_hashes, bad.count, tuple(bad.examples))


def passing_all(parts: Sequence[Passing], query: Query) -> SortedAnswer:
    """The true answer of a set, from what passes of its pieces."""
    found = merge((part.answer for part in parts), query)
    row_hashes = sum(part.row_hashes for part in parts) % _WORD
    return SortedAnswer(found.rows, found.kept, found.total, found.largest, row_hashes)


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
    key = names.index(query.column)
    ranks = [-columns[key], *(column for number, column in enumerate(columns) if number != key)]
    outermost = [tuple(_rank(column[at]) for column in ranks) for at in (0, -1)] if len(ranks[0]) else [None, None]
    first, last = (tuple(value for pair in row for value in pair) if row else None for row in outermost)
    answer = _answer(columns[key], query)
    return SortedPart(answer, _row_hashes(columns, query), _in_order(ranks), first, last, trace(began_at))


def _answer(values: np.ndarray, query: Query) -> Answer:
    everything = Query(query.column, None, query.largest, query.decimals)
    return answer_of(exact_units(values, query.decimals), 0, everything)


def _rank(value: float) -> tuple[float, float]:
    """Missing last."""
    return (1.0, 0.0) if np.isnan(value) else (0.0, float(value))


def _in_order(ranks: list[np.ndarray]) -> bool:
    """Does no row stand after one that it should stand before? Columns from the one that decides first."""
    open_ = np.ones(max(len(ranks[0]) - 1, 0), bool)  # neighbours that are equal so far
    for column in ranks:
        before, after = column[:-1], column[1:]
        missing, missing_after = np.isnan(before), np.isnan(after)
        equal = (before == after) | (missing & missing_after)
        less = (before < after) | (~missing & missing_after)
        if (open_ & ~equal & ~less).any():
            return False
        open_ &= equal
    return True


def _row_hashes(columns: list[np.ndarray], query: Query) -> int:
    hashes = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        hashes = _mixed(hashes + np.uint64(_BASE) ^ _words(column, query.decimals))
    return int(hashes.sum(dtype=np.uint64))


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
