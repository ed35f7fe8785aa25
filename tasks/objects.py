"""Objects in an S3 bucket or files in a folder, read alike: list, ranged read, stream."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config


@dataclass(frozen=True)
class Access:
    """How a worker reaches the bucket. All None: the provider's own endpoint with the worker's own role."""

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None


@dataclass(frozen=True)
class DataObject:
    """uri: s3://bucket/key or an absolute path. version: ETag, or size and modification time of a file."""

    uri: str
    size_bytes: int
    version: str


class ObjectGone(OSError):
    """The object was listed but is no longer there."""


class ObjectChanged(OSError):
    """The object is not the version that was listed."""


@functools.lru_cache(maxsize=4)
def s3_client(access: Access) -> Any:
    """One boto3 client per process and access: building one costs tens of milliseconds."""
    return boto3.client(
        "s3",
        endpoint_url=access.endpoint_url,
        region_name=access.region,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
        config=Config(
            # rclone's endpoint sends no checksums, and botocore refuses a ranged read without one by default.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"mode": "standard", "max_attempts": 5},
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=16,
        ),
    )


def list_objects(access: Access, uri: str) -> list[DataObject]:
    """Every object below s3://bucket/prefix, or file below a folder, by name."""
    raise NotImplementedError


def read_stream(access: Access, item: DataObject, start: int, stop: int, block_bytes: int) -> Iterator[bytes]:
    """Bytes [start, stop) in blocks of at most `block_bytes`. Raises ObjectGone, ObjectChanged."""
    raise NotImplementedError


__all__ = ["Access", "DataObject", "ObjectChanged", "ObjectGone", "Path", "list_objects", "read_stream", "s3_client", "urlsplit"]
