"""Guards: a run that starts above its budget, one that goes on beyond it, money that is forgotten, a wrong deadline."""

import itertools
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import catalog.prices
from bench import budget, rows
from bench.budget import Guard
from bench.dataset import Dataset
from bench.deadline import deadline
from bench.failures import Deadline, OverBudget
from bench.forecast import Asked, calibrated, forecasts, modelled
from bench.progress import progress
from bench.readers.ingest import Ingest
from bench.rows import Billed, Data, Row, Workers
from bench.runner import Run
from bench.samples import plan
from bench.sessions.session import Fleet
from plan import cost
from plan.estimate import BudgetExceeded, parameters
from plan.outputs import Outputs
from plan.settings import Settings, load
from tasks.answer import Answer, Query
from tasks.objects import Access

ROOT = Path(catalog.prices.__file__).parent.parent
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def bench_128() -> Settings:
    return load("bench-128", ROOT)


def asked(tmp_path: Path, stack: str = "bench-128", **more: Any) -> Asked:
    return replace(Asked(stack, "ingest", None, 5, True, tmp_path, "ranges", gb=50.0), **more)


def poor(settings: Settings, usd: float) -> Settings:
    return settings.model_copy(update={"budget_usd": usd})


def guard(settings: Settings, spent: float = 0.0) -> Guard:
    return Guard(settings, spent_usd=Decimal(str(spent)))


def test_a_run_above_the_budget_is_refused_before_it(bench_128: Settings, tmp_path: Path) -> None:
    made = forecasts(
        bench_128, modelled(bench_128, asked(tmp_path)), asked(tmp_path), calibrated(bench_128, asked(tmp_path))[0]
    )
    high = sum(one.usd.high for one in made)
    Guard(poor(bench_128, high + 1), forecasts=made).refuse()
    with pytest.raises(BudgetExceeded, match=r"Pulumi\.bench-128.yaml"):
        Guard(poor(bench_128, high - 0.01), forecasts=made).refuse()
    with pytest.raises(BudgetExceeded, match=r"1\.50 USD spent"):
        Guard(poor(bench_128, high + 1), spent_usd=Decimal("1.5"), forecasts=made).refuse()


def test_more_runs_and_more_data_cost_more_but_one_start(bench_128: Settings, tmp_path: Path) -> None:
    def whole(**more: Any) -> Any:
        one = asked(tmp_path, engines="ray", **more)
        return forecasts(bench_128, modelled(bench_128, one), one, calibrated(bench_128, one)[0])[0]

    few, many, large = whole(repeats=1), whole(repeats=11), whole(repeats=1, gb=500.0)
    ten_s = 10 * few.warm.run_s.value
    assert many.total_s.value - few.total_s.value == pytest.approx(ten_s)
    assert few.usd.low <= few.usd.value < many.usd.value < few.usd.value * 11
    assert large.total_s.value > few.total_s.value


@pytest.mark.parametrize("platform_stack", ["dev", "dev-autoscale", "bench-128", "k8s-32", "multiprocessing"])
@pytest.mark.parametrize("workload", ["ingest", "sort", "palette", "startup", "generate"])
def test_every_workload_has_an_estimate_of_what_a_stack_declares(
    platform_stack: str, workload: str, tmp_path: Path
) -> None:
    settings = load(platform_stack, ROOT)
    one = asked(tmp_path, platform_stack, workload=workload, items=100, workers=(4,) if workload == "startup" else ())
    wanted = modelled(settings, one)
    made = forecasts(settings, wanted, one, calibrated(settings, one)[0])
    assert [each.label for each in made] == [label for label, _ in wanted]
    assert all(each.total_s.low <= each.total_s.value <= each.total_s.high for each in made)
    assert all(each.usd.low <= each.usd.value <= each.usd.high and each.usd.value > 0 for each in made)


def test_the_deadline_is_what_is_left_of_the_budget(bench_128: Settings) -> None:
    per_h = cost.per_platform(cost.hourly(bench_128))
    ray_per_h, functions_per_h = per_h["ray"] + per_h["driver"], per_h["functions"] + per_h["driver"]
    rich = guard(bench_128, 50)
    assert rich.left_s("ray") == pytest.approx(float(10 / ray_per_h * 3600))
    assert rich.left_s("lithops") == pytest.approx(float(10 / functions_per_h * 3600))
    assert rich.left_s("ray+lithops") < min(rich.left_s("ray"), rich.left_s("lithops"))
    assert rich.left_s("pandas") == pytest.approx(float(10 / per_h["driver"] * 3600))
    assert Guard().left_s("ray") == float("inf")
    assert guard(load("dev", ROOT), 50).left_s("ray") == float("inf")


def test_what_is_held_and_used_is_counted_as_spent(bench_128: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(budget, "time", SimpleNamespace(perf_counter=lambda: next(ticks) / 2))  # half a second each
    per_h = cost.per_platform(cost.hourly(bench_128))
    held = guard(bench_128)
    with held.watched("ray+lithops", 100):
        pass
    assert held.spent_usd < (per_h["ray"] + per_h["driver"]) / 3600  # less than a second, and no functions
    before = held.spent_usd
    held.used(Billed(node_s={"m6i.large": 1e9}, function_gb_s=1000.0, function_requests=10))
    assert held.spent_usd - before == 1000 * Decimal("0.0000166667") + 10 * Decimal("0.0000002")
    whole, driver = guard(bench_128), guard(bench_128)
    with pytest.raises(ZeroDivisionError), whole.watched("lithops", 100):
        1 / 0  # noqa: B018
    with driver.watched("lithops", 100):
        pass
    assert whole.spent_usd > 10 * driver.spent_usd  # nobody says how long the functions of a failed run were called


def test_spent_money_gives_no_second_and_a_slow_run_its_own_kind(bench_128: Settings) -> None:
    spent = guard(bench_128, 60)
    with pytest.raises(OverBudget, match=r"60\.0000 of budgetUsd 60"), spent.watched("ray", 100):
        pytest.fail("ran without money")
    assert spent.over
    rich = guard(bench_128)
    with pytest.raises(Deadline) as late, rich.watched("ray", 0.01):
        time.sleep(5)
    assert not isinstance(late.value, OverBudget)
    assert not rich.over


def test_a_deadline_leaves_no_alarm() -> None:
    with pytest.raises(Deadline, match=r"0\.01 s"), deadline(0.01):
        time.sleep(5)
    with deadline(0.01):
        pass
    time.sleep(0.02)


def spent_row(at: datetime, value: float, stack: str = "bench-128") -> Row:
    return Row(
        run_id=f"r{at:%H%M}", at=at.isoformat(), stack=stack, platform="ec2", workload="ingest", engine="ray",
        label="ray", condition="warm", repeat=0, value=value, billed=Billed(node_s={"m6i.large": 64 * value}),
    )  # fmt: skip


def test_spent_is_of_this_stack_since_it_is_up_and_of_what_all_share(bench_128: Settings) -> None:
    up = NOW - timedelta(hours=2)
    outputs = Outputs(
        stack="bench-128", program="bench", region="us-east-1", worker_memory_mib=4096, worker_vcpu=1,
        expires_at=(up + timedelta(hours=bench_128.ttl_h or 0)).isoformat(),
    )  # fmt: skip
    kept = [
        spent_row(up + timedelta(minutes=30), 3600.0),
        spent_row(up - timedelta(days=1), 3600.0),
        spent_row(up + timedelta(minutes=30), 3600.0, "bench-32"),
    ]
    driver = 2 * cost.per_platform(cost.hourly(bench_128))["driver"]
    nodes = 64 * cost.host_usd_per_h("m6i.large", "us-east-1")
    assert round(budget.spent_usd(kept, bench_128, outputs, NOW), 9) == round(nodes + driver, 9)
    assert budget.spent_usd([], bench_128, outputs, NOW) == driver


class Slow:
    """The harness around a read that ends only when it is cancelled, on a stack that has no real part."""

    engine, keeps_workers = "ray", True

    def fleet(self) -> Fleet:
        return Fleet(128, 1, 4096)

    def recycle(self) -> None: ...


def run_of(settings: Settings, tmp_path: Path, held: Guard, read: Any) -> Run:
    out = Outputs(stack="bench-128", program="bench", region="us-east-1", worker_memory_mib=4096, worker_vcpu=1)
    dropped: list[str] = []
    sessions: Any = SimpleNamespace(
        outputs=out, access=Access(), of=lambda engine: [Slow()], declared=lambda name: None, drop=dropped.append,
        platform=lambda engine: "ec2", cluster=lambda name: None, sharing=lambda name: 1, opened_s={}, dropped=dropped,
        openings=lambda engine: (1,),
    )  # fmt: skip
    job = Ingest(Access(), Dataset("s3://data/a", (), ("x",), Query(), Answer()), None, 4096)
    return Run(
        sessions, job, Answer(), {"ray": read}, "ranges", [("ray", "ray")], tmp_path, False, 60.0, "ingest", held
    )


def test_a_run_that_exceeds_its_budget_is_cancelled_with_a_typed_row(bench_128: Settings, tmp_path: Path) -> None:
    per_s = float(sum(cost.per_platform(cost.hourly(bench_128)).get(name, 0) for name in ("ray", "driver"))) / 3600
    run = run_of(bench_128, tmp_path, guard(bench_128, 60 - 0.05 * per_s), lambda *_: time.sleep(30))
    began = time.perf_counter()
    with progress(6) as report:
        run.take(plan([("ray", "ray")], 5, 1), report)
    assert time.perf_counter() - began < 10
    (row,) = [row for path in tmp_path.rglob("*.jsonl") for row in rows.read(path)]
    assert isinstance(row, Row)
    assert (row.status, row.failure and row.failure.kind) == ("failed", "over-budget")
    assert run.sessions.dropped == ["ray"]  # type: ignore[attr-defined]
    assert run.guard.over


def test_the_estimate_is_kept_beside_what_was_measured(bench_128: Settings, tmp_path: Path) -> None:
    one = asked(tmp_path, engines="ray")
    made = forecasts(bench_128, [("ray", "ray")], one, calibrated(bench_128, one)[0])
    path = tmp_path / "kept.jsonl"
    done = [spent_row(NOW, value) for value in (20.0, 30.0, 22.0)]
    Guard(bench_128, forecasts=made).keep(
        [*done, done[0].model_copy(update={"status": "dropped", "value": 900.0})], path
    )
    (row,) = rows.read(path)
    assert isinstance(row, Row)
    assert (row.metric, row.parameters["actual_s"], row.parameters["actual"]) == ("estimate_s", 22.0, "warm")
    assert row.value == made[0].warm.run_s.value


def read_row(engine: str, size_gb: float, value: float, run_id: str) -> Row:
    return Row(
        run_id=run_id, at=NOW.isoformat(), stack="dev", platform="local", workload="ingest", engine=engine,
        label=engine, reader="ranges", condition="warm", repeat=0, value=value,
        workers=Workers(count=2, vcpu=1, declared_mib=4096),
        data=Data(uri="s3://data/a", files=1, size_bytes=round(size_gb * 2**30)),
    )  # fmt: skip


def test_own_rows_of_the_nearest_size_calibrate_only_their_platform(bench_128: Settings, tmp_path: Path) -> None:
    for row in (read_row("ray", 0.4, 12.0, "near"), read_row("ray", 0.01, 7.0, "far")):
        rows.append(tmp_path / "dev" / f"{row.run_id}.jsonl", row)
    dev = load("dev", ROOT)
    one = asked(tmp_path, "dev", engines="ray", gb=0.4)
    known, runs = calibrated(dev, one)
    assert runs == ["near"]
    (made,) = forecasts(dev, [("ray", "ray")], one, known)
    assert made.warm.run_s.value == pytest.approx(12.0, rel=0.05)
    assert made.rows == 1
    assert forecasts(dev, [("ray", "ray")], one, parameters.read())[0].rows == 0
    assert calibrated(bench_128, asked(tmp_path))[1] == []
