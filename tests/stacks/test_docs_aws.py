"""The costs that docs/aws.md states are those that the stack files come to."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from plan.cost import SHARED, hourly, per_platform, worst_until_expiry
from plan.settings import Settings, load
from plan.sizing import concurrency_needed, vcpu_needed

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


@pytest.mark.parametrize("stack", ["bench-32", "k8s-32"])
def test_the_first_run_states_what_the_plan_says(stack: str) -> None:
    text = (ROOT / "docs/first-run.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith(f"| {stack} |"))
    settings, usd = load(stack, ROOT), per_platform(hourly(load(stack, ROOT)))
    shared = sum((usd.get(part, Decimal(0)) for part in SHARED), Decimal(0))
    clusters = {f"{usd[name]:.2f}" for name in settings.clusters if name in usd} or {""}
    cells = [cell.strip() for cell in row.split("|")[2:-1]]
    functions = f"{usd['functions']:.2f}" if settings.functions else ""
    assert cells == [f"{shared:.2f}", *clusters, functions, f"{worst_until_expiry(settings):.2f}"]
    assert _quotas(settings) <= _figures(text.split("quotas to have")[1].split("- Proves")[0])


def test_the_quotas_stated_are_those_of_the_plan() -> None:
    assert _quotas(load("bench-128", ROOT)) <= _figures((ROOT / "docs/aws.md").read_text().split("## Quotas")[1][:400])


def _quotas(settings: Settings) -> set[str]:
    functions = settings.functions
    return {str(vcpu_needed(settings)), *([str(concurrency_needed(functions.max_workers))] if functions else [])}


def _figures(text: str) -> set[str]:
    return set(re.findall(r"[0-9]+", text))
