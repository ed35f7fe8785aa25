"""Values to and from Redis over a socket: the few commands of an exchange, in the protocol's own words (RESP2).

Lithops calls each function in a new process here, and importing the client package takes 0.8 s of it; its parser copies
each byte three times, 0.3 s for 100 MB. Here buffers are sent as they are and received where they belong.
"""

import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

_CONNECT_S, _ANSWER_S = 5, 60


class Refused(RuntimeError):
    """The server's own error."""


class OutOfRoom(Refused):
    """The server has no memory left for a value (maxmemory with noeviction)."""


class Values:
    """A connection, for one exchange. ca: the certificate authority's PEM text; None for plain TCP.

    Raises ConnectionError for a server that does not answer in the protocol, OSError from the socket, Refused.
    """

    def __init__(self, host: str, port: int, password: str, ca: str | None):
        self._socket: socket.socket = socket.create_connection((host, port), timeout=_CONNECT_S)
        try:
            if ca is not None:
                context = ssl.create_default_context(cadata=ca)
                context.check_hostname = False  # the stack makes the certificate before the host has an address
                self._socket = context.wrap_socket(self._socket)
            self._socket.settimeout(_ANSWER_S)
            self._answers = self._socket.makefile("rb")
            self._send("AUTH", password)
            self._line(b"+")
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._answers.close()
        self._socket.close()

    def put(self, values: Mapping[str, memoryview], kept_s: int) -> None:
        """Set all of them, or none, for `kept_s` seconds."""
        self._send("MULTI")
        for key, value in values.items():
            self._send("SET", key, value, "EX", str(kept_s))
        self._send("EXEC")
        self._line(b"+")
        refused = [error for error in map(self._queued, values) if error]
        try:
            for _ in range(int(self._line(b"*"))):
                self._line(b"+")
        except Refused as error:  # the transaction, for what one of its commands was refused for
            raise (refused or [error])[0] from None

    def take(self, keys: Sequence[str], places: Sequence[memoryview]) -> bool:
        """Read each value into its place and remove all; False where one is not there."""
        self._send("MGET", *keys)
        if int(self._line(b"*")) != len(keys):
            raise ConnectionError("redis gave another number of values than it was asked for")
        there = [self._bulk(place) for place in places]
        self._send("UNLINK", *keys)
        self._line(b":")
        return all(there)

    def _queued(self, key: str) -> Refused | None:
        try:
            self._line(b"+")
        except Refused as error:
            return error
        return None

    def _bulk(self, place: memoryview) -> bool:
        size = int(self._line(b"$"))
        if size < 0:
            return False
        if size != place.nbytes or self._answers.readinto(place) != size or self._answers.read(2) != b"\r\n":
            raise ConnectionError(f"redis gave {size} bytes or fewer, wanted {place.nbytes}")
        return True

    def _send(self, *words: str | memoryview) -> None:
        for part in _command(words):
            self._socket.sendall(part)

    def _line(self, kind: bytes) -> bytes:
        line: bytes = self._answers.readline()
        if line[:1] == b"-":
            text = line[1:].decode(errors="replace").strip()
            raise OutOfRoom(text) if text.startswith("OOM ") else Refused(text)
        if line[:1] != kind or not line.endswith(b"\n"):
            raise ConnectionError(f"redis answered {line[:80]!r}, wanted {kind.decode()}")
        return line[1:]


def _command(words: Sequence[str | memoryview]) -> Iterator[bytes | memoryview]:
    """An array of bulk strings; small words joined, so that each command is one segment and its value another."""
    held = b"*%d\r\n" % len(words)
    for word in words:
        value = word.encode() if isinstance(word, str) else word
        held += b"$%d\r\n" % len(value)
        if isinstance(value, bytes):
            held += value + b"\r\n"
        else:
            yield held
            yield value
            held = b"\r\n"
    yield held
