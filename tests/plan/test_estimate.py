"""The estimate: a bottleneck by name, an interval that holds the value, growth in the right direction, and quick."""

import subprocess
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import catalog.prices
from catalog.prices import PriceMissing
from plan import estimate as estimates
from plan.estimate import BudgetExceeded, Terms, backtest, parameters, phases, queueing
from plan.estimate.__main__ import main
from plan.estimate.phases import Work
from plan.settings import Settings, load, parse

ROOT = Path(catalog.prices.__file__).parent.parent
INGEST = Work("ingest", gb=50)


@pytest.fixture(scope="module")
def bench_128() -> Settings:
    return load("bench-128", ROOT)


def by_target(stack: Settings, work: Work, **more: object) -> dict[str, estimates.Estimate]:
    return {one.target: one for one in estimates.estimate(stack, work, **more)}  # type: ignore[arg-type]


def test_every_platform_has_an_interval_around_its_value(bench_128: Settings) -> None:
    found = by_target(bench_128, INGEST)
    assert set(found) == {"ray", "dask", "functions"}
    for one in found.values():
        assert all(span.low <= span.value <= span.high for span in (one.run_s, one.total_s, one.usd))
        assert float(sum(one.usd_parts.values())) == pytest.approx(one.usd.value)
        assert one.saturates.startswith(phases.WORKERS)
    assert found["functions"].total_s.value < found["ray"].total_s.value


def test_a_sort_is_done_by_clusters_and_hybrids(bench_128: Settings) -> None:
    kept = by_target(bench_128, Work("sort", gb=50, kept=0.026))
    assert set(kept) == {"ray", "dask", "ray+functions", "dask+functions"}
    assert kept["ray+functions"].usd.value > kept["ray"].usd.value


def test_the_same_draws_give_the_same_interval(bench_128: Settings) -> None:
    assert estimates.estimate(bench_128, INGEST) == estimates.estimate(bench_128, INGEST)


def test_ten_thousand_workers_and_100_tb_in_ten_seconds_with_the_bottleneck_named(bench_128: Settings) -> None:
    began = time.process_time()
    found = by_target(estimates.scaled(bench_128, 10_000), Work("ingest", gb=102_400))
    assert time.process_time() - began < 10
    assert found["ray"].workers == found["functions"].workers == 10_000
    assert found["ray"].saturates.startswith("bandwidth that all workers share; next requests of one prefix at 93%")
    assert "rate at which EC2 launches" in found["ray"].phases[1].name
    # Functions wait for the bandwidth too, and waiting is billed.
    run = found["functions"].phases[0]
    handler_s = parameters.read().find("handler_s", "lithops", "lambda").value
    assert run.function_s == pytest.approx(10_000 * 1280 + run.calls * handler_s)


def test_more_prefixes_lift_the_limit_of_requests(bench_128: Settings) -> None:
    values = parameters.Draws(parameters.read(), "ray", "ec2")
    size = estimates.sizes(bench_128)["ray"]
    one, eight = (phases.run(size, Work("ingest", gb=50, prefixes=n), values) for n in (1, 8))
    assert one.loads["requests of one prefix"] == pytest.approx(8 * eight.loads["requests of one prefix"])


def test_functions_are_cut_to_fit_their_timeout(bench_128: Settings) -> None:
    values = parameters.Draws(parameters.read(), "lithops", "lambda")
    size = estimates.sizes(bench_128)["functions"]
    made = phases.run(size, Work("ingest", gb=5000), values, timeout_s=900)
    assert made.tasks > size.workers
    assert made.task_s <= 900


def test_a_node_keeps_its_peak_network_only_for_the_burst(bench_128: Settings) -> None:
    fast = parameters.Parameters(
        tuple(
            replace(row, value=200.0, low=200.0, high=200.0) if row.name in ("read_mb_s", "stream_mb_s") else row
            for row in parameters.read().rows
        )
    )
    values = parameters.Draws(fast, "ray", "ec2")
    size = estimates.sizes(bench_128)["ray"]
    within, beyond = (phases.run(size, Work("ingest", gb=gb), values).saturates for gb in (50, 50_000))
    assert within.startswith(phases.WORKERS)
    assert beyond.startswith("network of a node")


@settings(max_examples=30)
@given(st.floats(min_value=0.1, max_value=1e5), st.floats(min_value=1, max_value=10), st.integers(2, 400))
def test_more_data_takes_longer_and_more_workers_never_do(gb: float, factor: float, workers: int) -> None:
    values = parameters.Draws(parameters.read(), "dask", "ec2")
    base = backtest._cluster("dask", 64)
    size = replace(base, nodes=workers, workers=2 * workers, min_workers=2 * workers)
    larger = replace(size, nodes=2 * workers, workers=4 * workers, min_workers=4 * workers)

    def run_s(on: object, of: float) -> float:
        return phases.run(on, Work("ingest", gb=of), values, simulate=False).seconds  # type: ignore[arg-type]

    assert run_s(size, gb) <= run_s(size, gb * factor)
    assert run_s(larger, gb) <= run_s(size, gb) * 1.05 + larger.workers * 4 / values["tasks_per_s"]


@pytest.mark.parametrize(
    ("ready", "tasks", "serial", "wanted"),
    [
        ([0.0] * 4, 8, [], 4.0),  # two waves of 2 s
        ([0.0] * 4, 9, [], 6.0),
        ([0.0, 10.0], 3, [], 6.0),  # the second worker comes too late to be waited for
        ([0.0, 3.0], 3, [], 5.0),
        ([0.0] * 8, 8, [1.0], 10.0),  # dispatched one after the other
        ([0.0] * 4, 4, [0.0, 3.0], 12.0),  # a server beside the tasks that takes longer than they do
    ],
)
def test_simulation_agrees_with_what_can_be_counted(
    ready: list[float], tasks: int, serial: list[float], wanted: float
) -> None:
    assert queueing.makespan_s(ready, tasks, 2.0, serial) == pytest.approx(wanted)


def test_simulated_groups_differ_little_from_single_workers() -> None:
    late = queueing.arrivals_s(2000, 1000, 100.0)
    assert max(late) == 10.0
    grouped = queueing.makespan_s(late, 8000, 5.0, [0.001])
    assert grouped == pytest.approx(queueing.makespan_s(late[::2], 4000, 5.0, [0.002]))
    assert 20 <= grouped <= 30


def test_a_concurrency_ramp_is_simulated(bench_128: Settings) -> None:
    found = by_target(estimates.scaled(bench_128, 3000), Work("ingest", gb=500))["functions"]
    assert found.simulated
    assert found.run_s.value > 10


def test_a_run_above_the_budget_is_refused(bench_128: Settings) -> None:
    estimates.refuse_above_budget(bench_128, 59.99)
    estimates.refuse_above_budget(bench_128.model_copy(update={"budget_usd": None}), 1e6)
    with pytest.raises(BudgetExceeded, match=r"'bench-128': 59\.50 USD spent and up to 1\.00 USD.*budgetUsd 60\.00"):
        estimates.refuse_above_budget(bench_128, 1, spent_usd=59.5)


def test_prices_depend_on_date_and_market_and_are_never_guessed(bench_128: Settings) -> None:
    now = by_target(bench_128, INGEST)
    spot = by_target(bench_128, INGEST, terms=Terms(spot=True))
    assert spot["ray"].usd.value < now["ray"].usd.value
    assert spot["functions"].usd == now["functions"].usd
    elsewhere = by_target(bench_128, INGEST, terms=Terms(region="eu-west-1"))
    assert elsewhere["ray"].usd.value > now["ray"].usd.value
    with pytest.raises(PriceMissing, match="in eu-west-1 on 2023-12-31"):
        estimates.estimate(bench_128, INGEST, terms=Terms(region="eu-west-1", on=date(2023, 12, 31)))


def test_first_run_is_slower_than_a_warm_one(bench_128: Settings) -> None:
    warm, cold = (by_target(bench_128, INGEST, cold=cold)["dask"].run_s.value for cold in (False, True))
    assert cold == pytest.approx(1.55 * warm)


def test_embedded_stack_is_priced_as_modelled() -> None:
    found = by_target(load("dev", ROOT), Work("ingest", gb=0.4))
    assert all(one.modelled and one.usd.value > 0 for one in found.values())


def test_overlay_replaces_what_it_names_only() -> None:
    base = parameters.read()
    own = replace(base.find("read_mb_s", "ray", "local"), value=100.0, low=90.0, high=110.0, source="own rows")
    overlaid = base.overlaid([own])
    assert overlaid.find("read_mb_s", "ray", "local").value == 100
    assert overlaid.find("read_mb_s", "dask", "local") == base.find("read_mb_s", "dask", "local")
    assert len(overlaid.rows) == len(base.rows)


def test_a_missing_parameter_is_an_error() -> None:
    with pytest.raises(parameters.ParameterMissing, match="no 'warp_speed' for ray on ec2"):
        parameters.read().find("warp_speed", "ray", "ec2")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,*,*,5,6,7,s,x,y,", "in order"),
        ("a,*,*,1,1,1,s,,y,", "no source"),
        ("a,*,*,one,1,1,s,x,y,", "line 2"),
        ("a,*,*,1,1,1,s,x,y,one, two", "line 2: found more"),
        ("a,*,*,1,1,1,s,x", "line 2: found more"),
    ],
)
def test_unreadable_parameters_are_named(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "parameters.csv"
    path.write_text(",".join(parameters.COLUMNS) + "\n" + row + "\n")
    with pytest.raises(ValueError, match=message):
        parameters.read(path)


def test_written_overlay_reads_back(tmp_path: Path) -> None:
    rows = parameters.read().rows[:3]
    parameters.write(tmp_path / "own.csv", rows)
    assert parameters.read(tmp_path / "own.csv").rows == rows


def test_backtest_covers_what_was_not_fitted_and_is_as_documented() -> None:
    outcomes = backtest.backtest()
    error, points, inside, bounds = backtest.summary(outcomes)
    documented = (ROOT / "docs" / "costs.md").read_text()
    assert points >= 10
    assert f"{points} points: median error {error:.0%}; {inside} of {bounds} bounds hold" in documented


def test_command_line_needs_no_account_and_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shown = CliRunner().invoke(main, ["--stack", "bench-128", "--workload", "ingest", "--gb", "50"])
    assert shown.exit_code == 0, shown.output
    assert all(
        word in shown.output for word in ("ray (128 workers", "dask (128 workers", "functions (128", "saturates")
    )
    wrong = CliRunner().invoke(main, ["--stack", "bench-129"])
    assert (wrong.exit_code, "did you mean 'bench-128'" in wrong.output) == (1, True)
    wrong = CliRunner().invoke(main, ["--stack", "bench-128", "--region", "us-east-7"])
    assert (wrong.exit_code, "us-east-7" in wrong.output) == (1, True)


@pytest.mark.parametrize(
    ("workload", "shown"),
    [
        ("ingest", "ingest of 50 GB, one warm run"), ("sort", "ray+functions (128"), ("startup", "start and end only"),
        ("palette", "palette of 1000 images"), ("generate", "generate of 50 GB, 128 files"),
    ],
)  # fmt: skip
def test_every_workload_is_estimated_before_anything_is_deployed(
    workload: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    said = CliRunner().invoke(main, ["--stack", "bench-128", "--workload", workload, "--gb", "50"])
    assert (said.exit_code, shown in said.output) == (0, True), said.output


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--stack", "bench-128"], "ingest of 50 GB"),
        (["--stack", "dev"], "ingest of 0.4 GB"),
        (["--stack", "hybrid"], "sort of 50 GB"),
        (["--stack", "autoscale"], "palette of 1000 images"),
        (["--stack", "loading"], "startup, start and end only"),
        (["--stack", "dev", "--gb", "3"], "ingest of 3 GB"),
        (["--stack", "loading", "--workload", "ingest"], "ingest of 50 GB"),
    ],
)
def test_the_default_is_what_the_stack_was_made_for(
    arguments: list[str], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    said = CliRunner().invoke(main, arguments)
    assert (said.exit_code, shown in said.output.splitlines()[0]) == (0, True), said.output


def test_make_estimate_leaves_the_size_to_the_stack_unless_it_is_given() -> None:
    make = ["make", "-n", "estimate", "STACK=bench-128", f"-f{ROOT / 'Makefile'}", f"-C{ROOT}"]
    plain = subprocess.run(make, capture_output=True, text=True, check=True).stdout
    assert "--gb" not in plain
    assert "--workload" not in plain
    given = subprocess.run([*make, "GB=7", "WORKLOAD=sort"], capture_output=True, text=True, check=True).stdout
    assert "--workload sort" in given
    assert "--gb 7" in given


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--gb", "inf"], ["--gb", "nan"], ["--gb", "-1"], ["--gb", "0"], ["--workload", "nonsense"]),
        *(["--prefixes", "0"], ["--threads", "0"], ["--workers", "0"], ["--items", "-1"], ["--item-core-s", "nan"]),
        *(["--parameters", "."], ["--parameters", "nowhere.csv"], ["--parameters", "text.csv"]),
    ],
)
def test_what_cannot_be_estimated_is_refused_in_one_line(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.csv").write_bytes(b"name,value\n\xff\xfe,\n")
    said = CliRunner().invoke(main, arguments)
    assert said.exit_code in (1, 2)
    assert isinstance(said.exception, SystemExit)
    (line,) = [line for line in said.output.splitlines() if line.startswith("Error: ")]
    assert arguments[0] in line or "text.csv" in line


@pytest.mark.parametrize(("value", "unit"), [("inf", "s"), ("nan", "s"), ("-1", "s"), ("0", "MB/s")])
def test_a_parameter_that_nothing_can_be_reckoned_with_is_refused_by_its_line(
    tmp_path: Path, value: str, unit: str
) -> None:
    file = tmp_path / "own.csv"
    file.write_text(f"{','.join(parameters.COLUMNS)}\nread_mb_s,ray,*,{value},{value},{value},{unit},here,,\n")
    with pytest.raises(ValueError, match=r"own\.csv line 2"):
        parameters.read(file)


@pytest.mark.parametrize("cold", [False, True])
def test_functions_are_billed_for_handler_and_start_too(bench_128: Settings, cold: bool) -> None:
    def usd(**given: float) -> float:
        own = [
            parameters.Parameter(name, "lithops", "lambda", value, value, value, "s", "test", "")
            for name, value in ({"handler_s": 0.0, "init_s": 0.0} | given).items()
        ]
        found = estimates.estimate(bench_128, Work("ingest", 50), parameters.read().overlaid(own), cold=cold)
        return next(float(one.usd_parts["run"]) for one in found if one.target == "functions")

    per_s = 128 * 4 * 0.0000166667  # each function once: 4 GB at the x86 price per GB-second
    assert usd(handler_s=1.0) - usd() == pytest.approx(per_s, rel=0.01)
    assert usd(init_s=2.0) - usd() == pytest.approx(2 * per_s if cold else 0, rel=0.01)


def test_a_billion_tasks_are_simulated_in_bundles() -> None:
    assert queueing.makespan_s([0.0] * 50, 10**9, 1.0) == pytest.approx(10**9 / 50, rel=0.01)


def test_a_stack_of_nothing_has_no_estimate() -> None:
    assert estimates.estimate(parse({"program": "base"}, "base"), INGEST) == []


def test_a_run_is_cut_off_when_the_budget_is_spent(bench_128: Settings) -> None:
    whole = estimates.affordable_s(bench_128, "ray")
    assert whole == pytest.approx(3600 * 60 / 6.955, rel=0.001)
    assert estimates.affordable_s(bench_128, "ray", spent_usd=30) == pytest.approx(whole / 2)
    assert estimates.affordable_s(bench_128, "ray", spent_usd=61) == 0
    assert estimates.affordable_s(bench_128, "ray+functions") < whole / 4
    assert estimates.affordable_s(load("dev", ROOT), "ray") == float("inf")
