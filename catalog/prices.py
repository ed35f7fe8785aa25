"""Dated prices from `prices.csv`: one row per provider, region, item, tier and date on which the price became known.

An item without a price is an error, never zero. Several dates stand side by side, so that old rows can be priced again.
"""

import csv
import difflib
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

PRICES_CSV = Path(__file__).with_name("prices.csv")
ANY_REGION = "*"
STALE_AFTER_DAYS = 180

_MULTIPLES = {"": 1, "1000 ": 1_000, "1M ": 1_000_000}
# Unit as printed by the source: the unit we calculate in, and what turns a price per theirs into one per ours.
_UNITS = {
    "hour": ("h", 1),
    "second": ("h", 3600),
    "request": ("request", 1),
    "job": ("job", 1),
    "GB": ("GB", 1),
    "GB-s": ("GB-s", 1),
    "GHz-s": ("GHz-s", 1),
    "GB-month": ("GB-month", 1),
    "IOPS-month": ("IOPS-month", 1),
    "MBps-month": ("MBps-month", 1),
    "GB-hour": ("GB-h", 1),
    "vCPU-hour": ("vCPU-h", 1),
}


class PriceError(ValueError):
    """The price table cannot be read, or is asked for something it cannot give."""


class PriceMissing(PriceError):
    """No price of this item in this region on this date. Never read as zero."""


class UnknownRegion(PriceError):
    """No row of the table names this region."""


@dataclass(frozen=True)
class Price:
    """USD for one `unit` of `item`, for the part of a month's quantity above `above` (0 for the first tier)."""

    provider: str
    region: str
    item: str
    unit: str
    usd: Decimal
    low_usd: Decimal | None
    """Lower end where the source gives a range (spot: the cheapest zone); `usd` is then the upper end."""
    above: Decimal
    valid_on: date
    checked_on: date
    source: str
    note: str = ""


class PriceTable:
    """All rows of one file. Without `on`, the newest price known; with it, the newest that was valid on that day."""

    def __init__(self, prices: Iterable[Price]):
        self.prices = tuple(prices)
        self._by_item: dict[tuple[str, str, str], list[Price]] = {}
        for price in self.prices:
            self._by_item.setdefault((price.provider, price.region, price.item), []).append(price)
        self._regions = {p.provider: {q.region for q in self.prices if q.provider == p.provider} for p in self.prices}

    def tiers(self, item: str, region: str, on: date | None = None, provider: str = "AWS") -> tuple[Price, ...]:
        """All tiers of one item, lowest first. Raises UnknownRegion, or PriceMissing naming item, region and date."""
        regions = self._regions.get(provider, set())
        if region not in regions and regions != {ANY_REGION}:
            near = difflib.get_close_matches(region, regions - {ANY_REGION}, n=1, cutoff=0.0)
            known = ", ".join(sorted(regions - {ANY_REGION})) or "none"
            hint = f"the nearest known is {near[0]!r} " if near else ""
            raise UnknownRegion(f"{provider} region {region!r} has no prices; {hint}(known: {known}); run make prices")
        rows = self._by_item.get((provider, region, item)) or self._by_item.get((provider, ANY_REGION, item)) or []
        valid = [row for row in rows if on is None or row.valid_on <= on]
        if not valid:
            raise PriceMissing(self._explain_missing(item, region, on, provider, rows))
        newest = max(row.valid_on for row in valid)
        return tuple(sorted((row for row in valid if row.valid_on == newest), key=lambda row: row.above))

    def regions(self, provider: str = "AWS") -> list[str]:
        """Regions of which any price is known."""
        return sorted(self._regions.get(provider, set()) - {ANY_REGION})

    def price(self, item: str, region: str, on: date | None = None, provider: str = "AWS") -> Price:
        """The first tier of one item. Raises as `tiers`."""
        return self.tiers(item, region, on, provider)[0]

    def _explain_missing(self, item: str, region: str, on: date | None, provider: str, rows: list[Price]) -> str:
        where = f"no {provider} price of {item!r} in {region}"
        if rows:
            first = min(row.valid_on for row in rows)
            return f"{where} on {on}; the earliest known is of {first}: ask for a later date"
        priced = {name for found, reach, name in self._by_item if found == provider and reach in (region, ANY_REGION)}
        near = difflib.get_close_matches(item, priced, n=1, cutoff=0.5)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        return f"{where}{hint}; add a row with its source to catalog/prices.csv, or run make prices"


@dataclass(frozen=True)
class PriceSet:
    """One date's prices among those used, and how old the last check of the oldest of them is."""

    valid_on: date
    items: tuple[str, ...]
    checked_on: date
    age_days: int

    @property
    def stale(self) -> bool:
        return self.age_days > STALE_AFTER_DAYS


def price_sets(prices: Iterable[Price], today: date) -> list[PriceSet]:
    """What to print beside any amount of money: the price sets used, newest first, with their age."""
    by_date: dict[date, list[Price]] = {}
    for price in prices:
        by_date.setdefault(price.valid_on, []).append(price)
    return [
        PriceSet(
            valid_on,
            tuple(sorted({f"{row.item} ({row.region})" for row in rows})),
            checked := min(row.checked_on for row in rows),
            (today - checked).days,
        )
        for valid_on, rows in sorted(by_date.items(), reverse=True)
    ]


def warnings(sets: Iterable[PriceSet]) -> list[str]:
    """One line for every price set that nobody checked for more than STALE_AFTER_DAYS."""
    return [
        f"prices of {found.valid_on} were last checked {found.age_days} days ago, on {found.checked_on} "
        f"({', '.join(found.items)}): run make prices"
        for found in sets
        if found.stale
    ]


def read(path: Path) -> PriceTable:
    """Read a price file. Raises PriceError naming file, line and column of the first cell that cannot be read."""
    with path.open(newline="") as lines:
        rows = [_parse(row, f"{path.name} line {number}") for number, row in enumerate(csv.DictReader(lines), start=2)]
    seen: set[tuple[object, ...]] = set()
    for row in rows:
        key = (row.provider, row.region, row.item, row.valid_on, row.above)
        if key in seen:
            raise PriceError(f"{path.name}: two prices of {row.item!r} in {row.region} on {row.valid_on}; keep one")
        seen.add(key)
    return PriceTable(rows)


def table() -> PriceTable:
    """The table of this repository, with what is `assumed` around the call."""
    return _assumed.get() or _own()


@contextmanager
def assumed(prices: Mapping[str, Decimal]) -> Iterator[None]:
    """What if an item cost so much per its unit, in every region and at any date. Raises PriceMissing for another."""
    rows = table().prices
    for item, usd in prices.items():
        known = [row for row in rows if row.item == item and row.provider == "AWS"]
        if not known:
            near = difflib.get_close_matches(item, {row.item for row in rows}, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise PriceMissing(f"no AWS price of {item!r} to replace by {usd} USD{hint}")
        news = {
            row.region: replace(row, usd=usd, low_usd=None, above=Decimal(0), valid_on=date.min, source="assumed")
            for row in known
        }
        rows = (*(row for row in rows if row not in known), *news.values())
    before = _assumed.set(PriceTable(rows))
    try:
        yield
    finally:
        _assumed.reset(before)


_assumed: ContextVar[PriceTable | None] = ContextVar("assumed", default=None)


@functools.cache
def _own() -> PriceTable:
    return read(PRICES_CSV)


def normalise(usd: Decimal, unit: str) -> tuple[Decimal, str]:
    """Turn a price as printed (USD per `1M requests`, `hour`, ...) into USD per one of our units, and that unit."""
    match = re.fullmatch(r"(1000 |1M )?(.+?)", unit)
    multiple, word = (match[1] or "", match[2]) if match else ("", unit)
    word = word.removesuffix("s") if word.endswith("requests") else word
    if word not in _UNITS:
        raise PriceError(f"unit {unit!r} is not known; wanted one of {', '.join(_UNITS)}, with 1000 or 1M before it")
    ours, factor = _UNITS[word]
    return usd * factor / _MULTIPLES[multiple], ours


def _parse(row: dict[str, str], where: str) -> Price:
    column = ""
    try:
        column = "unit"
        usd, unit = normalise(_usd(row["usd"]), row["unit"])
        column = "usd"
        low = normalise(_usd(row["low_usd"]), row["unit"])[0] if row["low_usd"] else None
        above = Decimal(row["above"])
        column = "valid_on or checked_on"
        valid_on, checked_on = date.fromisoformat(row["valid_on"]), date.fromisoformat(row["checked_on"])
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise PriceError(f"{where}, {column}: {error}; found {row}") from None
    if not row["source"]:
        raise PriceError(f"{where}: {row['item']!r} has no source; say where the price was read")
    provider, region, item = row["provider"], row["region"], row["item"]
    return Price(provider, region, item, unit, usd, low, above, valid_on, checked_on, row["source"], row["note"])


def _usd(text: str) -> Decimal:
    usd = Decimal(text)
    if not usd.is_finite() or usd < 0:
        raise ValueError(f"{text!r} is not a price")
    return usd
