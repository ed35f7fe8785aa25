"""Where the records of a CSV file begin and end, exactly, and what is wrong with a bad one.

The grammar is that of Python's csv module: a quote opens a field only at its start, "" inside quotes is a quote, a
record ends at LF, CRLF or CR outside quotes, blank lines are no records. But a quote that is never closed is an error.
A field that is empty, quoted or not, is null; no other spelling is, neither NULL nor NaN, unless the dialect names it.
All positions are bytes; nothing is decoded but the header.
"""

import codecs
import difflib
import re
from dataclasses import dataclass

import numpy as np

from tasks.dialect import delimiter_hint

# A longer record is refused: else one quote that is never closed would draw a whole file into one worker's memory.
RECORD_BYTES = 16 << 20
LINE_END = re.compile(rb"\r\n?|\n")
_QUOTE, _LF, _CR = b'"\n\r'
# How files begin that are no text though they may be called so. UTF-32's mark begins with UTF-16's.
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32: pass --encoding utf-32",
    codecs.BOM_UTF32_BE: "UTF-32: pass --encoding utf-32",
    codecs.BOM_UTF16_LE: "UTF-16: pass --encoding utf-16",
    codecs.BOM_UTF16_BE: "UTF-16: pass --encoding utf-16",
    b"\x1f\x8b": "gzip: name it .csv.gz",
    b"BZh": "bzip2: name it .csv.bz2",
    b"\xfd7zXZ\0": "xz: name it .csv.xz",
    b"\x28\xb5\x2f\xfd": "zstd: name it .csv.zst",
    b"\x04\x22\x4d\x18": "lz4: name it .csv.lz4",
    b"PK\x03\x04": "zip: name it .csv.zip if it holds one CSV file",
    b"PAR1": "Parquet: convert it to CSV",
    b"ORC": "ORC: convert it to CSV",
    b"Obj\x01": "Avro: convert it to CSV",
    b"%PDF-": "PDF: convert it to CSV",
    b"7z\xbc\xaf": "a 7z archive: unpack it",
}


class BadData(ValueError):
    """A file that is not what it should be. text: found.

    offset: bytes before the record, of what is decompressed or turned into UTF-8 those of the text that came of it.
    """

    def __init__(self, reason: str, uri: str, offset: int, text: str):
        super().__init__(reason, uri, offset, text)
        self.reason, self.uri, self.offset, self.text = reason, uri, offset, text

    def __str__(self) -> str:
        return f"{self.uri}: byte {self.offset}: {self.reason}; found {self.text!r}"


def shown(text: bytes) -> str:
    """The offending bytes as text, cut to a length that fits a row."""
    return text[:200].rstrip(b"\r\n").decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Grammar:
    """The patterns for one delimiter (a single byte). Possessive throughout, so a match takes linear time."""

    delimiter: bytes

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1 or self.delimiter in b'"\r\n':
            raise ValueError(f"found delimiter {self.delimiter!r}, wanted one ASCII character, no quote or line end")

    @property
    def _field(self) -> bytes:
        rest = b"[^" + re.escape(self.delimiter) + rb"\r\n]*+"
        return rb'(?>"(?:[^"]++|"")*+"(?!")' + rest + rb'|(?!")' + rest + b")"

    @property
    def field(self) -> re.Pattern[bytes]:
        return re.compile(self._field)

    @property
    def record(self) -> re.Pattern[bytes]:
        """One record without its end."""
        return re.compile(self._field + b"(?>" + re.escape(self.delimiter) + self._field + b")*+")

    def fields(self, text: bytes) -> list[bytes]:
        """The values of one record, unquoted."""
        values, at, field = [], 0, self.field
        while match := field.match(text, at):
            value = match.group()
            if value.startswith(b'"'):
                close = re.match(rb'"((?:[^"]++|"")*+)"', value)
                assert close
                value = close[1].replace(b'""', b'"') + value[close.end() :]
            values.append(value)
            at = match.end() + 1
            if match.end() == len(text):
                break
        return values

    def next_end(self, data: bytes, at: int, final: bool) -> int | None:
        """End (after the line end) of the record that starts at `at`; None if it is not all there."""
        match = self.record.match(data, at)
        if not match or (match.end() == len(data) and not final):
            return None
        if match.end() == len(data):
            return len(data)
        line_end = LINE_END.match(data, match.end())
        if not line_end or (line_end.group() == b"\r" and line_end.end() == len(data) and not final):
            return None
        return line_end.end()

    def ends(self, data: bytes, final: bool) -> np.ndarray:
        """Ends of all whole records in `data`, which begins at the start of one. int64, rising.

        Where every quote that opens stands at the start of a field, a line end is a record's end when the number of
        quotes before it is even: vectorised. A stray quote sends the block through the pattern, exact and slower.
        """
        octets = np.frombuffer(data, np.uint8)
        quotes = np.flatnonzero(octets == _QUOTE)
        opening = quotes[::2]
        before = octets[opening[opening > 0] - 1]
        if not ((before == self.delimiter[0]) | (before == _LF) | (before == _CR) | (before == _QUOTE)).all():
            return self._ends_one_by_one(data, final)
        lines = np.flatnonzero((octets == _LF) | (octets == _CR))
        lines = lines[np.searchsorted(quotes, lines) % 2 == 0]
        following = octets[np.minimum(lines + 1, len(octets) - 1)]  # a CR in the last place stands beside itself
        crlf = (octets[lines] == _CR) & (following == _LF)
        lines = lines[~crlf]
        ends: np.ndarray = lines + 1
        if not final and len(ends) and ends[-1] == len(data) and data.endswith(b"\r"):
            ends = ends[:-1]  # its LF may come next
        if final and len(data) and len(quotes) % 2 == 0 and (not len(ends) or ends[-1] < len(data)):
            ends = np.append(ends, len(data))
        return ends

    def _ends_one_by_one(self, data: bytes, final: bool) -> np.ndarray:
        ends, at = [], 0
        while at < len(data) and (end := self.next_end(data, at, final)) is not None:
            ends.append(end)
            at = end
        return np.array(ends, np.int64)

    def starts(self, head: bytes, final: bool) -> list[int]:
        """Where the first record after `head`'s first byte may start, `head` being cut out of a file at any place.

        One place for each state the reader may be in there: within a plain field, at the start of a field, within
        quotes, after a quote within quotes. Four and all equal: certain. A place that needs more text than `head`
        holds is left out.
        """
        places = []
        for prefix in (b"x", b"", b'"', b'""'):
            end = self.next_end(prefix + head, 0, final)
            if end is not None:
                places.append(end - len(prefix))
        return places

    def widths(self, data: bytes, at: int, final: bool, records: int) -> list[int]:
        """Number of fields of up to `records` records from `at` on."""
        found: list[int] = []
        while len(found) < records and at < len(data) and (end := self.next_end(data, at, final)) is not None:
            if text := data[at:end].rstrip(b"\r\n"):
                found.append(len(self.fields(text)))
            at = end
        return found


def last_end(data: bytes) -> int:
    """End of the last line that is whole for sure, 0 if none, in text without quotes."""
    line_feed = data.rfind(b"\n")
    return max(line_feed, data.rfind(b"\r", line_feed + 1, len(data) - 1)) + 1


@dataclass(frozen=True)
class Layout:
    """How one object is laid out. names: of its columns. trailing: records have one delimiter more than the header."""

    names: tuple[str, ...]
    trailing: bool
    body: int  # where the first record after the header starts
    delimiter: str = ","

    @property
    def width(self) -> int:
        return len(self.names) + self.trailing

    def position(self, column: str, uri: str) -> int:
        """Raises BadData, naming the columns found and the nearest, unless the column is there once."""
        if self.names.count(column) == 1:
            return self.names.index(column)
        near = difflib.get_close_matches(column, self.names, 3, 0.4) or ["none"]
        count = "no" if column not in self.names else "more than one"
        hint = delimiter_hint(self.names, column, self.delimiter)
        if any("\udc80" <= char <= "\udcff" for char in "".join(self.names)):
            hint += "; the header is not UTF-8: pass --encoding, for example cp1252"
        nearest = "" if hint else f"; nearest: {', '.join(name if name.isprintable() else repr(name) for name in near)}"
        raise BadData(
            f"wanted column {column!r}, {count} such column{nearest}{hint}",
            uri,
            0,
            self.delimiter.join(self.names)[:500],
        )


def layout(head: bytes, final: bool, grammar: Grammar, uri: str, encoding: str = "utf-8") -> Layout | None:
    """The layout, from the header and the first record. None: `head` is too short to tell. No names: an empty file.

    encoding: of the header, one in which ASCII is ASCII. Raises BadData.
    """
    at = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    for mark, what in _MARKS.items():
        if head.startswith(mark):
            raise BadData(f"wanted UTF-8 text, this is {what}", uri, 0, shown(head[:40]))
    delimiter = grammar.delimiter.decode()
    names: tuple[str, ...] = ()
    body = at
    while at < len(head):
        end = grammar.next_end(head, at, final)
        if end is None:
            if final and names:
                break
            if final:
                raise BadData("wanted a header, its quote is never closed", uri, at, shown(head[at:]))
            return None
        text = head[at:end].rstrip(b"\r\n")
        if text and names:
            values = grammar.fields(text)
            return Layout(names, len(values) == len(names) + 1 and not values[-1], body, delimiter)
        if text:
            _check_header(text, uri)
            names, body = tuple(name.decode(encoding, "surrogateescape") for name in grammar.fields(text)), end
        at = end
    return Layout(names, False, body, delimiter) if final else None


def _check_header(text: bytes, uri: str) -> None:
    if b"\0" in text:
        even, odd = text[::2].count(0), text[1::2].count(0)
        guess = "; if it is UTF-16 pass --encoding utf-16-le" if odd > 4 * even else ""
        guess = "; if it is UTF-16 pass --encoding utf-16-be" if even > 4 * odd else guess
        raise BadData(f"wanted UTF-8 text, the header holds NUL bytes{guess}", uri, 0, shown(text[:40]))
