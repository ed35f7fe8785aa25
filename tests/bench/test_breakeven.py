"""Break-even: both sides cost the same there, intervals hold it, and what cannot be carried is said so."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import catalog.prices
from bench.breakeven import Option, Spread, break_even, cheapest, exactly, hybrid_best, sentence, title
from bench.breakeven.__main__ import main
from bench.breakeven.charts import chart
from bench.breakeven.sources import from_estimates, from_rows, jobs, on_arm
from bench.costs import Prices
from bench.rows import Billed, Data, Row
from plan.estimate.phases import Work
from plan.settings import load

ROOT = Path(catalog.prices.__file__).parent.parent
# 24 USD a day kept up, against 0.10 USD a run: equal at 240 runs, which is 240 minutes of 1440.
CLUSTER = Option("ray", "cluster", Spread(60, 50, 70), exactly(0), 1.0, exactly(240))
FUNCTIONS = Option("functions", "functions", Spread(60, 50, 70), Spread(0.10, 0.08, 0.12), 0.0, exactly(0))


def test_both_cost_the_same_at_the_break_even() -> None:
    found = break_even(CLUSTER, FUNCTIONS)
    assert found.runs_per_day == Spread(240, pytest.approx(200), pytest.approx(300))
    assert found.busy_share.value == pytest.approx(240 * 60 / 86_400)
    assert CLUSTER.kept_usd(240).value == pytest.approx(FUNCTIONS.day_usd(240).value)


costs = st.floats(min_value=1e-4, max_value=10)


@given(hold=costs, usd=costs, run_s=st.floats(min_value=0.1, max_value=1e4))
def test_cheaper_below_and_dearer_above(hold: float, usd: float, run_s: float) -> None:
    cluster = Option("ray", "cluster", exactly(run_s), exactly(0), hold, None)
    functions = Option("functions", "functions", exactly(run_s), exactly(usd), 0.0, exactly(0))
    runs = break_even(cluster, functions).runs_per_day
    if runs is None:
        assert cluster.kept_usd(cluster.runs_per_day).value > functions.day_usd(cluster.runs_per_day).value * 0.999
        return
    assert runs.low == runs.value == runs.high
    assert functions.day_usd(runs.value * 0.9).value < cluster.kept_usd(runs.value * 0.9).value
    assert functions.day_usd(runs.value * 1.1).value > cluster.kept_usd(runs.value * 1.1).value


def test_a_load_the_cluster_cannot_carry_is_no_break_even() -> None:
    cheap = Option("functions", "functions", exactly(60), exactly(0.001), 0.0, exactly(0))
    found = break_even(CLUSTER, cheap)
    assert found.runs_per_day is None
    assert "24,000 runs a day would be needed, and 1,440 fit" in found.reason
    assert "Functions cost least at any load" in sentence([CLUSTER, cheap])


def test_an_interval_may_have_no_upper_end() -> None:
    unsure = Option("ray", "cluster", exactly(60), Spread(0.05, 0.01, 0.09), 0.1, None)
    found = break_even(unsure, FUNCTIONS).runs_per_day
    assert found is not None
    assert math.isinf(found.high)
    assert "no upper end" in sentence([unsure, FUNCTIONS])


def test_free_functions_are_refused() -> None:
    with pytest.raises(ValueError, match="functions: found a cost of 0 USD per run"):
        break_even(CLUSTER, Option("functions", "functions", exactly(1), exactly(0), 0.0, exactly(0)))


def test_a_cluster_is_started_for_each_run_where_that_is_cheaper() -> None:
    assert CLUSTER.day_usd(1).value == pytest.approx(300 / 3600)
    assert CLUSTER.day_usd(1000).value == pytest.approx(24)


def test_the_hybrid_is_best_where_it_is() -> None:
    hybrid = Option("ray+functions", "hybrid", exactly(60), exactly(0.02), 0.5, None)
    low, high = hybrid_best([CLUSTER, FUNCTIONS, hybrid]) or (0.0, 0.0)
    # 12 USD a day and 0.02 a run: below, the cluster started for each run at 300 s of 1 USD an hour; above, kept up.
    assert (low, high) == (pytest.approx(12 / (300 / 3600 - 0.02), rel=0.07), pytest.approx(600, rel=0.07))
    assert cheapest([CLUSTER, FUNCTIONS, hybrid], 300) is hybrid
    assert "a hybrid costs least from" in sentence([CLUSTER, FUNCTIONS, hybrid])
    assert hybrid_best([CLUSTER, FUNCTIONS]) is None


def test_nothing_is_drawn_beyond_what_a_cluster_carries() -> None:
    drawn = chart([CLUSTER, FUNCTIONS], {"ray": "red", "functions": "blue"}).to_dict()
    points = [point for data in drawn["datasets"].values() for point in data if "option" in point]
    assert max(point["runs"] for point in points if point["option"] == "ray") <= CLUSTER.runs_per_day
    assert {point["option"] for point in points} == {"ray", "functions"}


def made(engine: str, value: float, billed: Billed, **fields: object) -> Row:
    data = Data(uri="s3://data/a", files=8, size_bytes=10**9)
    given = {"condition": "warm", "repeat": 0, "metric": "run_s", "data": data, **fields}
    return Row(
        run_id="r", at="2026-11-20T09:00:00+00:00", stack="dev", platform="local", workload="ingest", engine=engine,
        label=engine, value=value, billed=billed, **given,
    )  # fmt: skip


ROWS = [
    *(made("ray", s, Billed(worker_s=2 * s)) for s in (1.0, 1.1, 0.9, 1.0, 1.2)),
    *(made("lithops", s, Billed(function_gb_s=8 * s, function_requests=2)) for s in (2.0, 2.1, 1.9, 2.0, 2.2)),
    made("ray", 9.0, Billed(worker_s=18.0), condition="cold"),
    made("pandas", 0.1, Billed(worker_s=0.1)),
    made("ray", 8.0, Billed(), metric="startup_s", condition="none"),
]


def test_rows_give_medians_with_their_spread() -> None:
    ray, lithops = from_rows(ROWS)
    assert (ray.kind, ray.run_s.value, lithops.kind) == ("cluster", 1.0, "functions")
    assert ray.hold_usd_per_h == pytest.approx(0.096)
    assert lithops.run_usd.low < lithops.run_usd.value < lithops.run_usd.high
    assert ray.edge_s is None  # no teardown row: what starting it for each run costs is not known
    ended = [*ROWS, made("ray", 2.0, Billed(), metric="teardown_s", condition="none")]
    assert from_rows(ended)[0].edge_s == exactly(10.0)
    nothing_read = {"workload": "down", "data": None}
    down = made("ray", 3.0, Billed(), metric="teardown_s", condition="none").model_copy(update=nothing_read)
    ((_, of_job),) = jobs([*ROWS, down]).items()
    assert from_rows(of_job)[0].edge_s == exactly(11.0)


def test_what_if_prices_change_rows_as_told() -> None:
    spot, arm = from_rows(ROWS, Prices(spot=True))[0], from_rows(ROWS, Prices(arm=True))
    assert spot.hold_usd_per_h == pytest.approx(0.0447)
    assert arm[0].hold_usd_per_h == pytest.approx(0.0816)
    assert arm[1].run_usd.value < from_rows(ROWS)[1].run_usd.value


def test_rows_of_different_jobs_are_not_compared() -> None:
    other = made("dask", 1.0, Billed(worker_s=2.0), data=Data(uri="s3://data/b", files=8, size_bytes=10**6))
    assert len(jobs([*ROWS, other])) == 2
    with pytest.raises(ValueError, match="found rows of 2 jobs"):
        from_rows([*ROWS, other])


def test_estimate_of_a_stack_breaks_even_before_it_is_deployed() -> None:
    settings = load("bench-128", ROOT)
    options = {option.name: option for option in from_estimates(settings, Work("ingest", gb=50))}
    found = break_even(options["ray"], options["functions"])
    assert found.runs_per_day is not None
    assert 0 < found.busy_share.value < 1
    assert options["ray"].run_usd.value < 0.01 < options["functions"].run_usd.value
    arm = {option.name: option for option in from_estimates(on_arm(settings), Work("ingest", gb=50))}
    assert arm["ray"].hold_usd_per_h < options["ray"].hold_usd_per_h
    assert arm["functions"].run_usd.value < options["functions"].run_usd.value


def test_hybrid_adds_its_functions_to_a_cluster_that_is_up() -> None:
    options = {option.name: option for option in from_estimates(load("bench-128", ROOT), Work("sort", 50, kept=0.026))}
    assert options["ray+functions"].kind == "hybrid"
    assert options["ray+functions"].hold_usd_per_h == options["ray"].hold_usd_per_h
    assert options["ray+functions"].run_usd.value == pytest.approx(0.13, rel=0.1)


def test_title_and_sentence_are_of_the_same_cluster() -> None:
    options = [CLUSTER, replace(CLUSTER, name="dask"), FUNCTIONS]
    assert "than ray kept up" in sentence(options)
    assert title(options).startswith("ray pays off from")


@pytest.mark.parametrize(
    ("arguments", "shown", "code"),
    [
        (["--workload", "palette"], "From the estimate of bench-128, palette of 1000 images", 0),
        (["--workload", "nonsense"], "wanted one whose runs are counted: ingest, sort, palette, generate", 1),
        (["--stack", "loading"], "'startup', which stack 'loading' was made for", 1),
        (
            ["--rows", "benchmarks/rows", "--workload", "nonsense"],
            "found --workload 'nonsense', wanted ingest, sort",
            1,
        ),
        (["--rows", "benchmarks/rows/hybrid"], "found no runs", 1),
        (["--gb", "nan"], "nan is not a number", 2),
    ],
)
def test_figures_are_of_the_workload_that_was_named_or_it_is_refused(
    arguments: list[str], shown: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, shown in done.output) == (code, True), done.output


def test_command_writes_a_chart_that_works_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    out = tmp_path / "chart.html"
    free = ["--price", "ec2:m6i.large=0", "--price", "ebs:gp3=0", "--price", "ipv4=0"]
    what_if = CliRunner().invoke(main, ["--stack", "bench-32", "--gb", "5", "--workers", "64", *free])
    assert "0.0000 USD an hour kept up" in what_if.output
    wrong = CliRunner().invoke(main, ["--price", "ec2:m6i.large"])
    assert (wrong.exit_code, "ITEM=USD" in wrong.output) == (2, True)
    shown = CliRunner().invoke(main, ["--stack", "bench-32", "--gb", "5", "--out", str(out)])
    assert shown.exit_code == 0, shown.output
    assert "runs a day" in shown.output
    assert "<script src=" not in out.read_text()
