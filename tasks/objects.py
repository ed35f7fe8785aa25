"""Objects in an S3 bucket or files in a folder, read alike: by ranges, by blocks ahead, as a stream."""

import functools
import json
import os
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from urllib3.exceptions import HTTPError

# One GET. Measured over the embedded endpoint: one long stream costs its server twice the CPU of 16 MiB requests, and
# 4 MiB requests half as much again; S3's own advice is 8 to 16 MiB per byte-range request.
BLOCK_BYTES = 16 << 20
# Waits of a random share of 0.2, 0.4, 0.8, 1.6 s: a throttled bucket recovers, a dead endpoint is named soon.
ATTEMPTS = 5
_FIRST_WAIT_S = 0.2
# What the endpoint was never asked for want of: no retry helps.
_NEVER = (
    *(NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, ProfileNotFound, NoRegionError),
    *(TokenRetrievalError, UnauthorizedSSOTokenError, ParamValidationError),
)
# No block may take longer, however many retries: an endpoint that trickles would never reach a socket's own time limit.
BLOCK_DEADLINE_S = 180.0
# Requests in flight when they are small: then it is latency that counts.
_AHEAD = 8

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Access:
    """How a worker reaches the bucket. All None: the provider's own endpoint with the worker's own role.

    keys_at: a JSON file of this machine with accessKeyId and secretAccessKey. Not the keys themselves: this goes with
    functions' arguments, which lie in the bucket.
    """

    endpoint_url: str | None = None
    region: str | None = None
    keys_at: str | None = None

    def keys(self) -> tuple[str | None, str | None]:
        """The access key's id and its secret, as they are now; None twice where the worker's role is used."""
        if self.keys_at is None:
            return None, None
        with open(self.keys_at) as file:
            found = json.load(file)
        return found["accessKeyId"], found["secretAccessKey"]


@dataclass(frozen=True)
class DataObject:
    """uri: s3://bucket/key or an absolute path. version: the ETag, or size and modification time of a file."""

    uri: str
    size_bytes: int
    version: str


@dataclass(frozen=True)
class Request:
    """Bytes [start, stop) of one object."""

    item: DataObject
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        return self.stop - self.start


class NoData(OSError):
    """Nothing below the address is data, or something that looks like data can't be read."""


class ObjectGone(OSError):
    """The object was listed but is no longer there."""


class ObjectChanged(OSError):
    """The object is not the version that was listed."""


class EndpointFailed(OSError):
    """The endpoint refused, or kept failing or stalling through every retry."""


@functools.lru_cache(maxsize=4)
def s3_client(access: Access) -> Any:
    """One boto3 client per process and access: building one costs tens of milliseconds."""
    key_id, secret = access.keys()
    return boto3.client(
        "s3",
        endpoint_url=access.endpoint_url,
        region_name=access.region,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=Config(
            # rclone's endpoint sends no checksums, and botocore refuses a ranged read without one by default.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # Retries are ours (`retried`): botocore's do not cover a body that breaks off, and the two would multiply.
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=20,
            max_pool_connections=16,
        ),
    )


def read_range(access: Access, request: Request) -> bytes:
    """Exactly the bytes asked for, of the version that was listed. Raises ObjectGone, ObjectChanged, EndpointFailed."""
    item, wanted = request.item, request.size_bytes
    if wanted <= 0:
        return b""
    read = _read_s3 if item.uri.startswith("s3://") else _read_file
    data = read(access, request)
    if len(data) != wanted:
        raise ObjectChanged(f"{item.uri}: found {len(data)} bytes from {request.start}, wanted {wanted}; list it again")
    return data


def read_ahead(access: Access, requests: Iterable[Request], ahead_bytes: int = 2 * BLOCK_BYTES) -> Iterator[bytes]:
    """The bytes of each request, in order, while at most `ahead_bytes` (or one request) more are read by threads.

    Memory: `ahead_bytes` and the block in the caller's hands. Many small objects are read eight at a time.
    """
    waiting: deque[tuple[int, Future[bytes]]] = deque()
    pending, ahead = iter(requests), 0
    following = next(pending, None)
    pool = ThreadPoolExecutor(max_workers=_AHEAD, thread_name_prefix="read-ahead")
    try:
        while following or waiting:
            while following and (
                not waiting or (ahead + following.size_bytes <= ahead_bytes and len(waiting) < _AHEAD)
            ):
                waiting.append((following.size_bytes, pool.submit(read_range, access, following)))
                ahead, following = ahead + following.size_bytes, next(pending, None)
            size, future = waiting.popleft()
            try:
                data = future.result(timeout=BLOCK_DEADLINE_S)
            except TimeoutError as error:
                late = f"{size} bytes took more than {BLOCK_DEADLINE_S:.0f} s"
                raise EndpointFailed(f"{access.endpoint_url or 'S3'}: {late}") from error
            del future  # it holds the bytes too
            ahead -= size
            yield data
            del data
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def read_stream(
    access: Access, item: DataObject, start: int, stop: int, block_bytes: int = BLOCK_BYTES
) -> Iterator[bytes]:
    """Bytes [start, stop) in blocks of at most `block_bytes`, the next read ahead. Raises ObjectGone, ObjectChanged."""
    cuts = range(start, stop, block_bytes)
    return read_ahead(access, (Request(item, a, min(a + block_bytes, stop)) for a in cuts), block_bytes)


def stated(stat: os.stat_result) -> tuple[int, str]:
    return stat.st_size, f"{stat.st_size}-{stat.st_mtime_ns}"


def _read_file(access: Access, request: Request) -> bytes:
    item = request.item
    try:
        with open(item.uri, "rb", buffering=0) as file:
            if stated(os.fstat(file.fileno())) != (item.size_bytes, item.version):
                raise ObjectChanged(f"{item.uri}: changed since it was listed; list it again")
            # One read call may give less than asked (2 GiB at most, or a signal).
            parts, at = [], request.start
            while at < request.stop and (part := os.pread(file.fileno(), request.stop - at, at)):
                parts.append(part)
                at += len(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)
    except FileNotFoundError as error:
        raise ObjectGone(f"{item.uri}: was listed but is gone; list again") from error
    except PermissionError as error:
        raise EndpointFailed(f"{item.uri}: this user may not read it; check its permissions") from error


def split(uri: str) -> tuple[str, str]:
    """Bucket and key. Not urlsplit: a key may hold ? and #."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def version_of(found: Mapping[str, Any]) -> str:
    """The ETag, which rclone lists without quotes and sends with them; of an endpoint that has none, the time."""
    return found["ETag"].strip('"') or f"modified {found['LastModified']:%Y-%m-%dT%H:%M:%S}"


def _read_s3(access: Access, request: Request) -> bytes:
    item = request.item
    bucket, key = split(item.uri)

    wanted = f"{request.start}-{request.stop - 1}"
    same = {} if item.version.startswith("modified ") else {"IfMatch": f'"{item.version}"'}

    def get() -> bytes:
        found = s3_client(access).get_object(Bucket=bucket, Key=key, Range=f"bytes={wanted}", **same)
        # Some ignore If-Match and answer 200 to a range (rclone), or send the whole object: trust what came.
        with closing(found["Body"]) as body:
            if version_of(found) != item.version:
                raise ObjectChanged(f"{item.uri}: found {version_of(found)}, wanted {item.version}; list it again")
            sent = found.get("ContentRange", f"bytes 0-{found['ContentLength'] - 1}/")
            if not sent.startswith(f"bytes {wanted}/"):
                raise EndpointFailed(f"{item.uri}: asked for bytes {wanted}, the endpoint sent {sent}")
            data: bytes = body.read()
            return data

    return retried(get, item.uri)


def retried(call: Callable[[], _Result], uri: str) -> _Result:
    """`call`, tried again after a random wait when the endpoint fails in a way that may pass."""
    for attempt in range(ATTEMPTS):
        try:
            return call()
        except ClientError as error:
            code, status = error.response["Error"].get("Code", ""), error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 404:
                raise ObjectGone(f"{uri}: was asked for but is gone ({code}); list again") from error
            if status in (412, 416):
                raise ObjectChanged(f"{uri}: changed since it was listed ({code}); list it again") from error
            failure = f"{status} {code}"
            if status < 500 and status != 429 and code not in ("RequestTimeout", "SlowDown", "RequestTimeTooSkewed"):
                raise EndpointFailed(
                    f"{uri}: the endpoint refused: {failure}; check the worker's role and region"
                ) from error
        except _NEVER as error:
            raise EndpointFailed(f"{uri}: {error}; check the credentials, profile and region") from error
        except (BotoCoreError, HTTPError, ConnectionError, TimeoutError) as error:
            failure = f"{type(error).__name__}: {error}"
        if attempt + 1 < ATTEMPTS:
            time.sleep(random.uniform(0, _FIRST_WAIT_S * 2**attempt))  # noqa: S311 - jitter is no secret
    raise EndpointFailed(f"{uri}: failed {ATTEMPTS} times, last with {failure}; check the endpoint and its load")
