"""Rows read as one set: what is no row, or no sample of its own, is skipped with its file and line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import calibrate, compare
from bench.breakeven import __main__ as breakeven_command
from bench.report import __main__ as report_command
from bench.stored import load, stored, told

ROW: dict[str, Any] = {
    "schema_version": 1, "run_id": "r1", "at": "2026-11-20T09:00:00+00:00", "stack": "dev", "platform": "local",
    "workload": "ingest", "engine": "ray", "label": "ray", "condition": "warm", "repeat": 0, "value": 2.0,
    "data": {"uri": "s3://data/x", "files": 1, "size_bytes": 2**30}, "parameters": {"images": 3},
}  # fmt: skip


def lines(path: Path, *found: str) -> Path:
    path.write_text("\n".join(found) + "\n")
    return path


def changed(**fields: Any) -> str:
    return json.dumps(ROW | fields)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (changed(value=float("nan")), "value: "),
        (changed(value=float("inf")), "value: "),
        (changed(value=10**400), "value: "),
        (changed(value=1e300), "value: "),
        (changed(value=0), "wanted seconds above 0"),
        (changed(value=None), "wanted seconds above 0"),
        (changed(value="2.0"), "value: "),
        (changed(repeat=True), "repeat: "),
        (changed(at="yesterday"), "at: "),
        (changed(at="2026-11-20T09:00:00"), "without its zone"),
        (changed(at="9999-12-31T23:59:59-14:00"), "between the years 1970 and 2200"),
        (changed(schema_version=2), "found schema_version 2, wanted 1"),
        (changed(schema_version=True), "found schema_version True, wanted 1"),
        (json.dumps({name: value for name, value in ROW.items() if name != "schema_version"}), "schema_version None"),
        (changed(parameters={"images": "many"}), "found images 'many', wanted a number"),
        (changed(parameters={"up_at": -1.0}), "found up_at -1.0, wanted a number"),
        (changed(data={"uri": "", "files": 1, "size_bytes": 10**400}), "data.size_bytes: "),
        (changed(billed={"worker_s": -1.0}), "billed.worker_s: "),
        (changed()[:-1] + ', "value": 1.0}', "found 'value' twice"),
        (changed()[:40], "Unterminated string"),
        ("[1]", "no row"),
        ("[" * 100_000, "no row"),
        ("\x00\x01", "Expecting value"),
    ],
)
def test_a_line_that_is_no_row_is_skipped_with_its_place_and_the_rest_is_read(
    tmp_path: Path, line: str, reason: str
) -> None:
    found = load([lines(tmp_path / "rows.jsonl", changed(repeat=1), line, changed(repeat=2))])
    assert [s.row.repeat for s in found.rows] == [1, 2]
    (skipped,) = found.unreadable
    assert str(skipped).startswith("rows.jsonl:2: ")
    assert reason in skipped.reason


@pytest.mark.parametrize(
    ("second", "counts"),
    [
        ({}, False),
        ({"at": "2026-11-20T10:00:00+00:00", "value": 3.0}, False),  # the number of a sample is taken once
        ({"repeat": 1}, True),
        ({"label": "ray#2"}, True),
        ({"condition": "cold"}, True),
        ({"run_id": "r2"}, True),
        ({"reader": "native"}, True),
        ({"metric": "startup_s"}, True),
        ({"status": "failed", "value": None}, True),  # interrupted between two samples: it has no number of its own
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_a_sample_counts_once(tmp_path: Path, second: dict[str, Any], counts: bool, apart: bool) -> None:
    if apart:
        lines(tmp_path / "a.jsonl", changed())
        lines(tmp_path / "b.jsonl", changed(**second))
    else:
        lines(tmp_path / "a.jsonl", changed(), changed(**second))
    found = load([tmp_path])
    assert len(found.rows) == 1 + counts
    assert [one.reason for one in found.unreadable] == [
        "the same sample as a.jsonl:1, which counts once" for _ in range(not counts)
    ]


def test_steps_of_one_sample_are_not_taken_for_copies(tmp_path: Path) -> None:
    counts = {"wanted": 1, "busy": 0, "done": 0}
    steps = [changed(metric="workers_at", parameters={"at_s": at} | counts) for at in (0.0, 0.5)]
    assert len(load([lines(tmp_path / "a.jsonl", *steps, *steps)]).rows) == 2


def test_instants_of_other_zones_are_sorted_by_time(tmp_path: Path) -> None:
    early = changed(repeat=1, at="2026-11-20T10:30:00+02:00")
    assert [s.row.repeat for s in load([lines(tmp_path / "a.jsonl", changed(), early)]).rows] == [1, 0]


def test_a_file_that_cannot_be_read_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    lines(tmp_path / "rows.jsonl", changed())
    found = load([tmp_path])
    assert len(found.rows) == 1
    assert {one.path for one in found.unreadable} == {"folder.jsonl", "gone.jsonl"}


def test_many_skipped_lines_are_counted(tmp_path: Path) -> None:
    lines(tmp_path / "rows.jsonl", *["{}"] * 12)
    said = list(told(load([tmp_path]).unreadable))
    assert said[0].startswith("skipped: rows.jsonl:1: ")
    assert said[-1] == "skipped: 2 more lines; the report lists all under Evidence"


def test_earlier_rows_that_are_skipped_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines(tmp_path / "rows.jsonl", changed(), "{}")
    assert len(stored(tmp_path)) == 1
    assert "skipped: rows.jsonl:2: found schema_version None" in capsys.readouterr().err
    assert stored(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (report_command.main, lambda at: ["--results", at, "--out", f"{at}/r.html"]),
        (breakeven_command.main, lambda at: ["--rows", at]),
        (compare.main, lambda at: [at, at]),
        (calibrate.main, lambda at: ["--rows", at]),
    ],
)
def test_every_reader_of_rows_names_what_it_skips(
    tmp_path: Path, command: Any, arguments: Callable[[str], list[str]]
) -> None:
    lines(tmp_path / "rows.jsonl", changed(), "{}", changed())
    done = CliRunner().invoke(command, arguments(str(tmp_path)))
    assert "skipped: rows.jsonl:2: found schema_version None" in done.output
    assert "skipped: rows.jsonl:3: the same sample as rows.jsonl:1" in done.output
