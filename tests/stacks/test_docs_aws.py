"""The costs that docs/aws.md states are those that the stack files come to."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from plan.cost import hourly, per_platform, worst_until_expiry
from plan.settings import load

ROOT = Path(__file__).parents[2]


def _rows() -> list[tuple[str, list[str]]]:
    table = (ROOT / "docs/aws.md").read_text().split("## What it costs per hour")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| ")][
        1:
    ]
    found: list[tuple[str, list[str]]] = []
    for name, *cells in rows:
        first, *variants = name.split(" / ")
        for index, variant in enumerate([first, *(f"bench-128-{rest}" for rest in variants)]):
            found.append((variant, [cell.split(" / ")[min(index, cell.count(" / "))] for cell in cells]))
    return found


@pytest.mark.parametrize(("stack", "cells"), _rows())
def test_stated_costs(stack: str, cells: list[str]) -> None:
    settings = load(stack, ROOT)
    usd = per_platform(hourly(settings))
    clusters = {f"{usd[name]:.2f}" for name in settings.clusters} or {""}
    assert clusters == {re.sub(r"^up to ", "", cells[0])}
    assert cells[1] == (f"{usd['functions']:.2f}" if settings.functions else "")
    assert cells[2] == f"{sum((usd.get(host, Decimal(0)) for host in ('cache', 'driver')), Decimal(0)):.2f}"
    assert cells[3] == f"{worst_until_expiry(settings):.2f}"
