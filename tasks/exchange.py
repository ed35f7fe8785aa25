"""How the result of a function comes to a cluster: with the function's report, through Redis, or through the bucket.

A value is pickled with its large buffers apart (protocol 5), so that a gigabyte of Arrow or NumPy is never copied into
one string: an object has the parts one after the other, a list in Redis has them in chunks, and readers get views.
"""

import pickle
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Literal

# Lithops calls each function in a process of its own, so what is imported here is imported per call: boto3, and what
# else only some ways need, is left to them. It was a third of a small call.

Way = Literal["store", "s3", "redis"]
# Below it a result travels in the report: Lithops puts reports of up to 8 KiB in the call's status, which is fetched
# anyway. A report has some 700 bytes of its own.
IN_REPORT_BYTES = 6 * 1024
# Measured to and fro on the embedded stack: Redis 0.3 ms for 8 KB and 0.5 s for 100 MB, the bucket 6 ms and 1.9 s. It
# is faster at any size, but its memory is small: 256 MiB on `dev`.
IN_REDIS_BYTES = 128 << 20
# Redis's client reads replies of 4 MiB at 1.6 times the rate of one of 100 MB.
_CHUNK_BYTES = 4 << 20
# A payload that nobody fetched must not fill the cache for ever.
_REDIS_KEPT_S = 3600


class PayloadGone(OSError):
    """A payload was handed over and is no longer there."""


@dataclass(frozen=True)
class RedisAt:
    """A Redis host. ca: the certificate authority's PEM text; None where it speaks plain TCP."""

    host: str
    port: int
    password: str = field(repr=False)
    ca: str | None = None


@dataclass(frozen=True)
class Exchange:
    """Where a function leaves its result. way: asked for, or `auto`. prefix: s3://bucket/prefix of this stage alone.

    access: the fields of a `tasks.objects.Access`.

    `auto` goes by size: up to `IN_REPORT_BYTES` in the report, up to `IN_REDIS_BYTES` through Redis where the stack has
    one and it has room, else through the bucket.
    """

    way: Literal["auto", "store", "s3", "redis"]
    access: tuple[str | None, ...] = field(repr=False)
    prefix: str
    redis: RedisAt | None = None


@dataclass(frozen=True)
class Payload:
    """One value on its way. parts: itself, where it is in the report; else `key` names it. sizes: of its parts."""

    way: Way
    sizes: tuple[int, ...]
    parts: tuple[bytes, ...] = ()
    key: str = ""

    @property
    def size_bytes(self) -> int:
        return sum(self.sizes)


def hand_over(value: Any, exchange: Exchange) -> Payload:
    """Leave a value for the cluster. A Redis that refuses it for want of room is passed by where the way is `auto`."""
    buffers: list[pickle.PickleBuffer] = []
    head = _pickled(value, buffers)
    parts: list[Any] = [head, *(buffer.raw() for buffer in buffers)]
    sizes = tuple(memoryview(part).nbytes for part in parts)
    way = _way(exchange, sum(sizes))
    if way == "store":
        return Payload("store", sizes, tuple(bytes(part) for part in parts))
    key = uuid.uuid4().hex  # never a name that another function may draw as well
    if way == "redis" and _to_redis(exchange, key, parts):
        return Payload("redis", sizes, key=key)
    key = f"{exchange.prefix}/{key}.pickle"
    bucket, _, name = key.removeprefix("s3://").partition("/")
    _s3(exchange).put_object(Bucket=bucket, Key=name, Body=b"".join(parts))
    return Payload("s3", sizes, key=key)


def fetch(payload: Payload, exchange: Exchange) -> Any:
    """The value, where it is wanted. A payload in Redis is removed by it; one in the bucket when the stage is closed.

    Raises PayloadGone, ConnectionError.
    """
    if payload.way == "store":
        parts: Sequence[Any] = payload.parts
    elif payload.way == "redis":
        parts = _from_redis(exchange, payload)
    else:
        parts = _from_s3(exchange, payload)
    return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301  our own function wrote it


def _pickled(value: Any, buffers: list[pickle.PickleBuffer]) -> bytes:
    try:
        return pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    except (pickle.PicklingError, AttributeError, TypeError):  # of a type that the program itself defines
        import cloudpickle  # noqa: PLC0415

        buffers.clear()
        return bytes(cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append))


def _way(exchange: Exchange, size_bytes: int) -> Way:
    if exchange.way != "auto":
        return exchange.way
    if size_bytes <= IN_REPORT_BYTES:
        return "store"
    return "redis" if exchange.redis and size_bytes <= IN_REDIS_BYTES else "s3"


_clients: dict[RedisAt, Any] = {}


def _client(exchange: Exchange) -> Any:
    import redis  # noqa: PLC0415  a tenth of a second that a stage without Redis doesn't pay

    at = exchange.redis
    if at is None:
        raise ValueError("found a stack without a cache, wanted Redis: choose exchange auto, s3 or store")
    if at not in _clients:
        _clients[at] = redis.Redis(
            host=at.host,
            port=at.port,
            password=at.password,
            ssl=at.ca is not None,
            ssl_ca_data=at.ca,
            ssl_check_hostname=False,  # the stack makes the certificate before the host has an address
            socket_connect_timeout=5,
            socket_timeout=60,
        )
    return _clients[at]


def _to_redis(exchange: Exchange, key: str, parts: Sequence[Any]) -> bool:
    import redis  # noqa: PLC0415

    try:
        with _client(exchange).pipeline() as both:  # a transaction: none of it, or all with its expiry
            both.rpush(key, *_chunks(parts)).expire(key, _REDIS_KEPT_S).execute()
        return True
    except redis.exceptions.OutOfMemoryError:
        if exchange.way == "redis":
            raise
        return False
    except redis.ConnectionError as error:
        raise ConnectionError(f"redis at {exchange.redis}: {error}") from error


def _from_redis(exchange: Exchange, payload: Payload) -> list[bytes | bytearray]:
    import redis  # noqa: PLC0415

    client = _client(exchange)
    try:
        chunks: list[bytes] = client.lrange(payload.key, 0, -1)
        if not chunks:
            raise PayloadGone(f"redis key {payload.key}: fetched before or expired after {_REDIS_KEPT_S} s")
        client.delete(payload.key)
    except redis.ConnectionError as error:
        raise ConnectionError(f"redis at {exchange.redis}: {error}") from error
    chunks.reverse()
    return [_part(chunks, size) for size in payload.sizes]


def _chunks(parts: Sequence[Any]) -> Iterator[memoryview]:
    for part in parts:
        view = memoryview(part).cast("B")
        for at in range(0, view.nbytes, _CHUNK_BYTES):
            yield view[at : at + _CHUNK_BYTES]


def _part(chunks: list[bytes], size: int) -> bytes | bytearray:
    """The next part, from the end of the list, which is emptied: nothing is held twice but a chunk."""
    if 0 < size <= _CHUNK_BYTES:
        return chunks.pop()
    part, at = bytearray(size), 0
    while at < size:
        chunk = chunks.pop()
        part[at : at + len(chunk)] = chunk
        at += len(chunk)
    return part


def _s3(exchange: Exchange) -> Any:
    from tasks.objects import Access  # noqa: PLC0415
    from tasks.upload import s3_writer  # noqa: PLC0415

    return s3_writer(Access(*exchange.access))


def _from_s3(exchange: Exchange, payload: Payload) -> list[memoryview]:
    bucket, _, name = payload.key.removeprefix("s3://").partition("/")
    client = _s3(exchange)
    try:
        body = client.get_object(Bucket=bucket, Key=name)["Body"]
    except client.exceptions.NoSuchKey as error:
        raise PayloadGone(f"{payload.key}: was handed over and is gone; is the stage closed?") from error
    whole = bytearray(payload.size_bytes)
    view, at = memoryview(whole), 0
    while at < len(whole) and (got := body.readinto(view[at:])):
        at += got
    if at != len(whole):
        raise ConnectionError(f"{payload.key}: found {at} bytes, wanted {len(whole)}")
    return [view[a:b] for a, b in pairwise(accumulate(payload.sizes, initial=0))]
