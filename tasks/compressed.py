"""A compressed object as the stream of what is in it, whichever library opens it."""

import bz2
import codecs
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import pyarrow as pa

from tasks.dialect import Dialect
from tasks.objects import (
    Access,
    DataObject,
    Request,
    read_range,
    read_stream,
)
from tasks.records import BadData

SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".lz4": "lz4", ".zip": "zip"}
_MIB = 1 << 20
_ZIP_BUFFER_BYTES = 4 * _MIB
_DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)

Timed = Callable[[Callable[[], bytes]], bytes]


def codec_of(item: DataObject) -> str | None:
    """How an object is compressed, by its suffix in any case; None where it is not."""
    return next((codec for suffix, codec in SUFFIXES.items() if item.uri.lower().endswith(suffix)), None)


def inflated(access: Access, item: DataObject, blocks: Iterator[bytes], timed: Timed) -> Iterator[bytes]:
    """What is in `item`, whose bytes are `blocks`; a zip file, read from its end, makes requests of its own.

    Raises BadData where it is damaged, cut short, or a zip file that does not hold one file.
    """
    codec = codec_of(item)
    if codec == "zip":
        return _unzipped(access, item, timed)
    if codec in ("zstd", "lz4"):
        return _by_arrow(codec, item, blocks)
    return _by_members(
        {"gzip": _Gzip, "bzip2": bz2.BZ2Decompressor, "xz": lzma.LZMADecompressor}[str(codec)], item, blocks
    )


def transcoded(blocks: Iterator[bytes], dialect: Dialect, uri: str) -> Iterator[bytes]:
    """The blocks as UTF-8, where the dialect's encoding asks for it. Raises BadData."""
    if not dialect.transcoded:
        yield from blocks
        return
    decoder, at = codecs.getincrementaldecoder(dialect.encoding)(), 0
    for block in chain(blocks, [b""]):
        try:
            text = decoder.decode(block, not block)
        except UnicodeError as error:
            raise BadData(f"wanted text in {dialect.encoding} ({error})", uri, at, repr(block[:16])) from error
        at += len(block)
        if text:
            yield text.encode()


def opened(access: Access, item: DataObject, dialect: Dialect) -> io.BufferedReader:
    """The text of a whole object as a file that is read from start to end: decompressed, in UTF-8 where transcoded."""
    blocks = read_stream(access, item, 0, item.size_bytes)
    text = inflated(access, item, blocks, lambda read: read()) if codec_of(item) else blocks
    return io.BufferedReader(_Stream(transcoded(text, dialect, item.uri)), _MIB)


class _Gzip:
    """zlib's object with the manners of those of bz2 and lzma."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)
        self.needs_input = len(out) < max_length
        return out


def _by_members(new: Callable[[], Any], item: DataObject, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Of one member or several, one after the other."""
    decoder, at = new(), 0
    for block in blocks:
        # Small steps: what follows the end of a member is copied once per member.
        for step in range(0, len(block), _MIB // 4):
            data = block[step : step + _MIB // 4]
            at += len(data)
            while data or not (decoder.eof or decoder.needs_input):
                if decoder.eof:
                    data = data.lstrip(b"\0")  # padding after the last member is allowed
                    if not data:
                        break
                    decoder = new()
                try:
                    out = decoder.decompress(data, _MIB)
                except _DAMAGE as error:
                    raise _damaged(item, at - len(data), error, data) from error
                data = decoder.unused_data if decoder.eof else b""
                if out:
                    yield out
    if not decoder.eof:
        reason = f"wanted the rest of the {codec_of(item)} stream, it is cut short"
        raise BadData(reason, item.uri, at, "end of file")


class _Stream(io.RawIOBase):
    """Blocks as a file that is read from start to end. failed: what the blocks raised, which is no damage."""

    def __init__(self, blocks: Iterator[bytes]):
        self._blocks, self._held = blocks, memoryview(b"")
        self.failed: BaseException | None = None
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            while not self._held:
                self._held = memoryview(next(self._blocks))
        except StopIteration:
            return 0
        except BaseException as error:
            self.failed = error
            raise
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held, self.position = self._held[count:], self.position + count
        return count


def _by_arrow(codec: str, item: DataObject, blocks: Iterator[bytes]) -> Iterator[bytes]:
    stream = _Stream(blocks)
    if not item.size_bytes:
        raise BadData(f"wanted a {codec} stream, the file is empty", item.uri, 0, "")
    try:
        with pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), codec) as opened:
            while out := opened.read(_MIB):
                yield out
    except _DAMAGE as error:
        if stream.failed:
            raise stream.failed from None
        raise _damaged(item, stream.position, error, b"") from error


class _Ranged(io.RawIOBase):
    """An object as a file that can be read anywhere, by ranges. failed: what a read raised, which is no damage."""

    def __init__(self, access: Access, item: DataObject, timed: Timed):
        self._access, self._item, self._timed, self._at = access, item, timed, 0
        self.failed: Exception | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._item.size_bytes}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        request = Request(self._item, self._at, min(self._at + len(buffer), self._item.size_bytes))
        try:
            data = self._timed(lambda: read_range(self._access, request))
        except Exception as error:
            self.failed = error
            raise
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _unzipped(access: Access, item: DataObject, timed: Timed) -> Iterator[bytes]:
    """The one file in a zip file. Of several nobody can say which are the data: as in pandas, that is refused."""
    ranged = _Ranged(access, item, timed)
    try:
        with zipfile.ZipFile(io.BufferedReader(ranged, _ZIP_BUFFER_BYTES)) as archive:
            held = [
                one
                for one in archive.infolist()
                if not one.is_dir() and not one.filename.startswith(("__MACOSX/", "."))
            ]
            if len(held) != 1:
                names = ", ".join(repr(one.filename) for one in held[:5]) or "nothing"
                raise BadData(f"wanted a zip file of one file, this has {len(held)}: unzip it", item.uri, 0, names)
            if held[0].flag_bits & 1:
                raise BadData("wanted a zip file without a password: unzip it", item.uri, 0, held[0].filename)
            with archive.open(held[0]) as opened:
                while out := opened.read(_MIB):
                    yield out
    except BadData:
        raise
    except (zipfile.BadZipFile, NotImplementedError, *_DAMAGE) as error:
        if ranged.failed:
            raise ranged.failed from None
        raise _damaged(item, 0, error, b"") from error


def _damaged(item: DataObject, at: int, error: Exception, data: bytes) -> BadData:
    return BadData(
        f"damaged {codec_of(item)}, or another format under its suffix: {error}", item.uri, at, repr(data[:16])
    )
