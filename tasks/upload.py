"""Write a stream to an object or a file: all of it, or nothing. `uri` is s3://bucket/key or an absolute path."""

import base64
import functools
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tasks.objects import Access, DataObject, s3_client

# S3 takes 10,000 parts of at least 5 MiB (all but the last): this reaches files of 78 GiB and holds little in memory.
PART_BYTES = 8 * 2**20
_MAX_PARTS = 10_000
_DELETED_AT_ONCE = 1_000  # S3's limit
# The first is no retry. botocore waits up to 1, 2, 4, 8 s between them, a random share of each.
ATTEMPTS = 5
# rclone's endpoint reads a new file through, at some 400 MB/s, before it first tells its ETag.
_READ_TIMEOUT_S = 300
# Readers of folders (Ray, Dask, Spark, pyarrow) skip names that begin with an underscore.
_UNFINISHED = "_unfinished-"
_ABSENT = ("404", "NoSuchKey", "NotFound")


def _bucket_key(uri: str) -> tuple[str, str] | None:
    """Bucket and key of an S3 address, None for a path. Raises ValueError for anything else."""
    if uri.startswith("s3://"):
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return bucket, key
    if not os.path.isabs(uri):
        raise ValueError(f"found {uri!r}, wanted s3://bucket/prefix or an absolute path")
    return None


@functools.lru_cache(maxsize=4)
def s3_writer(access: Access) -> Any:
    """The client for writing. Here botocore retries: bodies are in memory, repeating a request is harmless."""
    config = Config(retries={"mode": "standard", "total_max_attempts": ATTEMPTS}, read_timeout=_READ_TIMEOUT_S)
    key_id, secret = access.keys()
    return boto3.client(
        "s3",
        endpoint_url=access.endpoint_url,
        region_name=access.region,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=s3_client(access).meta.config.merge(config),
    )


def cut(blocks: Iterable[bytes], part_bytes: int) -> Iterator[bytes]:
    """The same bytes in parts of `part_bytes`; the last one is shorter, never empty."""
    held = bytearray()
    for block in blocks:
        held += block
        while len(held) >= part_bytes:
            yield bytes(held[:part_bytes])
            del held[:part_bytes]
    if held:
        yield bytes(held)


def put_stream(access: Access, uri: str, blocks: Iterable[bytes], part_bytes: int = PART_BYTES) -> DataObject:
    """Write the blocks in order and return what now stands under `uri`. Holds one block and one part in memory.

    Each part carries its MD5, which the endpoint checks. Whatever goes wrong, Ctrl-C and a full disk included, no
    object, no pending upload and no temporary file stay behind, and the error goes on to the caller.
    """
    target = _bucket_key(uri)
    if target is None:
        _put_file(Path(uri), blocks)
    else:
        _put_parts(s3_writer(access), *target, cut(blocks, part_bytes))
    item = stat(access, uri)
    if item is None:
        raise OSError(f"{uri} was written and is gone: is another run writing to the same prefix?")
    return item


def _put_parts(client: Any, bucket: str, key: str, parts: Iterable[bytes]) -> None:
    at = {"Bucket": bucket, "Key": key}
    at_upload = at | {"UploadId": client.create_multipart_upload(**at)["UploadId"]}
    done = []
    try:
        for number, part in enumerate(parts, 1):
            if number > _MAX_PARTS:
                raise ValueError(f"s3://{bucket}/{key} needs more than {_MAX_PARTS} parts: make more and smaller files")
            md5 = base64.b64encode(hashlib.md5(part, usedforsecurity=False).digest()).decode()
            sent = client.upload_part(**at_upload, PartNumber=number, Body=part, ContentMD5=md5)
            done.append({"PartNumber": number, "ETag": sent["ETag"]})
        client.complete_multipart_upload(**at_upload, MultipartUpload={"Parts": done})
    except BaseException as error:  # not only Exception: Ctrl-C would leave parts that are billed and seen by nobody
        try:
            client.abort_multipart_upload(**at_upload)
        except client.exceptions.NoSuchUpload:  # completed after all, only the reply was lost
            client.delete_object(**at)
        except Exception as failed:  # the first error is the one to tell
            error.add_note(f"s3://{bucket}/{key}: its upload may be pending still, abort_pending ends it: {failed}")
        raise


def _put_file(path: Path, blocks: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)  # its errors name the folder
    unfinished = path.with_name(f"{_UNFINISHED}{os.getpid()}-{path.name}")
    try:
        with unfinished.open("wb") as file:
            for block in blocks:
                file.write(block)
            file.flush()
            os.fsync(file.fileno())  # the name must not outlive a power cut that the bytes don't
        unfinished.replace(path)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and not error.filename:  # a full disk's names no file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _is(error: Exception, *codes: str) -> bool:
    return isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in codes


def stat(access: Access, uri: str) -> DataObject | None:
    """Size and version of what stands under `uri` now, None where nothing does."""
    target = _bucket_key(uri)
    if target is None:
        try:
            found = os.stat(uri)
        except FileNotFoundError:
            return None
        return DataObject(uri, found.st_size, f"{found.st_size}-{found.st_mtime_ns}")
    try:
        head = s3_writer(access).head_object(Bucket=target[0], Key=target[1])
    except ClientError as error:
        if _is(error, *_ABSENT):
            return None
        raise
    return DataObject(uri, head["ContentLength"], head["ETag"].strip('"'))


def read_bytes(access: Access, uri: str) -> bytes | None:
    """A small object whole, None where there is none."""
    target = _bucket_key(uri)
    try:
        if target is None:
            return Path(uri).read_bytes()
        found: bytes = s3_writer(access).get_object(Bucket=target[0], Key=target[1])["Body"].read()
        return found
    except FileNotFoundError:
        return None
    except ClientError as error:
        if _is(error, *_ABSENT):
            return None
        raise


def remove(access: Access, uri: str) -> None:
    """Remove an object or file; it is no error if there is none."""
    target = _bucket_key(uri)
    if target is None:
        Path(uri).unlink(missing_ok=True)
    else:
        s3_writer(access).delete_object(Bucket=target[0], Key=target[1])


def remove_all(access: Access, uris: Iterable[str]) -> None:
    """Remove many objects or files: on S3 a thousand by each request. Raises OSError naming the first that stays."""
    by_bucket: dict[str, list[str]] = {}
    for uri in uris:
        target = _bucket_key(uri)
        if target is None:
            remove(access, uri)
        else:
            by_bucket.setdefault(target[0], []).append(target[1])
    for bucket, keys in by_bucket.items():
        for at in range(0, len(keys), _DELETED_AT_ONCE):
            batch = [{"Key": key} for key in keys[at : at + _DELETED_AT_ONCE]]
            done = s3_writer(access).delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
            for error in done.get("Errors", [])[:1]:
                raise OSError(f"s3://{bucket}/{error['Key']}: was not removed: {error.get('Code')}")


def remove_below(access: Access, base: str) -> int:
    """Remove whatever is below s3://bucket/prefix, and count it."""
    bucket, _, prefix = base.removeprefix("s3://").partition("/")
    pages = s3_writer(access).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    found = [f"s3://{bucket}/{entry['Key']}" for page in pages for entry in page.get("Contents", [])]
    remove_all(access, found)
    return len(found)


def abort_pending(access: Access, base: str) -> int:
    """End the uploads below `base` that a killed process left behind, and count them. Not while others write there."""
    target = _bucket_key(base)
    if target is None:
        if not os.path.isdir(base):
            return 0
        left = list(Path(base).rglob(f"{_UNFINISHED}*"))
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)
    client, bucket = s3_writer(access), target[0]
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=target[1] + "/")
    try:
        pending = [upload for page in pages for upload in page.get("Uploads", [])]
    except client.exceptions.NoSuchUpload:  # rclone's answer for a bucket that never saw an upload in parts
        return 0
    for upload in pending:
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    return len(pending)
