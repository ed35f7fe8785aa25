"""Guards: an estimate that needs a driver host, and a driver host that does not know what was spent."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bench import budget, options
from plan.outputs import Outputs


@click.command()
@options.run_options
def workload(**asked: Any) -> None:
    """A workload that says what reached it."""
    click.echo(f"{asked['estimate']} {click.get_current_context().meta[budget.SPENT]}")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would run on the driver host of a stack that has one: AWS is not to be had here."""
    out = Outputs(stack="bench-128", program="bench", region="us-east-1", worker_memory_mib=4096, worker_vcpu=1)
    there: list[list[str]] = []
    monkeypatch.setattr(options.around, "elsewhere", lambda name: out)
    monkeypatch.setattr(options.budget, "of_stack", lambda outputs, results: 12.5)
    monkeypatch.setattr(options.remote, "workload", lambda root: ["workloads/ingest.py"])

    def run(outputs: Outputs, arguments: list[str], results: Path, root: Path) -> int:
        there.append(arguments)
        return 0

    monkeypatch.setattr(options.remote, "run", run)
    return there


def test_a_driver_host_is_told_what_earlier_runs_cost(sent: list[list[str]]) -> None:
    assert CliRunner().invoke(workload, ["--stack", "bench-128"]).exit_code == 0
    assert sent[0][-2:] == ["--spent", "12.500000"]
    there = CliRunner().invoke(workload, [*sent[0][1:], "--stack", "bench-128"])
    assert there.output == "False 12.5\n"


def test_an_estimate_is_made_here(sent: list[list[str]]) -> None:
    assert CliRunner().invoke(workload, ["--stack", "bench-128", "--estimate"]).output == "True 0.0\n"
    assert not sent
