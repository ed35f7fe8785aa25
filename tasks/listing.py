"""Which objects below an address are data, which are left out and why, and which can't be read and so stop everything.

A set that is read in part gives an answer that looks right. So what plainly belongs to it must be readable, and what is
left out is named: `Listing.told` is printed by every command.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks import compressed
from tasks.address import PATTERN
from tasks.objects import Access, DataObject, NoData, ObjectGone, retried, s3_client, split, stated, version_of

TEXT = (".csv", ".tsv")
SUFFIXES = (*TEXT, *(text + codec for text in TEXT for codec in compressed.SUFFIXES))
_ARCHIVES = ("tar", "tgz", "tbz", "tbz2", "txz", "tzst", "7z", "rar", "cpio", "cab")
_FORMATS = ("parquet", "orc", "avro", "feather", "arrow", "ipc", "xls", "xlsx", "xlsb", "ods", "h5", "hdf5", "sas7bdat")
# What stands beside a CSV file under its name and is none: sums, signatures, copies of editors, descriptions.
_BESIDE = ("md5", "sha1", "sha256", "sha512", "crc", "crc32", "sig", "asc", "bak", "orig", "old", "swp", "tmp", "lock",
    "json", "txt", "md", "log", "yaml", "yml", "xml", "html", "metadata", "schema", "done", "ok")  # fmt: skip
_PART = re.compile(r"(part[-_])?[a-z]?-?\d{3,}([-_]\w+)*", re.IGNORECASE)
_LOOP = "a link that leads round to a folder above it"
_LEFT_OUT = ("", "not CSV", _LOOP)
_NAMED = 3
_COLD_STORAGE = ("GLACIER", "DEEP_ARCHIVE")


@dataclass(frozen=True)
class Listing:
    """The data in the order of their names. left_out: name below the address, and why."""

    objects: tuple[DataObject, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def size_bytes(self) -> int:
        return sum(item.size_bytes for item in self.objects)

    def told(self) -> str:
        """How much there is and what was left out, in one line."""
        files = f"{len(self.objects)} file{'s' * (len(self.objects) != 1)}, {self.size_bytes:,} bytes"
        whys = dict.fromkeys(why for _, why in self.left_out)
        return "; left out: ".join(filter(None, (files, ", ".join(self._counted(why) for why in whys))))

    def _counted(self, why: str) -> str:
        names = [shown(name) for name, other in self.left_out if other == why]
        more = ", ..." if len(names) > _NAMED else ""
        return f"{len(names)} {why} ({', '.join(names[:_NAMED])}{more})"


@dataclass(frozen=True)
class _Found:
    """One name below the address. item: None for what can't be read, for the reason `refused`."""

    name: str
    item: DataObject | None
    refused: str = ""


def list_objects(access: Access, uri: str) -> list[DataObject]:
    """The data of `listed`."""
    return list(listed(access, uri).objects)


def listed(access: Access, uri: str) -> Listing:
    """The data below s3://bucket/prefix or an absolute path, in the order of the names; or the one that `uri` names.

    Data is what ends in .csv or .tsv, compressed or not, in any case. Left out are names of which a part begins with
    `_` or `.`, and what is plainly no table. A file that is named itself is data whatever its name. Links are followed,
    to files and folders, but never round. A prefix means the object of that name and what is below `prefix/`, so
    `data` never takes in `data2/`. Raises NoData, naming what was found, and EndpointFailed.
    """
    found = list(_in_bucket(access, uri) if uri.startswith("s3://") else _in_folder(uri))
    data: list[DataObject] = []
    left_out: list[tuple[str, str]] = []
    refused: list[str] = []
    for one in found:
        hidden, why = _hidden(one.name), one.refused or _why_not(one.name)
        if one.item and one.item.uri == uri:
            hidden, why = False, one.refused
        if hidden:
            left_out.append((one.name, "hidden"))
        elif why not in _LEFT_OUT:
            refused.append(f"{shown(one.name)} ({why})")
        elif why:
            left_out.append((one.name, why))
        elif one.item:
            data.append(one.item)
    if refused:
        more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
        what_to_do = "mend or move it, or begin its name with _ to leave it out"
        raise NoData(f"{uri}: can't read {', '.join(refused[:5])}{more}; {what_to_do}")
    if not data:
        raise NoData(_nothing(uri, found))
    return Listing(tuple(sorted(data, key=lambda item: item.uri)), tuple(left_out))


def shown(name: str) -> str:
    """A name as it can stand in a message: without control characters and of a length that fits."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in name)
    return text if len(text) <= 100 else f"{text[:60]}...{text[-30:]}"


def _hidden(name: str) -> bool:
    return any(part.startswith(("_", ".")) for part in name.split("/"))


def _why_not(name: str) -> str:  # noqa: PLR0911  one for each kind of name
    """Empty for data; `not CSV` for what may be left out; else why it can't be read though it may well be data."""
    lower = name.lower().rpartition("/")[2]
    if lower.endswith(SUFFIXES):
        return ""
    for suffix in compressed.SUFFIXES:
        if lower.endswith(suffix):
            inner = lower.removesuffix(suffix)
            if inner.endswith(tuple(f".{kind}" for kind in _ARCHIVES)):
                return "an archive: unpack it"
            if "." in inner and not inner.rpartition(".")[2].isdigit():
                return "not CSV"
            return f"compressed: name it .csv{suffix} if it is CSV"
    stem, dot, kind = lower.rpartition(".")
    if kind in _ARCHIVES and dot:
        return "an archive: unpack it"
    if kind in _FORMATS and dot:
        return f"{kind} is not read: convert it to CSV"
    if stem.endswith(TEXT) and kind not in _BESIDE and not kind.endswith("~"):
        return f"its suffix .{kind} is not known: decompress it"
    if _PART.fullmatch(lower):
        return "without a suffix: name it .csv if it is CSV"
    return "not CSV"


def _nothing(uri: str, found: list[_Found]) -> str:
    others = ", ".join(shown(one.name) for one in found[:5]) or "nothing"
    hint = "; patterns are not expanded: give the folder" if PATTERN.search(uri) else ""
    return (
        f"{uri}: found {len(found)} objects ({others}), none of them data; wanted names that end in .csv, or "
        f".csv{', .csv'.join(compressed.SUFFIXES)}, and do not begin with _ or .{hint}"
    )


def _in_folder(path: str) -> Iterator[_Found]:
    root = Path(path)
    if root.is_dir():
        yield from _walked(root, "", ())
    elif os.path.lexists(root):
        yield _file(root.name, root)


def _walked(folder: Path, below: str, above: tuple[tuple[int, int], ...]) -> Iterator[_Found]:
    """What is below a folder, by name. above: the folders that led here, which a link must not lead back to."""
    try:
        own = folder.stat()
        names = sorted(os.listdir(folder))
    except OSError as error:
        yield _Found(below or str(folder), None, f"a folder that can't be listed: {error.strerror}")
        return
    if (own.st_dev, own.st_ino) in above:
        yield _Found(below, None, _LOOP)
        return
    for name in names:
        path, full = folder / name, f"{below}/{name}" if below else name
        if path.is_dir() and not _hidden(name):
            yield from _walked(path, full, (*above, (own.st_dev, own.st_ino)))
        elif path.is_dir():
            yield _Found(f"{full}/", None)
        else:
            yield _file(full, path)


def _file(name: str, path: Path) -> _Found:
    try:
        seen = path.stat()
    except OSError as error:
        target = f"a link to {os.readlink(path)}, which is not there" if path.is_symlink() else error.strerror
        # What it was meant to be, its name says, unless that says nothing: then it may have been a folder of data.
        plain = _why_not(name) == "not CSV" and "." in name.rpartition("/")[2]
        return _Found(name, DataObject(str(path), 0, ""), "" if plain else str(target))
    item = DataObject(str(path), *stated(seen))
    if _why_not(name) == "not CSV":
        return _Found(name, item)
    if not stat.S_ISREG(seen.st_mode):
        return _Found(name, item, "no regular file")
    if not os.access(path, os.R_OK):
        return _Found(name, item, "this user may not read it")
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return _Found(name, item, "its name is not UTF-8")
    return _Found(name, item)


def _in_bucket(access: Access, uri: str) -> Iterator[_Found]:
    bucket, prefix = split(uri)

    def pages() -> list[Any]:
        pages = s3_client(access).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [entry for page in pages for entry in page.get("Contents", [])]

    try:
        entries = retried(pages, uri)
    except ObjectGone as error:
        where = access.endpoint_url or "this account and region"
        raise NoData(f"{uri}: there is no bucket {bucket!r} at {where}; check the address") from error
    folder = prefix if prefix.endswith("/") or not prefix else prefix + "/"
    for entry in entries:
        key = entry["Key"]
        name = key.rpartition("/")[2] if key == prefix else key.removeprefix(folder)
        if (key != prefix and not key.startswith(folder)) or not name or key.endswith("/"):
            continue  # of another prefix, or the marker of a folder
        cold = entry.get("StorageClass") in _COLD_STORAGE and not _why_not(name)
        item = DataObject(f"s3://{bucket}/{key}", entry["Size"], version_of(entry))
        yield _Found(name, item, f"in {entry['StorageClass']}: restore it" if cold else "")
