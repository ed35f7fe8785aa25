"""Options that are refused in one line: a quantity that is none, a file that cannot be written."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bench import calibrate, compare
from bench.breakeven import __main__ as breakeven
from bench.report import __main__ as report
from plan.output_option import OutputFile
from plan.quantity_option import GIGABYTES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "0", "-1", "1e10", "much"])
def test_a_quantity_is_finite_and_within_its_bounds(value: str) -> None:
    with pytest.raises(click.BadParameter):
        GIGABYTES.convert(value, None, None)
    assert GIGABYTES.convert("0.4", None, None) == 0.4


def test_a_file_to_be_written_is_checked_before_any_work(tmp_path: Path) -> None:
    assert OutputFile((".html",)).convert(tmp_path / "a.html", None, None) == tmp_path / "a.html"
    for path, said in ((tmp_path, "found the folder"), (tmp_path / "no" / "a", "found no folder")):
        with pytest.raises(click.BadParameter, match=said):
            OutputFile().convert(path, None, None)


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        (report.main, ["--out", "/nowhere/r.html"], "found no folder '/nowhere'"),
        (breakeven.main, ["--out", "chart.txt"], "wanted a name that ends in .html, .png, .svg"),
        (calibrate.main, ["--rows", "benchmarks/rows", "--out", "."], "found the folder '.'"),
        (calibrate.main, ["--rows", "benchmarks/rows", "--stack", "nosuch"], "found no Pulumi.nosuch.yaml"),
        (compare.main, ["a", "b", "--min-size", "nan"], "nan is not a number"),
    ],
)
def test_commands_refuse_what_they_cannot_do_in_one_line(
    command: Any, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(command, arguments)
    assert isinstance(done.exception, SystemExit)
    (line,) = [line for line in done.output.splitlines() if line.startswith("Error: ")]
    assert said in line
