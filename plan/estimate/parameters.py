"""What the estimate knows of machines and engines: `catalog/parameters.csv`, overlaid with what our own rows say.

A row holds for an engine and a platform, `*` for any; the most specific row wins, and an overlay's over the file's.
"""

import csv
import functools
import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import catalog.prices

PARAMETERS_CSV = Path(catalog.prices.__file__).with_name("parameters.csv")
ANY = "*"
COLUMNS = ("name", "engine", "platform", "value", "low", "high", "unit", "source", "place", "note")


class ParameterMissing(ValueError):
    """The model needs a figure that neither the file nor the overlay has."""


@dataclass(frozen=True)
class Parameter:
    """One figure with the range it may have, and where it was read."""

    name: str
    engine: str
    platform: str
    value: float
    low: float
    high: float
    unit: str
    source: str
    place: str
    note: str = ""


@dataclass(frozen=True)
class Parameters:
    """Parameters by name, engine and platform."""

    rows: tuple[Parameter, ...]

    def overlaid(self, rows: Iterable[Parameter]) -> "Parameters":
        """These parameters with `rows` in place of those of the same name, engine and platform."""
        return Parameters(tuple(Parameters((*self.rows, *rows))._by_key.values()))

    @functools.cached_property
    def _by_key(self) -> dict[tuple[str, str, str], Parameter]:
        return {(row.name, row.engine, row.platform): row for row in self.rows}

    def find(self, name: str, engine: str, platform: str) -> Parameter:
        """The most specific row; engine counts before platform. Raises ParameterMissing."""
        for key in ((engine, platform), (engine, ANY), (ANY, platform), (ANY, ANY)):
            if (row := self._by_key.get((name, *key))) is not None:
                return row
        raise ParameterMissing(
            f"no {name!r} for {engine} on {platform}; measure it (bench.calibrate makes an overlay from rows) "
            "or add a row with its source to catalog/parameters.csv"
        )


class Draws:
    """Values of the parameters of one engine on one platform: the given ones, or one seeded random draw of each.

    A draw depends on the parameter and its number only, so that platforms are compared under the same luck.
    """

    def __init__(self, parameters: Parameters, engine: str, platform: str, draw: int | None = None):
        self.parameters, self.engine, self.platform, self.draw = parameters, engine, platform, draw

    def __getitem__(self, name: str) -> float:
        row = self.parameters.find(name, self.engine, self.platform)
        return row.value if self.draw is None or row.low == row.high else _drawn(row, self.draw)


@functools.lru_cache(maxsize=1 << 16)
def _drawn(row: Parameter, draw: int) -> float:
    seed = [zlib.crc32(f"{row.name} {row.engine} {row.platform}".encode()), draw]
    return float(np.random.default_rng(seed).triangular(row.low, row.value, row.high))


def read(path: Path = PARAMETERS_CSV) -> Parameters:
    """Read a parameter file. Raises ValueError naming file and line of a row unordered, unsourced or unreadable."""
    try:
        with path.open(newline="") as lines:
            found = csv.DictReader(lines)
            return Parameters(tuple(_parse(row, f"{path.name} line {n}") for n, row in enumerate(found, 2)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path}: found no table of parameters ({error}), wanted what bench.calibrate writes"
        ) from None


def write(path: Path, rows: Iterable[Parameter]) -> None:
    """Write an overlay that `read` reads."""
    with path.open("w", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([getattr(row, column) for column in COLUMNS] for row in rows)


def _parse(row: dict[str, str], where: str) -> Parameter:
    if None in row or None in row.values():  # where DictReader puts what is too many or too few
        wanted = f"wanted {len(COLUMNS)}, with text that holds a comma in quotes"
        raise ValueError(f"{where}: found more or fewer columns than the header has, {wanted}")
    try:
        value, low, high = (float(row[column]) for column in ("value", "low", "high"))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}; found {row}") from None
    if not all(map(math.isfinite, (low, value, high))) or low < 0 or (low == 0 and row.get("unit", "").endswith("/s")):
        raise ValueError(
            f"{where}: found low {low}, value {value}, high {high} of {row['name']!r}, wanted finite numbers of at "
            "least 0, and more than 0 of a rate"
        )
    if not low <= value <= high:
        raise ValueError(
            f"{where}: found low {low}, value {value}, high {high} of {row['name']!r}, wanted them in order"
        )
    if not row["source"]:
        raise ValueError(f"{where}: {row['name']!r} has no source; say where the figure was read")
    text = {column: row[column] for column in COLUMNS if column not in ("value", "low", "high")}
    return Parameter(value=value, low=low, high=high, **text)
