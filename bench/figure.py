"""A figure and its bound, as `benchmarks/` tells it: measured in one run on one machine; met, missed or neither."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import machine, stack, stats

FOLDER = Path("benchmarks")


@dataclass(frozen=True)
class Figure:
    """`value` should not exceed `bound`; where `at_least`, not be below it. how: what was measured, in a sentence.

    low, high: its interval, None under stats.MIN_SAMPLES samples: then nothing is said of the bound.
    """

    name: str
    engine: str
    value: float
    low: float | None
    high: float | None
    unit: str
    bound: float
    how: str
    at_least: bool = False

    @classmethod
    def of(
        cls, name: str, engine: str, samples: Sequence[float], unit: str, bound: float, how: str, at_least: bool = False
    ) -> "Figure":
        """The median of these samples."""
        found = stats.estimate(samples)
        return cls(name, engine, found.median, found.low, found.high, unit, bound, how, at_least)

    @classmethod
    def ratio(
        cls, name: str, engine: str, ours: Sequence[float], reference: Sequence[float], bound: float, how: str
    ) -> "Figure":
        """Of two medians, ours over the reference's."""
        found = stats.compare(reference, ours)
        return cls(name, engine, found.ratio, found.low, found.high, "times", bound, how)

    @property
    def met(self) -> stats.Kept:
        """Whether the bound was kept, as far as the interval tells."""
        return stats.kept(self.low, self.high, self.bound, at_least=self.at_least)


def lines(found: Sequence[Figure]) -> list[str]:
    """A Markdown table."""
    table = ["| figure | engine | found (95 % interval) | bound | met | how |", "|---|---|---|---|---|---|"]
    for one in found:
        sign, met = "at least" if one.at_least else "at most", "**no**" if one.met == "no" else one.met
        spread = f" ({one.low:.3g} to {one.high:.3g})" if one.low is not None else ""
        value = f"{one.value:.3g} {one.unit}{spread}"
        table.append(f"| {one.name} | {one.engine} | {value} | {sign} {one.bound:g} | {met} | {one.how} |")
    return table


def head(title: str, command: str) -> list[str]:
    """Title, date, commit, machine, load and command."""
    facts = ", ".join(f"{key} {value}" for key, value in machine.machine().items())
    return [
        f"# {title}\n",
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with commit {machine.commit(stack.ROOT)} on {facts}; load at the "
        f"start {os.getloadavg()[0]:.1f}. Command: `{command}`.",
    ]
