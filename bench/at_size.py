"""Measured runs of several sizes brought to one: a run has a part that does not grow with its work and one that does.

A rate that is taken from runs of 100 and of 1000 images together is that of neither. Between two sizes that were
measured the time is read off the line through both medians; beyond them, off the line through all.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from bench.rows import Row

NEAR = 0.02
"""Sizes that differ by less than this share are one."""


def size_of(row: Row) -> float:
    """Images of a palette, else bytes of data; 0 where a row tells none."""
    if row.data is None:
        return 0.0
    return float((row.data.rows if row.workload == "palette" else row.data.size_bytes) or 0)


def at_size(rows: Iterable[Row], wanted: float) -> list[Row]:
    """Timed runs that count, as they would have been of the size `wanted`; other rows as they are.

    Of each engine, platform and condition those of the nearest size stay, lengthened to the time that the sizes say.
    """
    groups: dict[tuple[str, str, str], dict[float, list[Row]]] = defaultdict(lambda: defaultdict(list))
    found = []
    for row in rows:
        if row.metric == "run_s" and row.status == "ok" and size_of(row) and row.value:
            groups[row.label, row.platform, row.condition][size_of(row)].append(row)
        else:
            found.append(row)
    for sizes in groups.values():
        medians = {size: statistics.median(row.value or 0.0 for row in of) for size, of in sizes.items()}
        near = min(sizes, key=lambda size: abs(np.log(size / wanted)))
        factor = time_at(list(medians.items()), wanted) / medians[near]
        found += [_scaled(row, factor, wanted / near) for row in sizes[near]]
    return found


def time_at(measured: Sequence[tuple[float, float]], wanted: float) -> float:
    """Seconds of a run of the size `wanted`, from (size, seconds); of one size alone in proportion to the work."""
    near, near_s = min(measured, key=lambda one: abs(np.log(one[0] / wanted)))
    if abs(near / wanted - 1) < NEAR:
        return near_s
    if len(measured) == 1:
        return near_s * wanted / near
    sizes, seconds = np.array(sorted(measured)).T
    if sizes[0] <= wanted <= sizes[-1]:
        return float(np.interp(wanted, sizes, seconds))
    each_s, fixed_s = np.polyfit(sizes, seconds, 1)
    if each_s <= 0 or fixed_s < 0:  # noise: a larger run that took no longer, or one that got dearer by the unit
        return near_s * max(wanted / near, 1.0) if each_s <= 0 else near_s * wanted / near
    return float(fixed_s + each_s * wanted)


def _scaled(row: Row, factor: float, growth: float) -> Row:
    """A run that took `factor` times as long with `growth` times the work."""
    assert row.data
    data = row.data.model_copy(
        update={
            "size_bytes": round(row.data.size_bytes * growth),
            "rows": row.data.rows and round(row.data.rows * growth),
        }
    )
    phases = {name: seconds * factor for name, seconds in row.phases.items()}
    return row.model_copy(update={"value": (row.value or 0.0) * factor, "phases": phases, "data": data})
