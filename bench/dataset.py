"""The data of a run: which objects, how large, how written, and the true answer that every engine must give."""

from dataclasses import dataclass, replace
from decimal import Decimal

from bench.stack import StackError
from plan.outputs import Outputs
from tasks.answer import Answer, Query
from tasks.dialect import Dialect
from tasks.listing import Listing, listed, shown
from tasks.manifest import Foreign, Manifest, read_manifest
from tasks.objects import Access, DataObject, retried, s3_client
from tasks.ranges import COMMAS, header

# Of generated data: about a tenth of its rows have more. On other data a bound would be a guess.
GENERATED_ABOVE = 5000


class DataError(ValueError):
    """The data cannot be used as asked; the message names the address and says what to do."""


@dataclass(frozen=True)
class Dataset:
    """Objects to read. truth: the answer known from the manifest, None for one's own data. told: what was found.

    columns: of the first object that has any.
    """

    uri: str
    objects: tuple[DataObject, ...]
    columns: tuple[str, ...]
    query: Query
    truth: Answer | None
    dialect: Dialect = COMMAS
    told: str = ""

    @property
    def size_bytes(self) -> int:
        return sum(item.size_bytes for item in self.objects)


def find(access: Access, found: Outputs, uri: str | None, query: Query, dialect: Dialect = COMMAS) -> Dataset:
    """The data at `uri`, or what was generated last in the stack's bucket.

    Without a bound, generated data is asked for values above 5000, and other data for all. Raises DataError,
    StackError, NoData, BadData.
    """
    place = uri or generated_last(access, found)
    listing = listed(access, place)
    made, notes = _made(access, place, listing)
    if made and query.above is None:
        query = replace(query, above=GENERATED_ABOVE * 10**query.decimals)
    first = header(access, listing.objects, dialect)
    if first:
        first[1].position(query.column, first[0].uri)
    truth = made.answer if made and made.query == query and dialect == COMMAS else None
    told = "; ".join([f"data: {place}: {listing.told()}", *notes])
    return Dataset(place, listing.objects, first[1].names if first else (), query, truth, dialect, told)


def answer_line(query: Query, truth: Answer) -> str:
    """The true answer as a person reads it."""

    def number(units: int) -> str:
        return f"{Decimal(units).scaleb(-query.decimals):,f}"

    bound = "with a value in" if query.above is None else f"above {number(query.above)} in"
    largest = f", largest {', '.join(number(value) for value in truth.largest[:3])}" if truth.largest else ""
    kept = f"{truth.kept:,} kept ({bound} {shown(query.column)})"
    return f"answer: {truth.rows:,} rows read, {kept}, sum {number(truth.total)}{largest}"


def _made(access: Access, place: str, listing: Listing) -> tuple[Manifest | None, list[str]]:
    """The manifest, if it is that of the very objects that are there, and what to say of one that is not."""
    if any(item.uri == place for item in listing.objects):
        return None, []
    try:
        manifest = read_manifest(access, place)
    except Foreign:
        return None, ["its _manifest.json is not of `generate`, so the true answer is read from the data"]
    if manifest is None:
        return None, []
    wanted = {f"{place}/{file.name}": (file.size_bytes, file.etag) for file in manifest.files}
    there = {item.uri: (item.size_bytes, item.version) for item in listing.objects}
    if wanted == there:
        return manifest, []
    differ = sorted(uri for uri in wanted.keys() | there.keys() if wanted.get(uri) != there.get(uri))
    return None, [f"changed since it was generated ({len(differ)} files, the first {differ[0]}), so read for the truth"]


def generated_last(access: Access, found: Outputs) -> str:
    """Address of the newest data in the stack's bucket. Raises DataError, StackError, EndpointFailed."""
    if found.data_bucket is None:
        raise StackError(f"stack {found.stack!r} has no data bucket: name the data with --data")
    suffix, bucket = "/_manifest.json", found.data_bucket

    def manifests() -> list[dict[str, str]]:
        pages = s3_client(access).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="store_sales/")
        return [item for page in pages for item in page.get("Contents", []) if item["Key"].endswith(suffix)]

    made = retried(manifests, f"s3://{bucket}/store_sales")
    if not made:
        raise DataError(
            f"s3://{found.data_bucket}/store_sales: found no generated data; "
            f"run `python workloads/generate.py --stack {found.stack}`, or name your own with --data"
        )
    newest = max(made, key=lambda item: (item["LastModified"], item["Key"]))
    return f"s3://{found.data_bucket}/{newest['Key'].removesuffix(suffix)}"
