"""Functions read and filter, a cluster sorts: what a function hands over.

Apart from `native`, so that a function, which imports all anew, need not wait for pandas.
"""

import io
import uuid
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from tasks.answer import Query
from tasks.dialect import Dialect
from tasks.objects import Access
from tasks.parser import Bad, BadRows
from tasks.ranges import Piece, tables, units_of
from tasks.records import BadData
from tasks.upload import put_stream


@dataclass(frozen=True)
class Kept:
    """rows: records read. count: values that pass the filter. units: those values; None once they stand in a part."""

    rows: int
    count: int
    units: np.ndarray | None
    bad_rows: int = 0
    bad_examples: tuple[BadData, ...] = ()


def piece_kept(access: Access, piece: Piece, query: Query, bad_rows: BadRows, dialect: Dialect) -> Kept:
    """Rows of a piece of the ranges reader, and the values that pass the filter. Raises as `ranges.tables`."""
    rows, found, bad = 0, [np.empty(0, np.int64)], Bad(bad_rows)
    columns = {query.column: pa.decimal128(18, query.decimals)}
    for table in tables(access, piece, columns, bad_rows=bad, dialect=dialect):
        rows += table.num_rows
        found.append(passing(units_of(table.column(0)), query))
    units = np.concatenate(found)
    return Kept(rows, len(units), units, bad.count, tuple(bad.examples))


def written_piece(
    access: Access, parts_at: str, piece: Piece, query: Query, bad_rows: BadRows, dialect: Dialect
) -> Kept:
    """As `piece_kept`, but the values go to a part of their own below `parts_at`."""
    return written(access, parts_at, piece_kept(access, piece, query, bad_rows, dialect))


def written(access: Access, parts_at: str, kept: Kept) -> Kept:
    """`kept` without its values, which now stand in a CSV file of one column."""
    assert kept.units is not None
    # By its buffer: of a NumPy array pyarrow asks whether it is one of pandas, and imports that to know.
    values = pa.Array.from_buffers(pa.int64(), kept.count, [None, pa.py_buffer(kept.units)])
    out = io.BytesIO()
    pc.write_csv(pa.Table.from_arrays([values], ["units"]), out)
    put_stream(access, f"{parts_at}/{uuid.uuid4().hex}.csv", [out.getvalue()])
    return replace(kept, units=None)


def passing(units: np.ndarray, query: Query) -> np.ndarray:
    """The values above the query's bound."""
    return units if query.above is None else units[units > query.above]
