"""What published studies state in their text or tables, as data: never read off a picture.

`value` is a point; `low` and `high` bound a range, and one of them alone is an open bound. Sizes follow the source:
1 GB is 1024 MB in the cluster study.
"""

import csv
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

FOLDER = Path(__file__).parent
VALUES_CSV, CLAIMS_CSV = "cluster_study.csv", "claims.csv"

Kind = Literal["measured", "computed by the source", "computed here"]


class PublishedError(ValueError):
    """A published table cannot be read; the message names file and line."""


@dataclass(frozen=True)
class Published:
    """One published figure with its place in the source. Exactly a value, or at least one bound."""

    source: str
    place: str
    experiment: str
    engine: str
    platform: str
    workers: str
    data_gb: float | None
    files: int | None
    condition: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    unit: str
    kind: Kind
    note: str


@dataclass(frozen=True)
class Claim:
    """One finding the source puts in words, and how rows of ours could test it."""

    source: str
    place: str
    experiment: str
    claim: str
    testable_as: str


@functools.cache
def values(path: Path = FOLDER / VALUES_CSV) -> tuple[Published, ...]:
    """All published values of one table. Raises PublishedError."""
    with path.open(newline="") as lines:
        return tuple(_value(row, f"{path.name}:{number}") for number, row in enumerate(csv.DictReader(lines), start=2))


@functools.cache
def claims(path: Path = FOLDER / CLAIMS_CSV) -> tuple[Claim, ...]:
    """All claims of one table."""
    with path.open(newline="") as lines:
        return tuple(Claim(**row) for row in csv.DictReader(lines))


def _value(row: dict[str, str], where: str) -> Published:
    try:
        value, low, high = (_number(row[name]) for name in ("value", "low", "high"))
        kind = next(kind for kind in get_args(Kind) if kind == row["kind"])
        published = Published(
            **{name: row[name] for name in ("source", "place", "experiment", "engine", "platform", "workers")},
            **{name: row[name] for name in ("condition", "metric", "unit", "note")},
            data_gb=_number(row["data_gb"]),
            files=int(row["files"]) if row["files"] else None,
            value=value,
            low=low,
            high=high,
            kind=kind,
        )
    except (KeyError, ValueError, StopIteration) as error:
        raise PublishedError(f"{where}: found {error}, wanted the columns and kinds of catalog.published") from None
    if not published.source or not published.place:
        raise PublishedError(f"{where}: found no source or no place, wanted both, or it is no published figure")
    if (value is None) == (low is None and high is None):
        raise PublishedError(f"{where}: found value {value}, low {low}, high {high}, wanted a value or bounds")
    return published


def _number(text: str) -> float | None:
    return float(text) if text else None
