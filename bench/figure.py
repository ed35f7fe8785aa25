"""A figure and its bound, as `benchmarks/` tells it: measured in one run on one machine, met or missed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import machine, stack

FOLDER = Path("benchmarks")


@dataclass(frozen=True)
class Figure:
    """`value` should not exceed `bound`; where `at_least`, not be below it. how: what was measured, in a sentence."""

    name: str
    engine: str
    value: float
    unit: str
    bound: float
    how: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the bound was kept."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def lines(found: Sequence[Figure]) -> list[str]:
    """A Markdown table."""
    table = ["| figure | engine | found | bound | met | how |", "|---|---|---|---|---|---|"]
    for one in found:
        sign, met = "at least" if one.at_least else "at most", "yes" if one.met else "**no**"
        table.append(
            f"| {one.name} | {one.engine} | {one.value:.3g} {one.unit} | {sign} {one.bound:g} | {met} | {one.how} |"
        )
    return table


def head(title: str, command: str) -> list[str]:
    """Title, date, commit, machine, load and command."""
    facts = ", ".join(f"{key} {value}" for key, value in machine.machine().items())
    return [
        f"# {title}\n",
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with commit {machine.commit(stack.ROOT)} on {facts}; load at the "
        f"start {os.getloadavg()[0]:.1f}. Command: `{command}`.",
    ]
