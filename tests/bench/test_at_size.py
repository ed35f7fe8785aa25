"""Runs of several sizes: an estimate of each size is that of its own rows, and of those between lies between."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import catalog.prices
from bench import calibrate, forecast
from bench.at_size import at_size, time_at
from bench.forecast import Asked
from bench.rows import Data, Row, Workers, append
from plan.settings import load

ROOT = Path(catalog.prices.__file__).parent.parent
FIXED_S, EACH_S = 4.0, 0.02


def run(engine: str, size: int, seconds: float, repeat: int, workload: str = "palette") -> Row:
    data = Data(uri="s3://data/x", files=20, size_bytes=size if workload == "ingest" else 40_000_000, rows=size)
    return Row(
        run_id=f"r{size}", at="2026-11-20T09:00:00+00:00", stack="dev", platform="local", workload=workload,
        engine=engine, label=engine, reader="ranges" if workload == "ingest" else None, condition="warm", repeat=repeat,
        workers=Workers(count=2, vcpu=1, declared_mib=4096), data=data, value=seconds,
        parameters={"images": size} if workload == "palette" else {},
    )  # fmt: skip


@pytest.mark.parametrize("images", [100, 400, 1000, 3000])
def test_palettes_of_100_and_1000_images_are_not_mixed(tmp_path: Path, images: int) -> None:
    settings = load("dev", ROOT)
    for engine in ("ray", "dask", "lithops"):
        for size in (100, 1000):
            for repeat in range(3):
                append(tmp_path / f"{engine}.jsonl", run(engine, size, FIXED_S + EACH_S * size, repeat))
    asked = Asked("dev", "palette", None, 1, False, tmp_path, items=images)
    known, runs = forecast.calibrated(settings, asked)
    made = forecast.forecasts(settings, forecast.modelled(settings, asked), asked, known)
    assert runs
    for one in made:
        assert one.warm.run_s.value / (FIXED_S + EACH_S * images) == pytest.approx(1, abs=0.05), one.label


def test_calibrating_with_a_file_of_several_sizes_says_for_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    file, out = tmp_path / "rows.jsonl", tmp_path / "own.csv"
    for size in (2**27, 2**30):
        for repeat in range(3):
            append(file, run("ray", size, 3.0 + 5 * size / 2**30, repeat, "ingest"))
            append(file, run("ray", 100, 1000.0, repeat))  # a palette says nothing of a rate of reading
    done = CliRunner().invoke(calibrate.main, ["--rows", str(file), "--gb", "1", "--out", str(out)])
    assert "rows of 0.125, 1 GB: calibrated for 1 GB" in done.output
    line = next(line for line in done.output.splitlines() if line.startswith("calibrated") and "8.00 s, " in line)
    assert line.endswith("+0%"), done.output
    kept = CliRunner().invoke(calibrate.main, ["--rows", str(tmp_path), "--keep"])
    assert (kept.exit_code, "wanted one file" in kept.output) == (2, True)


def test_calibrating_with_a_file_of_two_readers_asks_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    file = tmp_path / "rows.jsonl"
    for repeat in range(3):
        append(file, run("ray", 2**30, 8.0, repeat, "ingest"))
        native = run("ray", 2**30, 80.0, repeat, "ingest").model_copy(update={"reader": "native", "run_id": "n"})
        append(file, native)
    done = CliRunner().invoke(calibrate.main, ["--rows", str(file)])
    assert (done.exit_code, "native, ranges, whose rates differ: pass --reader" in done.output) == (2, True)
    done = CliRunner().invoke(calibrate.main, ["--rows", str(file), "--reader", "ranges"])
    assert "measured     8.00 s, +0%" in done.output, done.output


def test_runs_that_do_not_count_say_nothing_of_a_size() -> None:
    wrong = run("ray", 1000, 500.0, 0).model_copy(update={"status": "failed"})
    found = at_size([run("ray", 100, 5.0, 0), wrong], 1000)
    assert sorted((row.status, row.value) for row in found) == [("failed", 500.0), ("ok", 50.0)]


@given(fixed_s=st.floats(0, 100), each_s=st.floats(0.001, 10), wanted=st.integers(1, 10_000))
def test_a_line_is_read_off_exactly(fixed_s: float, each_s: float, wanted: int) -> None:
    measured = [(size, fixed_s + each_s * size) for size in (10.0, 100.0, 1000.0)]
    assert time_at(measured, wanted) == pytest.approx(fixed_s + each_s * wanted, rel=0.05)


@given(st.lists(st.tuples(st.floats(1, 1e12), st.floats(0.001, 1e6)), min_size=1, max_size=6), st.floats(1, 1e12))
def test_a_time_is_always_above_zero(measured: list[tuple[float, float]], wanted: float) -> None:
    assert time_at(list(dict(measured).items()), wanted) > 0


def test_rows_that_are_no_runs_stay() -> None:
    start = run("ray", 100, 5.0, 0).model_copy(update={"metric": "startup_s"})
    assert at_size([start], 1000) == [start]
