"""Folders of data as users have them, made from a seed, with the answer that Python's own csv module finds in them."""

import bz2
import gzip
import io
import lzma
import os
import random
import zipfile
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.answer import Answer, Query, answer_of, merge
from tasks.dialect import Dialect

QUERY = Query("amount", None, 3, 2)
ODD = [
    "a b",
    "a+b",
    "ü",
    "a[1]",
    "a*b",
    "a?b",
    "{x}",
    "a#b",
    "50%",
    "a%20b",
    "a::b",
    "x=1,y",
    "'q'",
    "日本",
    "A&B",
    "~t",
]
COLUMNS = ["id", "amount", "näme"]


def _zip(text: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.csv", text)
    return out.getvalue()


def _by_arrow(codec: str, text: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, codec) as stream:
        stream.write(text)
    return out.getvalue().to_pybytes()


COMPRESS = {
    "": lambda text: text,
    ".gz": lambda text: gzip.compress(text[: len(text) // 2]) + gzip.compress(text[len(text) // 2 :]),
    ".bz2": lambda text: bz2.compress(text[:9]) + bz2.compress(text[9:]),
    ".xz": lzma.compress,
    ".zst": lambda text: _by_arrow("zstd", text[:9]) + _by_arrow("zstd", text[9:]),
    ".lz4": lambda text: _by_arrow("lz4", text),
    ".zip": _zip,
}  # fmt: skip


@dataclass
class Folder:
    """dialect: how all files are written. answer: of all that is data. refused: a name that must stop everything."""

    dialect: Dialect
    answer: Answer = field(default_factory=Answer)
    files: int = 0
    refused: str = ""


def make(root: Path, seed: int, *, refuse: bool = False) -> Folder:
    """A folder below `root`, the same for the same seed."""
    rng = random.Random(seed)
    delimiter = rng.choice([",", ",", ";", "\t", "|"])
    decimal = rng.choice([".", ","]) if delimiter != "," else "."
    nulls = tuple(rng.sample(["NULL", "NA", "\\N", "n/a"], rng.randrange(3)))
    encoding = rng.choice(["utf-8", "utf-8", "cp1252", "utf-16", "utf-32-le", "utf-16-be"])
    folder = Folder(Dialect(delimiter, decimal, nulls, encoding))
    for number in range(rng.randrange(1, 5)):
        below = rng.choice(["", "", "sub/", f"{rng.choice(ODD)}/", "deep/er/"])
        suffix, case = rng.choice(list(COMPRESS)), rng.choice([str.lower, str.lower, str.upper])
        path = root / below / f"{rng.choice(ODD)}-{number}{case('.csv' + suffix)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        text, answer = _file(rng, folder.dialect)
        path.write_bytes(COMPRESS[suffix](text))
        names = 1
        if rng.random() < 0.3:
            names += 1
            os.symlink(path, root / f"link-{number}.csv{suffix}")
        folder.answer = merge([folder.answer, *[answer] * names], QUERY)
        folder.files += names
    _beside(rng, root, folder)
    if refuse:
        folder.refused = rng.choice(["part-00007", "b.tar.gz", "b.zip", "c.parquet", "d.csv.br", "gone.csv", "gone"])
        if folder.refused.startswith("gone"):
            os.symlink("/nowhere", root / folder.refused)
        else:
            (root / folder.refused).write_bytes(b"x")
    return folder


def _beside(rng: random.Random, root: Path, folder: Folder) -> None:
    """What is left out, a folder elsewhere that is linked, and links that lead round."""
    for name in rng.sample(["_SUCCESS", ".crc", "README.md", "_old/x.csv", ".git/y.csv", "a.csv.md5", "notes"], 3):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"id,amount\n1,2\n")
    if rng.random() < 0.5:
        elsewhere = root.with_name(root.name + "-elsewhere")
        elsewhere.mkdir()
        text, answer = _file(rng, folder.dialect)
        (elsewhere / "z.csv").write_bytes(text)
        os.symlink(elsewhere, root / "2025")
        folder.answer, folder.files = merge([folder.answer, answer], QUERY), folder.files + 1
    if rng.random() < 0.5:
        os.symlink(root, root / "round")


def _file(rng: random.Random, dialect: Dialect) -> tuple[bytes, Answer]:
    """Text of a file and its answer, which is known as the values are drawn."""
    units: list[int] = []
    end = rng.choice(["\n", "\r\n"])
    lines = [dialect.delimiter.join(COLUMNS)]
    rows = rng.choice([0, 1, 7, 300])
    for row in range(rows):
        value = ""
        if rng.random() < 0.8:
            cents = rng.randrange(-(10**6), 10**6)
            units.append(cents)
            value = f"{Decimal(cents).scaleb(-2):f}".replace(".", dialect.decimal)
        elif dialect.nulls and rng.random() < 0.5:
            value = rng.choice(dialect.nulls)
        value = f'"{value}"' if rng.random() < 0.1 else value
        name = rng.choice(["x", "é", f'"a{dialect.delimiter}b"', '"say ""hi"""', ""])
        lines.append(dialect.delimiter.join([str(row), value, name]))
    text = end.join(lines) + (end if rng.random() < 0.8 else "")
    return text.encode(dialect.encoding), answer_of(np.array(units, np.int64), rows, QUERY)
