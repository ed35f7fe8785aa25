"""The stack on paper."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from plan.__main__ import main
from plan.dry_run import dry_run, render
from plan.person import Person
from plan.rules import check_settings
from plan.settings import Settings, load

ROOT = Path(__file__).parents[2]
STACKS = sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in ROOT.glob("Pulumi.*.yaml"))
Changed = Callable[[str, dict[str, Any]], Settings]


def shown(settings: Settings, person: Person | None = None, width: int = 80) -> str:
    text = StringIO()
    Console(width=width, file=text).print(render(dry_run(settings, person)), soft_wrap=True)
    return text.getvalue()


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_fits_eighty_columns_uncut(stack: str, generous: Person) -> None:
    text = shown(load(stack, ROOT), generous)
    table = [
        line for line in text.splitlines() if not re.match(r"(memory|note|refused|declared|quotas.*|not judged):", line)
    ]
    assert all(len(line) <= 80 for line in table)
    assert "…" not in text


@pytest.mark.parametrize("width", [70, 60, 40])
def test_no_figure_is_cut_on_a_narrow_terminal(width: int, generous: Person) -> None:
    text = shown(load("bench-128", ROOT), generous, width)
    assert "…" not in text
    for figure in ("USD/h 30.72", "limit MiB 3586", "nodes x slots 64 x 2", "workers 128"):
        assert figure in text


def test_the_quotas_to_ask_for_are_named(generous: Person) -> None:
    text = shown(load("bench-128", ROOT), generous)
    assert "132 vCPU of running On-Demand Standard instances, 130 concurrent Lambda executions, 4096 MB" in text
    assert "Lambda" not in shown(load("k8s-32", ROOT), generous)


@pytest.mark.parametrize("stack", ["bench-32", "bench-128", "autoscale", "multiprocessing"])
def test_the_quotas_that_are_named_suffice_and_are_needed(stack: str, generous: Person) -> None:
    settings = load(stack, ROOT)
    line = next(line for line in shown(settings, generous).splitlines() if line.startswith("quotas to have"))
    vcpu, concurrency, memory = (int(figure) for figure in re.findall(r"[0-9]+", line))
    exact = replace(generous, vcpu_quota=vcpu, lambda_concurrency=concurrency, lambda_memory_mib=memory)
    assert check_settings(settings, exact) == []
    for less in ({"vcpu_quota": vcpu - 1}, {"lambda_concurrency": concurrency - 1}, {"lambda_memory_mib": memory - 1}):
        assert [violation.rule for violation in check_settings(settings, replace(exact, **less))] == ["quota"]


def test_a_wrong_value_of_a_persons_is_an_error_and_not_unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("BREAKEVEN_VCPU_QUOTA", "many")
    result = CliRunner().invoke(main, ["--stack", "bench-32"])
    assert result.exit_code == 1
    assert "Error: found vcpuQuota 'many'" in result.output
    assert result.output.count("\n") == 1


def test_what_the_published_shape_is_and_costs(generous: Person) -> None:
    text = shown(load("bench-128", ROOT), generous)
    for part in (
        "64 x 2",
        "128",
        "4096",
        "3586",
        "nanny",
        "2.32",
        "(7813 - 640 system) / 2 slots = 3586 MiB",
        "driver",
    ):
        assert part in text
    assert "worst cost until expiry after 4 h" in text
    assert "unequal vCPU per worker" in text


def test_without_an_account_it_says_what_was_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for key in ("OWNER", "CLIENT_CIDR", "REGION", "VCPU_QUOTA", "LAMBDA_CONCURRENCY", "LAMBDA_MEMORY_MIB"):
        monkeypatch.delenv(f"BREAKEVEN_{key}", raising=False)
    result = CliRunner().invoke(main, ["--stack", "bench-32"])
    assert result.exit_code == 0, result.output
    assert "not judged: quotas and budget in your region, for want of owner, clientCidr, region" in result.output


def test_a_refused_stack_ends_with_one_and_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "Pulumi.bench-32.yaml").read_text()
    (tmp_path / "Pulumi.bench-32.yaml").write_text(text.replace("m6i.large", "m6i.larg"))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["--stack", "bench-32"])
    assert result.exit_code == 1
    assert "nearest: m6i.large" in result.output


def test_a_region_without_prices_is_refused_and_not_a_traceback(generous: Person) -> None:
    assert "[region-priced]" in shown(load("bench-32", ROOT), replace(generous, region="xx-nowhere-9"))


def test_it_runs_alone_without_the_engines(tmp_path: Path) -> None:
    """Seconds of imports would keep people from looking. What is loaded is judged, not this machine's speed."""
    shutil.copy(ROOT / "Pulumi.bench-32.yaml", tmp_path)
    script = (
        "import sys; sys.argv = ['plan', '--stack', 'bench-32']\n"
        "from plan.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'ray', 'dask', 'lithops', 'pulumi', 'pandas', 'boto3', 'numpy', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
