"""A generated set: files beside their records, and a manifest that stands only where the whole set does.

    <base>/part-00000.csv            a file
    <base>/_parts/part-00000.json    its record, written once the file stands
    <base>/_manifest.json            written last, removed before anything below is written again

The driver calls `begin`, has `write_file` run for each file it returns, on any engine, and calls `finish`.

Whether a file may be kept is told without reading it: its record must be of the same specification, and the object's
size and ETag must be those recorded when it was written. An ETag changes with every write whose bytes differ (on AWS it
comes from the parts' MD5; rclone's endpoint takes the MD5 of what is on its disk now, so there even a flipped bit is
seen). A file in a folder is told by size and modification time, which a tool that restores times can deceive.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tasks import code_hash
from tasks.answer import Answer, Query, merge
from tasks.objects import Access
from tasks.store_sales import HEADER, FileSpec, Totals, blocks, generator_hash
from tasks.upload import abort_pending, put_stream, read_bytes, remove, stat

SCHEMA = 1
_NOT_OURS = "was not written by `generate`: remove it, or write to another prefix"


class OtherData(ValueError):
    """The prefix holds data of another specification."""


class Foreign(OtherData):
    """A manifest that was not written here."""


class Incomplete(ValueError):
    """Files of the set are missing, changed, or don't add up."""


@dataclass(frozen=True)
class FileRecord:
    """One file as written. spec: hash of all that decides its bytes and answer. etag: in a folder, size and time."""

    name: str
    spec: str
    rows: int
    size_bytes: int
    sha256: str
    etag: str
    answer: Answer
    totals: dict[str, Totals]


@dataclass(frozen=True)
class Manifest:
    """A complete set. gb in 2**30 bytes. answer: the query's, over all files. generator, code: what made it, hashed."""

    schema: int
    seed: int
    gb: float
    rows: int
    size_bytes: int
    generator: str
    code: str
    query: Query
    answer: Answer
    checksum: str
    totals: dict[str, Totals]
    files: tuple[FileRecord, ...]


def base_of(root: str, gb: float, files: int, seed: int) -> str:
    """Where a set lives below s3://bucket[/prefix] or a folder: each specification has its own place."""
    return f"{root.rstrip('/')}/store_sales/gb{gb:.12g}-f{files}-s{seed}"


def spec_hash(spec: FileSpec, query: Query) -> str:
    """64 hexadecimal digits over all that decides a file's record."""
    decides = [SCHEMA, generator_hash(), asdict(spec), asdict(query)]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def begin(access: Access, base: str, specs: Sequence[FileSpec], query: Query) -> list[FileSpec]:
    """The files still to be written. Ends uploads that a killed run left, and removes a manifest no longer true.

    Raises OtherData where the prefix holds another set, before anything is changed.
    """
    found = read_manifest(access, base)
    if found and [f.spec for f in found.files] != [spec_hash(s, query) for s in specs]:
        raise _other(base)
    missing = [spec for spec in specs if kept_record(access, base, spec, query) is None]
    abort_pending(access, base)
    if missing:
        remove(access, f"{base}/_manifest.json")
    return missing


def write_file(access: Access, base: str, spec: FileSpec, query: Query) -> FileRecord:
    """Generate one file into place, or keep the one that stands. Memory does not grow with its size.

    Raises OtherData, the endpoint's errors (botocore), OSError of a folder; then no partial file stays behind.
    """
    kept = kept_record(access, base, spec, query)
    if kept:
        return kept
    uri, record_uri = f"{base}/{spec.name}", _record_uri(base, spec)
    remove(access, record_uri)
    remove(access, uri)
    digest, answer, totals = hashlib.sha256(), Answer(), dict[str, Totals]()

    def body() -> Iterator[bytes]:
        nonlocal answer, totals
        digest.update(HEADER)
        yield HEADER
        for block in blocks(spec, query):
            digest.update(block.csv)
            answer, totals = merge((answer, block.answer), query), _add((totals, block.totals))
            yield block.csv

    item = put_stream(access, uri, body())
    sha256, hashed = digest.hexdigest(), spec_hash(spec, query)
    record = FileRecord(spec.name, hashed, answer.rows, item.size_bytes, sha256, item.version, answer, totals)
    put_stream(access, record_uri, [_json(record)])
    return record


def kept_record(access: Access, base: str, spec: FileSpec, query: Query) -> FileRecord | None:
    """The record of a file that stands as it was written, None where it must be written. Raises OtherData."""
    text = read_bytes(access, _record_uri(base, spec))
    if text is None:
        return None
    fields = _fields(text, _record_uri(base, spec))
    if fields.get("spec") != spec_hash(spec, query):
        raise _other(base)
    record, item = _record(fields), stat(access, f"{base}/{spec.name}")
    stands = item is not None and (item.size_bytes, item.version) == (record.size_bytes, record.etag)
    return record if stands else None


def finish(access: Access, base: str, specs: Sequence[FileSpec], query: Query) -> Manifest:
    """Check every file once more, then write the manifest. Raises Incomplete naming the files that do not stand."""
    files = [record for spec in specs if (record := kept_record(access, base, spec, query))]
    absent = sorted({s.name for s in specs} - {f.name for f in files})
    if absent:
        raise Incomplete(
            f"{base}: {len(absent)} of {len(specs)} files do not stand ({', '.join(absent[:5])}): run again"
        )
    answer = merge((f.answer for f in files), query)
    manifest = Manifest(
        schema=SCHEMA,
        seed=specs[0].seed,
        gb=specs[0].gb,
        rows=sum(f.rows for f in files),
        size_bytes=sum(f.size_bytes for f in files),
        generator=generator_hash(),
        code=code_hash(),
        query=query,
        answer=answer,
        checksum=answer.checksum(),
        totals=_add(f.totals for f in files),
        files=tuple(files),
    )
    put_stream(access, f"{base}/_manifest.json", [_json(manifest)])
    return manifest


def read_manifest(access: Access, base: str) -> Manifest | None:
    """The manifest beside the data, None where there is none.

    Raises Foreign for what is no manifest of ours, OtherData for another schema, Incomplete for sums or a checksum that
    its files contradict.
    """
    uri = f"{base}/_manifest.json"
    text = read_bytes(access, uri)
    if text is None:
        return None
    fields = _fields(text, uri)
    if fields.get("schema") != SCHEMA:
        raise OtherData(f"{uri}: found schema {fields.get('schema')!r}, wanted {SCHEMA}: generate the data again")
    try:
        made = {
            "query": Query(**fields["query"]),
            "answer": _answer(fields["answer"]),
            "totals": _totals(fields["totals"]),
            "files": tuple(_record(f) for f in fields["files"]),
        }
        manifest = Manifest(**(fields | made))
    except (TypeError, KeyError, AttributeError) as error:
        raise Foreign(f"{uri}: {_NOT_OURS}") from error
    sums = (sum(f.rows for f in manifest.files), sum(f.size_bytes for f in manifest.files))
    agreed = merge((f.answer for f in manifest.files), manifest.query)
    if (
        (manifest.rows, manifest.size_bytes) != sums
        or agreed != manifest.answer
        or agreed.checksum() != manifest.checksum
    ):
        raise Incomplete(f"{uri}: rows, bytes or answer are not those of its files: generate the data again")
    return manifest


def _fields(text: bytes, uri: str) -> dict[str, Any]:
    """A document of ours. Raises Foreign."""
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise Foreign(f"{uri}: {_NOT_OURS}") from error
    if not isinstance(fields, dict) or not ({"generator", "files"} <= fields.keys() or "spec" in fields):
        raise Foreign(f"{uri}: {_NOT_OURS}")
    return fields


def _other(base: str) -> OtherData:
    return OtherData(
        f"{base} holds data of another specification, query or generator: remove it, or write to another prefix"
    )


def _record_uri(base: str, spec: FileSpec) -> str:
    return f"{base}/_parts/{spec.name.removesuffix('.csv')}.json"


def _add(parts: Iterable[dict[str, Totals]]) -> dict[str, Totals]:
    sums: dict[str, Totals] = {}
    for part in parts:
        for column, more in part.items():
            had = sums.get(column, Totals(more.decimals, 0, 0))
            sums[column] = Totals(more.decimals, had.values + more.values, had.total + more.total)
    return sums


def _json(document: FileRecord | Manifest) -> bytes:
    return (json.dumps(asdict(document), indent=1) + "\n").encode()


def _answer(fields: dict[str, Any]) -> Answer:
    return Answer(**(fields | {"largest": tuple(fields["largest"])}))


def _totals(fields: dict[str, Any]) -> dict[str, Totals]:
    return {column: Totals(**totals) for column, totals in fields.items()}


def _record(fields: dict[str, Any]) -> FileRecord:
    return FileRecord(**(fields | {"answer": _answer(fields["answer"]), "totals": _totals(fields["totals"])}))
