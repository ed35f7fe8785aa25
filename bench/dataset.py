"""The data of a run: which objects, how large, and the true answer that every engine must give."""

import difflib
from dataclasses import dataclass

from bench.stack import StackError
from plan.outputs import Outputs
from tasks.answer import Answer, Query
from tasks.manifest import read_manifest
from tasks.objects import Access, DataObject, list_objects, s3_client
from tasks.ranges import header


class DataError(ValueError):
    """The data cannot be used as asked; the message names the address and says what to do."""


@dataclass(frozen=True)
class Dataset:
    """Objects to read, all of one header. truth: the answer known from the manifest, None for one's own data."""

    uri: str
    objects: tuple[DataObject, ...]
    columns: tuple[str, ...]
    query: Query
    truth: Answer | None

    @property
    def size_bytes(self) -> int:
        return sum(item.size_bytes for item in self.objects)


def find(access: Access, found: Outputs, uri: str | None, query: Query) -> Dataset:
    """The data at `uri`, or what was generated last in the stack's bucket. Raises DataError, StackError."""
    place = uri or generated_last(access, found)
    objects = tuple(list_objects(access, place))
    columns = header(access, objects)
    if columns and query.column not in columns:
        near = difflib.get_close_matches(query.column, columns, n=1, cutoff=0.0)
        hint = f"; the nearest is {near[0]!r}" if near else ""
        raise DataError(f"{objects[0].uri}: found no column {query.column!r}{hint} (columns: {', '.join(columns)})")
    manifest = read_manifest(access, place)
    truth = manifest.answer if manifest and manifest.query == query else None
    return Dataset(place, objects, columns, query, truth)


def generated_last(access: Access, found: Outputs) -> str:
    """Address of the newest data in the stack's bucket. Raises DataError, StackError."""
    if found.data_bucket is None:
        raise StackError(f"stack {found.stack!r} has no data bucket: name the data with --data")
    client, suffix = s3_client(access), "/_manifest.json"
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=found.data_bucket, Prefix="store_sales/")
    made = [item for page in pages for item in page.get("Contents", []) if item["Key"].endswith(suffix)]
    if not made:
        raise DataError(
            f"s3://{found.data_bucket}/store_sales: found no generated data; "
            f"run `python workloads/generate.py --stack {found.stack}`, or name your own with --data"
        )
    newest = max(made, key=lambda item: (item["LastModified"], item["Key"]))
    return f"s3://{found.data_bucket}/{newest['Key'].removesuffix(suffix)}"
