"""Compare the rows of two commits, files or folders: `python -m bench.compare A B`.

A and B are each a file or folder of rows, or the beginning of a commit whose rows are in --results.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from rich.table import Table

from bench import stats
from bench.report.data import counts, group_of, overhead_of
from bench.stored import Loaded, Sourced, load, sample, told
from plan.faults import reported
from plan.narrow import Fitted
from plan.quantity_option import Quantity
from plan.stack_option import StackName

OVERHEAD = "harness overhead"


class Key(NamedTuple):
    """What two samples must share to be compared; the run and the commit are what may differ."""

    stack: str
    workload: str
    label: str
    reader: str
    condition: str
    dataset: str


@dataclass(frozen=True)
class Compared:
    """One line of the answer; `comparison` is None where only one side has samples."""

    key: Key
    base_n: int
    other_n: int
    comparison: stats.Comparison | None


class Missing(ValueError):
    """A side has no rows; the message says what was looked for and what there is."""


def pick(side: str, results: Path, stack: str | None = None) -> Loaded:
    """Rows of one side: of a path that exists, else of the commits in `results` that begin with `side`."""
    if Path(side).exists():
        loaded = load([Path(side)], stack)
    else:
        all_rows = load([results], stack) if results.exists() else Loaded([], [])
        loaded = Loaded([s for s in all_rows.rows if (s.row.commit or "").startswith(side)], all_rows.unreadable)
        if not loaded.rows:
            known = sorted({s.row.commit[:10] for s in all_rows.rows if s.row.commit})
            there = ", ".join(known) or "none"
            raise Missing(f"found no file, folder or commit {side!r}; commits with rows in {results}: {there}")
    if not loaded.rows:
        raise Missing(f"{side}: found no readable row ({len(loaded.unreadable)} lines skipped), wanted rows of a run")
    return loaded


def compare(base: Iterable[Sourced], other: Iterable[Sourced], min_size: float = stats.MIN_SIZE) -> list[Compared]:
    """Every combination that either side has, in the order of the base; only samples that count are compared."""
    left, right = _samples(base), _samples(other)
    return [
        Compared(
            key,
            len(left.get(key, [])),
            len(right.get(key, [])),
            stats.compare(left[key], right[key], min_size) if key in left and key in right else None,
        )
        for key in dict.fromkeys([*left, *right])
    ]


def overheads(found: Iterable[Sourced]) -> list[float]:
    """Share of each counted sample's wall time that the harness took, 0 to 1."""
    return [share for s in found if (share := overhead_of(s.row)) is not None]


def _samples(found: Iterable[Sourced]) -> dict[Key, list[float]]:
    samples: dict[Key, list[float]] = defaultdict(list)
    for sourced in found:
        if counts(sourced.row):
            group = group_of(sourced)
            samples[Key(*(getattr(group, name) for name in Key._fields))].append(float(sourced.row.value or 0))
    return samples


def _table(base: str, other: str, results: list[Compared]) -> Table:
    table = Table(title=f"{other} against {base}: ratio of medians, above 1 is slower", title_justify="left")
    for heading in ("workload", "data", "engine", "reader", "condition"):
        table.add_column(heading)
    for heading in ("base", "other", "ratio", "95 % interval"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for result in results:
        key, found = result.key, result.comparison
        cells = [key.workload, key.dataset, key.label, key.reader, key.condition]
        if found is None:
            side = "base" if result.base_n else "other"
            cells += ["-", "-", "-", "-", f"only {side} has samples ({result.base_n or result.other_n})"]
        else:
            interval = "-" if found.low is None else f"{found.low:.2f} to {found.high:.2f}"
            few = f" ({result.base_n} and {result.other_n} of {stats.MIN_SAMPLES})" * (found.verdict == "too few")
            cells += [f"{found.base.median:.3f} s", f"{found.other.median:.3f} s", f"{found.ratio:.2f}", interval]
            cells.append(found.verdict + few)
        table.add_row(*cells)
    return table


@click.command(epilog="Example: python -m bench.compare 3f2a91c 8d0be44 --fail-on-slower")
@click.argument("base")
@click.argument("other")
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"), help="where commits' rows are")
@click.option("--stack", type=StackName(), help="only rows of this stack")
@click.option(
    "--min-size",
    type=Quantity(min=0, max=10),
    default=stats.MIN_SIZE,
    show_default=True,
    help="least share that counts",
)
@click.option("--fail-on-slower", is_flag=True, help="exit 1 if anything is slower, for checks that must stop")
def main(base: str, other: str, *, results: Path, stack: str | None, min_size: float, fail_on_slower: bool) -> None:
    """Compare the rows of BASE and OTHER: each a file or folder of rows, or the beginning of a commit."""
    console = Console(width=None if Console().is_terminal else 200)
    try:
        sides = {name: pick(name, results, stack) for name in dict.fromkeys((base, other))}
    except Missing as error:
        raise click.ClickException(str(error)) from None
    compared = compare(sides[base].rows, sides[other].rows, min_size)
    console.print(Fitted(_table(base, other, compared), lead=5))
    for name, side in sides.items():
        if shares := overheads(side.rows):
            median = stats.estimate(shares).median
            share = f"{median:.2%} of the wall time is outside every span (n={len(shares)})"
            console.print(f"{OVERHEAD}, {name}: {share}")
        else:
            console.print(f"{OVERHEAD}, {name}: unknown, no row has spans")
    if shared := len({sample(s.row) for s in sides[base].rows} & {sample(s.row) for s in sides[other].rows}):
        console.print(f"{shared} rows are on both sides: of these samples the comparison says nothing")
    for line in told(list(dict.fromkeys(line for side in sides.values() for line in side.unreadable))):
        console.print(line, markup=False)
    slower = [c.key for c in compared if c.comparison and c.comparison.verdict == "slower"]
    if slower and fail_on_slower:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    with reported():
        main()
