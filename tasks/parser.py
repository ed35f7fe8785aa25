"""Whole records into tables by Arrow's CSV reader; what it refuses is narrowed down to the record and named."""

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from tasks.dialect import Dialect, value_hint
from tasks.records import BadData, Grammar, Layout, shown

BadRows = Literal["fail", "skip"]
# Arrow's own block: measured from 256 KiB to 16 MiB, this one stays in the cache and was fastest.
_ARROW_BLOCK_BYTES = 1 << 20
EXAMPLES = 5


@dataclass
class Bad:
    """Bad rows of one slice, or of all that share it: raised at once, or counted and the first few kept."""

    policy: BadRows
    count: int = 0
    examples: list[BadData] = field(default_factory=list)

    def add(self, error: BadData) -> None:
        if self.policy == "fail":
            raise error
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(error)


@dataclass(frozen=True)
class Chunk:
    """Whole records: data[start:stop], at `offset` in the file. quoted: it may hold quotes."""

    offset: int
    data: bytes
    start: int
    stop: int
    quoted: bool


@dataclass(frozen=True)
class Parser:
    """Arrow's reader, set up for one object."""

    dialect: Dialect
    grammar: Grammar
    layout: Layout
    types: Mapping[str, pa.DataType] | None
    uri: str
    bad: Bad

    def __post_init__(self) -> None:
        for name in self.types or ():
            self.layout.position(name, self.uri)

    def tables(self, chunk: Chunk) -> Iterator[pa.Table]:
        """The chunk's rows. What Arrow refuses is halved until the bad record stands alone and can be named."""
        try:
            yield self._arrow(chunk, self.types)
            return
        except pa.ArrowInvalid as error:
            text = chunk.data[chunk.start : chunk.stop]
            ends = self.grammar.ends(text, True)
            refused = error
        if len(ends) > 1:
            middle = chunk.start + int(ends[len(ends) // 2 - 1])
            yield from self.tables(Chunk(chunk.offset, chunk.data, chunk.start, middle, chunk.quoted))
            later = chunk.offset + middle - chunk.start
            yield from self.tables(Chunk(later, chunk.data, middle, chunk.stop, chunk.quoted))
        elif record := text.rstrip(b"\r\n"):
            self.bad.add(self._named(chunk, record, refused))

    def _named(self, chunk: Chunk, record: bytes, refused: Exception) -> BadData:
        values = self.grammar.fields(record)
        reason = f"wanted {self.layout.width} fields, this record has {len(values)}"
        if len(values) != self.layout.width:
            return BadData(reason, self.uri, chunk.offset, shown(record))
        if self.layout.trailing and values[-1]:
            return BadData("wanted nothing after the last delimiter", self.uri, chunk.offset, shown(record))
        for name, kind in (self.types or {}).items():
            try:
                self._arrow(chunk, {name: kind})
            except pa.ArrowInvalid as error:
                value = values[self.layout.position(name, self.uri)]
                hint = value_hint(value.decode("ascii", "replace"), self.dialect)
                reason = f"wanted {kind} or nothing in column {name!r} ({error}){hint}"
                return BadData(reason, self.uri, chunk.offset, shown(value))
        return BadData(f"wanted a record ({refused})", self.uri, chunk.offset, shown(record))

    def _arrow(self, chunk: Chunk, types: Mapping[str, pa.DataType] | None) -> pa.Table:
        """Raises pa.ArrowInvalid. Columns go by position within Arrow, for names may be empty or there twice."""
        names = self.layout.names if types is None else tuple(types)
        positions = [str(self.layout.position(name, self.uri)) for name in names]
        kinds = {} if types is None else dict(zip(positions, types.values(), strict=True))
        if self.layout.trailing:
            kinds[str(self.layout.width - 1)] = pa.null()  # more than nothing after the last delimiter is a ragged row
        text = pa.py_buffer(chunk.data).slice(chunk.start, chunk.stop - chunk.start)
        if chunk.data.startswith(codecs.BOM_UTF8, chunk.start):
            # Arrow skips a byte-order mark where its input begins, which here is just where a block was cut.
            text = pa.py_buffer(b"\n" + chunk.data[chunk.start : chunk.stop])

        def parsed(block_bytes: int) -> pa.Table:
            return pc.read_csv(
                pa.BufferReader(text),
                pc.ReadOptions(
                    use_threads=False,
                    block_size=block_bytes,
                    column_names=[str(i) for i in range(self.layout.width)],
                    encoding=self._encoding(types),
                ),
                pc.ParseOptions(
                    delimiter=self.grammar.delimiter.decode(),
                    quote_char='"' if chunk.quoted else False,
                    newlines_in_values=chunk.quoted,
                ),
                pc.ConvertOptions(
                    include_columns=[*positions, *([str(self.layout.width - 1)] if self.layout.trailing else [])],
                    column_types=kinds,
                    null_values=["", *self.dialect.nulls],
                    decimal_point=self.dialect.decimal,
                    strings_can_be_null=True,
                ),
            )

        try:
            # With quotes one block: where one ends in CR, Arrow drops an LF that begins the next, also within quotes.
            table = parsed(text.size + 1 if chunk.quoted else _ARROW_BLOCK_BYTES)
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error):
                raise
            table = parsed(text.size + 1)  # a record is longer than the block
        table = table.select(range(len(names))).rename_columns(names)
        for column in table.columns:
            if pa.types.is_decimal(column.type):
                column.validate(full=True)  # Arrow counts digits before it scales them: 1e17 would pass, and wrap
            # Nulls come out as NaN; one more than there are nulls was written as such.
            if pa.types.is_floating(column.type) and (~np.isfinite(column.to_numpy())).sum() > column.null_count:
                raise pa.ArrowInvalid("not a finite number")
        return table

    def _encoding(self, types: Mapping[str, pa.DataType] | None) -> str:
        """Numbers are ASCII in every encoding that comes here; only text is worth the turning into UTF-8."""
        texts = types is None or any(pa.types.is_string(kind) for kind in types.values())
        return self.dialect.text_encoding if texts or not "".join(self.dialect.nulls).isascii() else "utf-8"
