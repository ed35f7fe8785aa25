"""How the result of a function comes to a cluster: with the function's report, through Redis, or through the bucket.

A value is pickled with its large buffers apart (protocol 5), so that a gigabyte of Arrow or NumPy is never copied into
one string: an object has the parts one after the other, Redis has them in chunks, and readers get views.
"""

import os
import pickle
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Any, Literal

from tasks.redis_values import OutOfRoom, Values

# Lithops calls each function in a process of its own, so what is imported here is imported per call: boto3, and what
# else only some ways need, is left to them. It was a third of a small call.

Way = Literal["store", "s3", "redis"]
# Below it a result travels in the report: Lithops puts reports of up to 8 KiB in the call's status, which is fetched
# anyway. A report has some 700 bytes of its own.
IN_REPORT_BYTES = 6 * 1024
# Measured to and fro on the embedded stack: Redis 0.3 ms for 8 KB and 0.5 s for 100 MB, the bucket 6 ms and 1.9 s. It
# is faster at any size, but its memory is small: 256 MiB on `dev`.
IN_REDIS_BYTES = 128 << 20
# Far below the 512 MiB that Redis takes as one value.
_CHUNK_BYTES = 64 << 20
REDIS_PASSWORD = "BREAKEVEN_REDIS_PASSWORD"  # noqa: S105  where it is, not what it is
# A payload that nobody fetched must not fill the cache for ever.
_REDIS_KEPT_S = 3600


class PayloadGone(OSError):
    """A payload was handed over and is no longer there."""


@dataclass(frozen=True)
class RedisAt:
    """A Redis host. password: None where it is in the environment, as `REDIS_PASSWORD`. ca: the certificate authority's
    PEM text; None where it speaks plain TCP."""

    host: str
    port: int
    password: str | None = field(repr=False)
    ca: str | None = None


@dataclass(frozen=True)
class Exchange:
    """Where a function leaves its result. way: asked for, or `auto`. prefix: s3://bucket/prefix of this stage alone.

    access: the fields of a `tasks.objects.Access`.

    `auto` goes by size: up to `IN_REPORT_BYTES` in the report, up to `IN_REDIS_BYTES` through Redis where the stack has
    one and it has room, else through the bucket.
    """

    way: Literal["auto", "store", "s3", "redis"]
    access: tuple[str | None, ...]
    prefix: str
    redis: RedisAt | None = None

    def for_functions(self) -> tuple["Exchange", dict[str, str]]:
        """Itself without a secret, and the environment that a function needs beside it: arguments of functions lie in
        the bucket for days, their environment goes with the call."""
        if self.redis is None or self.redis.password is None:
            return self, {}
        bare = replace(self, redis=replace(self.redis, password=None))
        return bare, {REDIS_PASSWORD: self.redis.password}


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


def _connected(exchange: Exchange) -> Values:
    at = exchange.redis
    if at is None:
        raise ValueError("found a stack without a cache, wanted Redis: choose exchange auto, s3 or store")
    password = os.environ[REDIS_PASSWORD] if at.password is None else at.password
    return Values(at.host, at.port, password, at.ca)


def _to_redis(exchange: Exchange, key: str, parts: Sequence[Any]) -> bool:
    chunks = [chunk for part in parts for chunk in _chunks(memoryview(part).cast("B"))]
    try:
        with _connected(exchange) as redis:
            redis.put(dict(zip(_keys(key, len(chunks)), chunks, strict=True)), _REDIS_KEPT_S)
        return True
    except OutOfRoom:
        if exchange.way == "redis":
            raise
        return False


def _from_redis(exchange: Exchange, payload: Payload) -> list[bytearray]:
    parts = [bytearray(size) for size in payload.sizes]
    places = [place for part in parts for place in _chunks(memoryview(part))]
    with _connected(exchange) as redis:
        there = redis.take(_keys(payload.key, len(places)), places)
    if not there:
        raise PayloadGone(f"redis key {payload.key}: fetched before or expired after {_REDIS_KEPT_S} s")
    return parts


def _keys(key: str, count: int) -> list[str]:
    return [f"{key}:{number}" for number in range(count)]


def _chunks(view: memoryview) -> list[memoryview]:
    return [view[at : at + _CHUNK_BYTES] for at in range(0, view.nbytes, _CHUNK_BYTES)]


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
