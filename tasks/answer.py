"""The ingestion query and its answer: exact, mergeable in any order, equal on every engine."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

# Above this a float64 no longer holds every integer, so a decimal read through one could be off by a unit.
_EXACT_INTEGERS = 2**53


@dataclass(frozen=True)
class Query:
    """Keep the rows whose `column` is greater than `above`, in units of 10**-decimals; None keeps all that have one."""

    column: str = "ss_net_profit"
    above: int | None = 500_000
    largest: int = 10
    decimals: int = 2


@dataclass(frozen=True)
class Answer:
    """rows: records read, nulls included. kept: rows that pass. total and largest: in units of 10**-decimals."""

    rows: int = 0
    kept: int = 0
    total: int = 0
    largest: tuple[int, ...] = ()

    def checksum(self) -> str:
        """SHA-256 of the canonical JSON form, 64 hexadecimal digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def exact_units(values: np.ndarray, decimals: int) -> np.ndarray:
    """Turn float64 decimals (NaN for null already dropped) into int64 units of 10**-decimals.

    Raises ValueError for a value that is not finite, has more decimals, or is too large to be exact in a float64.
    """
    scaled = values * 10**decimals
    units = np.rint(scaled)
    # A decimal of that many places sits within a few ulp of an integer after scaling; a further digit is off by 0.1.
    wrong = ~np.isfinite(scaled) | (np.abs(units) >= _EXACT_INTEGERS) | (np.abs(scaled - units) > 0.01)
    if wrong.any():
        found = values[wrong][0]
        raise ValueError(
            f"found {found!r}, wanted a finite number with at most {decimals} decimals and under "
            f"{_EXACT_INTEGERS / 10**decimals:.0f}; a column with more decimals needs --decimals"
        )
    return units.astype(np.int64)


def answer_of(units: np.ndarray, rows: int, query: Query) -> Answer:
    """The answer for one piece: `units` are the non-null values of the column (int64), `rows` counts nulls too."""
    kept = units if query.above is None else units[units > query.above]
    largest = kept if len(kept) <= query.largest else np.partition(kept, -query.largest)[-query.largest :]
    # Split in halves of 32 bits: a sum of int64 can pass 2**63, Python integers cannot.
    total = (int((kept >> 32).sum()) << 32) + int((kept & 0xFFFFFFFF).sum())
    return Answer(rows, len(kept), total, tuple(sorted((int(v) for v in largest), reverse=True)))


def merge(answers: Iterable[Answer], query: Query) -> Answer:
    """Combine the answers of disjoint pieces; the order of the pieces does not matter."""
    rows = kept = total = 0
    largest: list[int] = []
    for part in answers:
        rows, kept, total = rows + part.rows, kept + part.kept, total + part.total
        largest = sorted([*largest, *part.largest], reverse=True)[: query.largest]
    return Answer(rows, kept, total, tuple(largest))
