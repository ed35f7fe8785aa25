"""Calibration recovers what made the rows, touches nothing else, and the estimate's miss shrinks by it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import catalog.prices
from bench.calibrate import estimate_row, main, misses, overlay
from bench.rows import Data, Row, Workers, append, read
from plan.estimate import estimate
from plan.estimate.parameters import read as read_parameters
from plan.estimate.phases import Work
from plan.settings import load

ROOT = Path(catalog.prices.__file__).parent.parent
SIZE = 400 * 2**20


def row(engine: str, value: float | None, condition: str = "warm", metric: str = "run_s", **fields: object) -> Row:
    given = {
        "workers": Workers(count=2, vcpu=2, declared_mib=4096),
        "data": Data(uri="s3://data/a", files=8, size_bytes=SIZE),
        **fields,
    }
    return Row(
        run_id="r1", at="2026-11-20T09:00:00+00:00", stack="dev", platform="local", workload="ingest", engine=engine,
        label=engine, condition=condition, repeat=0, metric=metric, value=value, **given,
    )  # fmt: skip


ROWS = [
    *(row("ray", s) for s in (9.8, 10.0, 10.2, 10.0, 10.1)),
    *(row("lithops", s) for s in (20.0, 20.5, 19.5, 20.0, 20.2)),
    row("ray", 15.0, "cold"),
    row("ray", 5.0, "none", "startup_s"),
    row("ray", 500.0, status="failed", failure={"kind": "deadline", "message": "late"}),
    row("pandas", 1.0),
]


def test_parameters_are_those_that_made_the_rows() -> None:
    found = {(one.name, one.engine): one for one in overlay(ROWS)}
    assert set(found) == {
        ("read_mb_s", "ray"),
        ("read_mb_s", "lithops"),
        ("first_run_factor", "ray"),
        ("head_start_s", "ray"),
    }
    rate = found["read_mb_s", "ray"]
    assert rate.low <= rate.value <= rate.high
    assert found["first_run_factor", "ray"].value == pytest.approx(1.5)
    assert found["head_start_s", "ray"].value == 5
    assert all(one.platform == "local" and "r1" in one.place for one in found.values())


def test_the_miss_shrinks_to_nothing_on_the_rows_used() -> None:
    settings, own = load("dev", ROOT), read_parameters().overlaid(overlay(ROWS))
    before, after = misses(ROWS, settings), misses(ROWS, settings, own)
    assert [miss.label for miss in after] == ["ray", "lithops"]
    assert all(abs(miss.error) < 0.03 for miss in after)
    assert all(abs(miss.error) > 0.25 for miss in before)


def test_an_estimate_is_kept_as_a_row_beside_the_measured_one() -> None:
    made = estimate(load("dev", ROOT), Work("ingest", gb=SIZE / 2**30))[0]
    kept = estimate_row(ROWS[0], made, 3)
    assert kept.parameters["calibrated_rows"] == 3
    assert (kept.metric, kept.value, kept.condition, kept.run_id) == ("estimate_s", made.run_s.value, "none", "r1")
    assert kept.billed.worker_s == 0


def test_command_writes_an_overlay_and_keeps_estimates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    rows, out = tmp_path / "rows.jsonl", tmp_path / "own.csv"
    for one in ROWS:
        append(rows, one)
    shown = CliRunner().invoke(main, ["--rows", str(rows), "--out", str(out), "--keep"])
    assert shown.exit_code == 0, shown.output
    assert len(read_parameters(out).rows) == 4
    assert sum(one.metric == "estimate_s" for one in read(rows) if isinstance(one, Row)) == 2
