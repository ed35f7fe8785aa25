"""Where data lies, however the user writes it, in one form: s3://bucket/prefix without a last slash, or a full path."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")
_S3 = ("s3", "s3a", "s3n")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
PATTERN = re.compile(r"[*?\[{]")
_WANTED = "wanted s3://bucket/prefix, a folder or a file"


class BadAddress(ValueError):
    """An address that names no place; the message says what was wanted."""


def normalised(text: str, *, must_exist: bool = False) -> str:
    """One form for s3://, s3a:// and s3n:// addresses, file:// addresses, `~`, relative paths and last slashes.

    A key is literal: nothing in it is decoded or expanded. must_exist: a path has to be there. Raises BadAddress.
    """
    if not text.strip() or "\0" in text:
        raise BadAddress(f"found {text!r}, {_WANTED}")
    if scheme := _SCHEME.match(text):
        name = scheme[1].lower()
        if name in _S3:
            return _s3(text)
        if name != "file":
            raise BadAddress(f"found {text!r}, {_WANTED}: {name}:// is not read; copy the data to one of these")
        text = _path_of(text)
    return _local(text, must_exist)


def _s3(text: str) -> str:
    bucket, _, key = text.partition("://")[2].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise BadAddress(f"found {text!r}, whose bucket is {bucket!r}; wanted s3://bucket/prefix")
    return f"s3://{bucket}/{key}".rstrip("/")


def _path_of(uri: str) -> str:
    # Not urlsplit alone: it would cut a path at ? and #, which no file:// address of a tool escapes reliably.
    parts = urlsplit(uri.replace("?", "%3F").replace("#", "%23"))
    if parts.netloc not in ("", "localhost"):
        raise BadAddress(f"found {uri!r}, on the host {parts.netloc!r}; wanted a path of this machine: file:///folder")
    return unquote(parts.path)


def _local(text: str, must_exist: bool) -> str:
    try:
        path = Path(os.path.abspath(Path(text).expanduser()))
        there = path.exists()
    except (OSError, RuntimeError) as error:  # a name too long, a user unknown
        raise BadAddress(f"found {text!r}, {_WANTED}: {error}") from error
    if must_exist and not there:
        if path.is_symlink():
            raise BadAddress(f"{path} is a link to {os.readlink(path)}, which is not there")
        if PATTERN.search(text):
            raise BadAddress(f"found no file or folder {text!r}; patterns are not expanded: give the folder")
        raise BadAddress(f"found no file or folder {path}, {_WANTED}")
    return str(path)
