"""Read CSV of any size with any number of workers: ranged reads, cut at record ends, parsed by Arrow, never wrongly.

The same code runs inside the workers of every engine; an engine brings a `run(function, pieces)` and nothing else:

    objects = list_objects(access, "s3://bucket/sales")
    pieces = plan(objects, range_bytes(objects, workers=8))
    result = answer(lambda work, pieces: client.gather(client.map(work, pieces)), access, pieces, Query())

For the rows themselves, as frames of Dask (or Ray: `ray.data.from_arrow_refs` of one remote call per piece):

    columns = schema(access, objects, ["ss_item_sk", "ss_net_profit"])
    frame = dask.dataframe.from_map(
        lambda piece: pa.concat_tables(tables(access, piece, columns)).to_pandas(), pieces
    )

How quotes are settled. Where a range begins, nobody knows whether the bytes before left a quote open. A worker takes
the likeliest of the (at most four) states a reader can be in there, and reports where its first record starts and where
its last one ends. Combining checks that each range starts exactly where the one before ended, from the header on. A
record's end depends on nothing but where it starts, so a chain without a gap proves every guess. Where it breaks, the
object is read again whole by one worker, and the result says so.

Arrow was chosen by measurement. One thread, 23 numeric columns of which one is asked for: Arrow 2.1 ms of CPU per MB,
polars 1.8, DuckDB 3.7; but polars turns the missing fields of a short row into nulls without a word. Values are read as
decimals, which is exact, and as fast as floats checked for exactness afterwards.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa

from tasks.answer import Answer, Query, answer_of, merge
from tasks.dialect import Dialect
from tasks.objects import BLOCK_BYTES, Access, DataObject, ObjectChanged
from tasks.parser import EXAMPLES, Bad, BadRows
from tasks.records import BadData, Layout
from tasks.slices import MIB, Clock, Slice, is_whole, readers

COMMAS = Dialect()
# Blocks a worker holds at once: read ahead, in hand, carried over, and Arrow's copies.
_WORKING_SET_BYTES = 8 * BLOCK_BYTES


@dataclass(frozen=True)
class Piece:
    """The work of one task."""

    slices: tuple[Slice, ...]

    @property
    def size_bytes(self) -> int:
        return sum(part.stop - part.start for part in self.slices)


@dataclass(frozen=True)
class SliceAnswer:
    """first, end: where the first record starts and the last one ends. error: holds only if `first` is proven right."""

    slice: Slice
    first: int
    end: int
    answer: Answer
    bad_rows: int = 0
    bad_examples: tuple[BadData, ...] = ()
    error: BadData | None = None


@dataclass(frozen=True)
class PartialAnswer:
    """What one task found. Seconds: from the task's start to the first byte, waiting for bytes, and parsing.

    requests: ranged reads, retries not among them.
    """

    slices: tuple[SliceAnswer, ...]
    bytes_read: int
    first_byte_s: float
    read_s: float
    parse_s: float
    requests: int = 0


@dataclass(frozen=True)
class Result:
    """again: pieces still to be read, and all partial answers combined once more; the answer counts if empty."""

    answer: Answer
    bad_rows: int = 0
    bad_examples: tuple[BadData, ...] = ()
    bytes_read: int = 0
    reread_whole: tuple[str, ...] = ()
    again: tuple[Piece, ...] = ()


def range_bytes(objects: Sequence[DataObject], workers: int, memory_mib: int = 4096, functions: bool = False) -> int:
    """Bytes per piece: four pieces per worker, to make up for slow ones; on functions one, for each costs a start.

    Pieces are streamed, so a worker's memory does not bound them. Raises ValueError when it can't hold the stream.
    """
    if memory_mib * MIB < 2 * _WORKING_SET_BYTES:
        raise ValueError(f"found workers of {memory_mib} MiB, wanted {2 * _WORKING_SET_BYTES // MIB} MiB or more")
    total = sum(item.size_bytes for item in objects)
    return max(2 * BLOCK_BYTES, -(-total // (workers if functions else 4 * workers)))


def plan(objects: Iterable[DataObject], range_bytes: int, dialect: Dialect = COMMAS) -> list[Piece]:
    """Cut large objects in equal ranges, put small ones together, each piece up to `range_bytes`.

    What is compressed, or in an encoding that can't be cut, stays whole: one task reads it.
    """
    if range_bytes < 1:
        raise ValueError(f"found range_bytes={range_bytes}, wanted 1 or more")
    pieces: list[Piece] = []
    open_slices: list[Slice] = []
    room = range_bytes
    for item in objects:
        size = item.size_bytes
        if size > range_bytes and not is_whole(item, dialect):
            count = -(-size // range_bytes)
            cuts = [size * i // count for i in range(count + 1)]
            pieces += [Piece((Slice(item, a, b),)) for a, b in pairwise(cuts)]
            continue
        if open_slices and size > room:
            pieces.append(Piece(tuple(open_slices)))
            open_slices, room = [], range_bytes
        open_slices.append(Slice(item, 0, size))
        room -= size
    return pieces + ([Piece(tuple(open_slices))] if open_slices else [])


def read(
    access: Access,
    piece: Piece,
    query: Query,
    *,
    bad_rows: BadRows = "fail",
    dialect: Dialect = COMMAS,
    block_bytes: int = BLOCK_BYTES,
) -> PartialAnswer:
    """Answer the query for one piece. Memory: a few blocks, whatever the piece's size.

    Raises BadData where it is certain; in a range whose start is a guess the error is kept for `combine` to judge.
    Raises ObjectGone, ObjectChanged, EndpointFailed.
    """
    column_type = pa.decimal128(18, query.decimals)
    clock = Clock()
    answers = []
    before = time.perf_counter()
    for reader in readers(access, piece.slices, dialect, bad_rows, block_bytes=block_bytes, clock=clock):
        part, found = reader.slice, Answer()
        try:
            for table in reader.tables({query.column: column_type}):
                values = units_of(table.column(0))
                found = merge((found, answer_of(values, table.num_rows, query)), query)
        except BadData as error:
            if not reader.guessed:
                raise
            answers.append(SliceAnswer(part, reader.first, reader.end, found, error=error))
            continue
        bad = reader.bad
        answers.append(SliceAnswer(part, reader.first, reader.end, found, bad.count, tuple(bad.examples)))
    parse_s = time.perf_counter() - before - clock.read_s
    return PartialAnswer(tuple(answers), clock.bytes_read, clock.first_byte_s, clock.read_s, parse_s, clock.requests)


def combine(partials: Iterable[PartialAnswer], query: Query) -> Result:
    """Settle quotes across ranges and add up. Raises BadData, and ValueError when a range is missing or there twice."""
    partials = list(partials)
    by_uri: dict[str, list[SliceAnswer]] = {}
    for part in (part for found in partials for part in found.slices):
        by_uri.setdefault(part.slice.item.uri, []).append(part)
    counted: list[SliceAnswer] = []
    again: list[Piece] = []
    reread: list[str] = []
    for uri, parts in by_uri.items():
        if len({part.slice.item.version for part in parts}) > 1:
            raise ObjectChanged(f"{uri}: its ranges were read from two versions; list it again")
        wholes = [part for part in parts if part.slice.whole]
        if wholes and len(parts) > 1:
            reread.append(uri)
        chain = wholes[:1] or sorted(parts, key=lambda part: part.slice.start)
        _check_cover(uri, chain)
        if not _is_chain(chain):
            again.append(Piece((Slice(chain[0].slice.item, 0, chain[0].slice.item.size_bytes),)))
        counted += chain
    return Result(
        merge((part.answer for part in counted), query),
        sum(part.bad_rows for part in counted),
        tuple(example for part in counted for example in part.bad_examples)[:EXAMPLES],
        sum(found.bytes_read for found in partials),
        tuple(reread),
        tuple(again),
    )


def answer(
    run: Callable[[Callable[[Piece], PartialAnswer], Sequence[Piece]], Iterable[PartialAnswer]],
    access: Access,
    pieces: Sequence[Piece],
    query: Query,
    bad_rows: BadRows = "fail",
    dialect: Dialect = COMMAS,
) -> Result:
    """Map `read` over the pieces by the engine's `run(function, pieces)`, and again whole where quotes ask for it."""

    work = partial(read, access, query=query, bad_rows=bad_rows, dialect=dialect)
    partials = list(run(work, pieces))
    result = combine(partials, query)
    if result.again:
        result = combine([*partials, *run(work, result.again)], query)
    return result


def tables(
    access: Access,
    piece: Piece,
    columns: Mapping[str, pa.DataType] | pa.Schema,
    *,
    bad_rows: BadRows | Bad = "fail",
    dialect: Dialect = COMMAS,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[pa.Table]:
    """The piece's rows in tables of about a block, one at least, with the columns asked for in that order.

    Every row is certain when it is yielded. A range whose start can't be told from its own first 16 MiB is settled by
    reading the bytes before it: exact, and slow only for files with line ends inside quotes. Raises like `read`, but
    BadData always at once. Rows left out are counted where `bad_rows` is a `Bad("skip")` to count them in.
    """
    wanted = columns if isinstance(columns, pa.Schema) else pa.schema(list(columns.items()))
    types = dict(zip(wanted.names, wanted.types, strict=True))
    for reader in readers(
        access, piece.slices, dialect, bad_rows, block_bytes=block_bytes, clock=Clock(), certain=True
    ):
        yield from reader.tables(types)
    yield pa.Table.from_batches([], wanted)


def schema(
    access: Access, objects: Sequence[DataObject], columns: Sequence[str] | None = None, dialect: Dialect = COMMAS
) -> pa.Schema:
    """Types that Arrow infers from the first records (about a MiB) of the first object with any; `columns` None: all.

    A column without a value there is taken for text. Raises BadData.
    """
    for item in objects:
        first = Slice(item, 0, item.size_bytes if is_whole(item, dialect) else min(item.size_bytes, MIB))
        for reader in readers(access, [first], dialect, "fail", block_bytes=MIB, clock=Clock()):
            for table in reader.tables(None):
                fields = [
                    table.schema.field(reader.layout.position(name, item.uri)) for name in columns or table.column_names
                ]
                if table.num_rows:
                    return pa.schema([f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in fields])
    raise BadData("wanted a record to tell the types from", objects[0].uri, 0, "")


def header(
    access: Access, objects: Sequence[DataObject], dialect: Dialect = COMMAS
) -> tuple[DataObject, Layout] | None:
    """The first object that has any columns, and its layout; None where all are empty. Raises BadData."""
    for item in objects:
        first = Slice(item, 0, item.size_bytes if is_whole(item, dialect) else min(item.size_bytes, MIB))
        for reader in readers(access, [first], dialect, "fail", block_bytes=MIB, clock=Clock()):
            if (found := reader.head()).names:
                return item, found
    return None


def units_of(column: pa.ChunkedArray) -> np.ndarray:
    """Non-null decimals of at most 18 digits as int64, not by pyarrow.compute, which takes long to import."""
    found = [np.zeros(0, np.int64)]
    for chunk in column.chunks:
        validity, words = chunk.buffers()
        stop = chunk.offset + len(chunk)
        low = np.frombuffer(words or b"", np.int64)[2 * chunk.offset : 2 * stop : 2]  # 18 digits fit the lower half
        if chunk.null_count:
            bits = np.unpackbits(np.frombuffer(validity, np.uint8), count=stop, bitorder="little")
            low = low[bits[chunk.offset :].view(bool)]
        found.append(low)
    return np.concatenate(found)


def _check_cover(uri: str, chain: Sequence[SliceAnswer]) -> None:
    cuts = [0, *(part.slice.stop for part in chain)]
    if [part.slice.start for part in chain] != cuts[:-1] or cuts[-1] != chain[0].slice.item.size_bytes:
        found = ", ".join(f"{part.slice.start}-{part.slice.stop}" for part in chain)
        raise ValueError(f"{uri}: found ranges {found}, wanted each byte to {chain[0].slice.item.size_bytes} once")


def _is_chain(chain: Sequence[SliceAnswer]) -> bool:
    """Does each range start where the one before ended? Raises the first error that is proven so."""
    at = chain[0].first
    for part in chain:
        if part.first != at and (at < part.slice.stop or part.first < part.slice.stop):
            return False
        if part.first < part.slice.stop:
            if part.error:
                raise part.error
            at = part.end
    return True
