"""One worker's way through the records of one range: find the start, cut at record ends, have them parsed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise

import numpy as np
import pyarrow as pa

from tasks.compressed import codec_of, inflated, transcoded
from tasks.dialect import Dialect
from tasks.objects import Access, DataObject, Request, read_ahead, read_range
from tasks.parser import Bad, BadRows, Chunk, Parser
from tasks.records import LINE_END, RECORD_BYTES, BadData, Grammar, Layout, last_end, layout, shown

MIB = 1 << 20
# Enough to finish nearly every record that crosses a range's end, and to hold a header, without a further request.
_OVERLAP_BYTES = 64 << 10
# Bytes and records that are weighed to guess where a range's first record starts.
_GUESS_BYTES = MIB
_GUESS_RECORDS = 20


@dataclass(frozen=True)
class Slice:
    """The records of one object that start in bytes [start, stop)."""

    item: DataObject
    start: int
    stop: int

    @property
    def whole(self) -> bool:
        return self.start == 0 and self.stop == self.item.size_bytes


@dataclass
class Clock:
    """Bytes, seconds and requests of one task; each read that is timed is one request."""

    started: float = field(default_factory=time.perf_counter)
    first_byte_s: float = 0.0
    read_s: float = 0.0
    bytes_read: int = 0
    requests: int = 0

    def timed(self, read: Callable[[], bytes]) -> bytes:
        before = time.perf_counter()
        data = read()
        after = time.perf_counter()
        if not self.bytes_read:
            self.first_byte_s = after - self.started
        self.read_s += after - before
        self.bytes_read += len(data)
        self.requests += 1
        return data


def is_whole(item: DataObject, dialect: Dialect) -> bool:
    """Must the object be read from its start to its end by one task, because its bytes are not the text's?"""
    return codec_of(item) is not None or dialect.transcoded


def readers(
    access: Access,
    slices: Sequence[Slice],
    dialect: Dialect,
    bad_rows: BadRows | Bad,
    *,
    block_bytes: int,
    clock: Clock,
    certain: bool = False,
) -> Iterator["Reader"]:
    """A reader per slice, to be used up one after the other; the blocks of the next are read ahead meanwhile."""
    grammar = Grammar(dialect.delimiter.encode())
    wanted = [_requests(part, block_bytes) for part in slices]
    blocks = read_ahead(access, chain.from_iterable(wanted), 2 * block_bytes)
    for part, requests in zip(slices, wanted, strict=True):
        own = islice(blocks, len(requests))
        bad = bad_rows if isinstance(bad_rows, Bad) else Bad(bad_rows)
        yield Reader(access, part, dialect, grammar, bad, own, requests, block_bytes, clock, certain)
        for _ in own:  # a slice that ended early leaves blocks that are not the next one's
            pass


def _requests(part: Slice, block_bytes: int) -> list[Request]:
    """The head of the object for a range within it, then the range from the byte before it on, and a little more."""
    item, size = part.item, part.item.size_bytes
    if codec_of(item) == "zip":  # read from its end
        return []
    overlap = min(_OVERLAP_BYTES, block_bytes)
    start = max(part.start - 1, 0)
    cuts = [*range(start, max(part.stop, start + 1), block_bytes), min(part.stop + overlap, size)]
    body = [Request(item, a, b) for a, b in pairwise(cuts) if a < b]
    return [Request(item, 0, min(overlap, size)), *body] if part.start else body


@dataclass
class Reader:
    """Yields the records of `slice` as tables. first, end: where its first record starts, where the last ends."""

    access: Access
    slice: Slice
    dialect: Dialect
    grammar: Grammar
    bad: Bad
    blocks: Iterator[bytes]
    requests: list[Request]
    block_bytes: int
    clock: Clock
    certain: bool
    layout: Layout = field(default_factory=lambda: Layout((), False, 0))
    guessed: bool = False
    first: int = 0
    end: int = 0

    def tables(self, types: Mapping[str, pa.DataType] | None) -> Iterator[pa.Table]:
        """Tables of about a block, with the columns of `types`; None: all of them, types by Arrow. Raises BadData."""
        part, uri = self.slice, self.slice.item.uri
        text, head, final = self._text(), b"", False
        found = self._head_apart() if part.start else None
        if found is None:
            found, head, final = self._headed(text)
        if not found.names:
            self.first = self.end = part.stop
            return
        self.layout = found
        parser = Parser(self.dialect, self.grammar, found, types, uri, self.bad)
        self.guessed = bool(part.start)
        if part.start:
            start, rest = self._start(text, found)
        else:
            start, rest = found.body, chain([(head[found.body :], final)], text)
        self.first = self.end = start
        stop = part.stop if not is_whole(part.item, self.dialect) else None
        if stop is not None and start >= stop:
            return
        for chunk in self._chunks(rest, start, stop):
            yield from parser.tables(chunk)

    def head(self) -> Layout:
        """The layout alone, of a slice that begins where its object does. Raises BadData."""
        return self._headed(self._text())[0]

    def _text(self) -> Iterator[tuple[bytes, bool]]:
        if is_whole(self.slice.item, self.dialect):
            return self._streamed()
        return self._plain(self.requests[1:] if self.slice.start else self.requests)

    def _headed(self, text: Iterator[tuple[bytes, bool]]) -> tuple[Layout, bytes, bool]:
        """The layout, the text that was read to know it, and whether the object ends there."""
        uri, head = self.slice.item.uri, b""
        while len(head) <= 2 * RECORD_BYTES:
            data, final = next(text)
            head += data
            found = layout(head, final, self.grammar, uri, self.dialect.text_encoding)
            if found is not None:
                return found, head, final
        raise BadData(f"wanted a header of less than {RECORD_BYTES} bytes", uri, 0, shown(head))

    def _plain(self, requests: list[Request]) -> Iterator[tuple[bytes, bool]]:
        """Blocks and whether the object ends there: those asked for ahead, then as long as someone wants more."""
        size, at = self.slice.item.size_bytes, self.slice.start
        for request in requests:
            at = request.stop
            yield self.clock.timed(lambda: next(self.blocks)), at == size
        if not requests:
            yield b"", at == size
        step = min(_OVERLAP_BYTES, self.block_bytes)
        while at < size:
            step = min(2 * step, self.block_bytes)
            request = Request(self.slice.item, at, min(at + step, size))
            at = request.stop
            yield self.clock.timed(lambda: read_range(self.access, request)), at == size  # noqa: B023 - called at once

    def _streamed(self) -> Iterator[tuple[bytes, bool]]:
        """The same of an object that is compressed, or in an encoding of its own: as UTF-8 text."""
        item = self.slice.item
        blocks = (self.clock.timed(lambda: next(self.blocks)) for _ in self.requests)
        text = inflated(self.access, item, blocks, self.clock.timed) if codec_of(item) else blocks
        for data in transcoded(text, self.dialect, item.uri):
            yield data, False
        yield b"", True

    def _head_apart(self) -> Layout:
        """The layout of an object of which this slice does not hold the beginning."""
        item = self.slice.item
        head = self.clock.timed(lambda: next(self.blocks))
        while (
            found := layout(head, len(head) == item.size_bytes, self.grammar, item.uri, self.dialect.text_encoding)
        ) is None:
            if len(head) > 2 * RECORD_BYTES:
                raise BadData(f"wanted a header of less than {RECORD_BYTES} bytes", item.uri, 0, shown(head))
            more = Request(item, len(head), min(2 * len(head), item.size_bytes))
            head += self.clock.timed(lambda: read_range(self.access, more))  # noqa: B023 - called at once
        return found

    def _start(self, text: Iterator[tuple[bytes, bool]], found: Layout) -> tuple[int, Iterator[tuple[bytes, bool]]]:
        """Where the first record starts, and the text from there on. A guess, unless `certain` is asked for."""
        part = self.slice
        if found.body >= part.start:
            place = found.body
            data, final = next(text)
        else:
            data, final = next(text)
            window = RECORD_BYTES if self.certain else 0
            while len(data) < window and not final and b'"' not in data:
                more, final = next(text)
                data += more
            quoted = b'"' in data
            places = self._places(data, final, quoted)
            while not places and not final and len(data) <= RECORD_BYTES:
                more, final = next(text)
                data += more
                quoted = b'"' in data
                places = self._places(data, final, quoted)
            sure = len(places) == 4 and len(set(places)) == 1
            if self.certain and quoted and not sure:
                place = self._read_to(part.start, found)
            elif places:
                best = max(dict.fromkeys(places), key=lambda place: self._weight(data, place, final, found.width))
                place = part.start - 1 + best
            else:
                place = part.stop
        skip = place - (part.start - 1)
        while skip > len(data) and not final:
            more, final = next(text)
            data += more
        return place, chain([(data[skip:], final)], text)

    def _places(self, data: bytes, final: bool, quoted: bool) -> list[int]:
        if quoted:
            return self.grammar.starts(data[:_GUESS_BYTES], final and len(data) <= _GUESS_BYTES) or self.grammar.starts(
                data, final
            )
        end = self.grammar.next_end(b"x" + data, 0, final)
        return [] if end is None else [end - 1]

    def _weight(self, data: bytes, place: int, final: bool, width: int) -> int:
        widths = self.grammar.widths(data[: place + _GUESS_BYTES], place, final, _GUESS_RECORDS)
        return sum(1 if found == width else -2 for found in widths)

    def _read_to(self, start: int, found: Layout) -> int:
        """The first record's start at or after `start`, told from all bytes before it."""
        before = Slice(self.slice.item, 0, start)
        requests = _requests(before, self.block_bytes)
        blocks = read_ahead(self.access, requests, self.block_bytes)
        reader = Reader(
            *(self.access, before, self.dialect, self.grammar, Bad("skip"), blocks, requests, self.block_bytes),
            self.clock,
            certain=True,
        )
        text = reader._plain(requests)
        skip, data, final = found.body, b"", False
        while len(data) < skip:
            more, final = next(text)
            data += more
        for _ in reader._chunks(chain([(data[skip:], final)], text), skip, start):
            pass
        return reader.end

    def _chunks(self, text: Iterator[tuple[bytes, bool]], offset: int, stop: int | None) -> Iterator[Chunk]:
        """Whole records from the one at `offset`, where `text` begins, to the last that starts before `stop`."""
        carry, quoted = b"", False
        for block, final in text:
            data = block
            quoted = quoted or b'"' in data
            start = 0
            if carry and not quoted and not carry.endswith(b"\r"):
                # Only the record that crosses the blocks is copied.
                line_end = LINE_END.search(data)
                if line_end and (line_end.end() < len(data) or line_end.group() != b"\r"):
                    start = line_end.end()
                    joined = carry + data[:start]
                    yield Chunk(offset, joined, 0, len(joined), False)
                    offset, carry = offset + len(joined), b""
                    self.end = offset
                    if stop is not None and offset >= stop:
                        return
            data = carry + data if carry else data
            cut, done = self._cut(data, start, offset, stop, final=final, quoted=quoted)
            if cut > start:
                yield Chunk(offset, data, start, cut, quoted)
                offset += cut - start
                self.end = offset
            if done:
                return
            carry = data[cut:]
            quoted = quoted and b'"' in carry
            if len(carry) > RECORD_BYTES or (final and carry):
                # Not a row to be skipped: nobody can tell how many rows it has swallowed.
                reason = "its quote is never closed" if final else f"it is longer than {RECORD_BYTES} bytes"
                raise BadData(f"wanted a record, {reason}", self.slice.item.uri, offset, shown(carry))

    def _cut(
        self, data: bytes, start: int, offset: int, stop: int | None, *, final: bool, quoted: bool
    ) -> tuple[int, bool]:
        """Where to cut `data` from `start`, at `offset` in the file; and is the end at or after `stop` reached?"""
        stop = None if stop is None else start + stop - offset
        if quoted:
            ends = self.grammar.ends(data, final)
            long = np.flatnonzero(np.diff(ends, prepend=0) > RECORD_BYTES)
            if len(long):
                at = int(ends[long[0] - 1]) if long[0] else 0
                reason = f"wanted a record, it is longer than {RECORD_BYTES} bytes"
                raise BadData(reason, self.slice.item.uri, offset + at, shown(data[at : at + 200]))
            reached = len(ends) if stop is None else int(np.searchsorted(ends, stop))
            if reached < len(ends):
                return int(ends[reached]), True
            return (int(ends[-1]) if len(ends) else start), False
        if stop is not None and stop <= len(data):
            line_end = LINE_END.search(data, max(stop - 1, start))
            if line_end and (final or line_end.end() < len(data) or line_end.group() != b"\r"):
                return line_end.end(), True
        return (len(data), True) if final else (max(last_end(data), start), False)
