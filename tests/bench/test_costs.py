"""What happened in USD: parts add up, nothing ends before it begins, and what may still run is said to be open."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bench.costs import DOWN, Prices, spending
from bench.rows import Billed, Data, Row, Workers
from plan.billing import ClockBackwards
from plan.cost import host_usd_per_h

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
SLOT_S = Decimal("0.096") / 2 / 3600


def row(at_s: float, value: float | None, metric: str = "run_s", engine: str = "ray", **fields: Any) -> Row:
    cluster = (
        Billed(node_s={"local": max(value or 0.0, 0.0)}, worker_s=2 * max(value or 0.0, 0.0))
        if metric == "run_s"
        else Billed()
    )
    given = {
        "platform": "local",
        "billed": cluster,
        "condition": "warm" if metric == "run_s" else "none",
        "repeat": 0,
        **fields,
    }
    return Row(
        run_id="r1",
        at=(START + timedelta(seconds=at_s)).isoformat(),
        stack="dev",
        workload="ingest",
        engine=engine,
        label=engine,
        workers=Workers(count=2, vcpu=2, declared_mib=4096),
        data=Data(uri="s3://data/a", files=8, size_bytes=10**12),
        metric=metric,
        value=value,
        **given,
    )


# Start-up over at 10 s; runs 10 to 20 and 40 to 50; teardown over at 60, having taken 4: idle is 20 and 6.
WHOLE = [row(10, 10, "startup_s"), row(10, 10), row(40, 10), row(60, 4, "teardown_s")]


def test_startup_run_idle_and_teardown_are_apart_and_are_all() -> None:
    (spent,) = spending(WHOLE)
    parts = (spent.startup, spent.run, spent.idle, spent.teardown, spent.total)
    assert [round((usd or 0) / (2 * SLOT_S), 9) for usd in parts] == [10, 20, 26, 4, 60]
    assert not spent.open
    assert spent.runs == 2
    assert spent.usd_per_tb == spent.total / 2
    assert spent.usd_per_item is None


def other(at_s: float, value: float | None, metric: str = "run_s", **fields: Any) -> Row:
    """A row of `ray+lithops` in the same command, on the same cluster."""
    return row(at_s, value, metric, "ray+lithops", **fields)


def test_a_cluster_that_two_engines_share_is_paid_for_once() -> None:
    rows = [row(10, 10), other(20, 10), row(35, 5), *WHOLE[:1], other(10, 10, "startup_s"), WHOLE[-1]]
    ray, hybrid = spending(rows)
    assert [round(usd / (2 * SLOT_S), 9) for usd in (ray.startup, ray.run, ray.idle, ray.teardown or 0)] == [
        10, 15, 21, 4,
    ]  # fmt: skip
    assert (hybrid.startup, hybrid.idle, hybrid.teardown, hybrid.open) == (0, 0, 0, False)
    assert round((ray.total + hybrid.total) / (2 * SLOT_S), 9) == 60


def test_a_cluster_that_outlives_its_commands_has_a_line_of_its_own() -> None:
    """Up at 0, started in 10 s; commands 20 to 40 and 100 to 110; ended at 204 in 4 s: 10, 60 and 90 s are between."""
    up: dict[str, Any] = {"parameters": {"up_at": START.timestamp()}}
    first = [row(20, 20), row(41, 10, "startup_s", **up)]
    second = [one.model_copy(update={"run_id": "r2"}) for one in (row(100, 10), row(111, 10, "startup_s", **up))]
    held = Billed(node_s={"local": 4.0}, worker_s=8.0)
    end = row(204, 4, "teardown_s", billed=held, **up).model_copy(update={"run_id": "d", "workload": DOWN})
    one, two = spending([*first, *second])
    assert (one.open, two.open) == (True, True)
    assert [round(usd / (2 * SLOT_S), 9) for usd in (one.startup, one.run, two.startup, two.run)] == [10, 20, 0, 10]
    one, two, after = spending([*first, *second, end])
    assert (one.open, two.open, after.open, one.teardown, two.teardown) == (False, False, False, 0, 0)
    assert [round((usd or 0) / (2 * SLOT_S), 9) for usd in (after.idle, after.teardown)] == [160, 4]
    whole = sum((each.total for each in (one, two, after)), Decimal(0))
    assert round(whole / (2 * SLOT_S), 9) == 204


def test_machines_are_billed_for_a_minute_at_least() -> None:
    short = [
        row(5, 5, billed=Billed(node_s={"m6i.large": 10.0}, worker_s=20.0), platform="ec2"),
        row(12.5, 2, "teardown_s", billed=Billed(node_s={"m6i.large": 4.0}), platform="ec2"),
    ]
    (spent,) = spending(short)
    two_hosts_s = 2 * host_usd_per_h("m6i.large", "us-east-1") / 3600
    assert round(spent.total / two_hosts_s, 6) == 60


def test_items_are_counted_where_rows_do() -> None:
    (spent,) = spending([row(0, 10, parameters={"images": 500}), row(20, 10, parameters={"images": 500})])
    assert spent.usd_per_item == spent.total / 1000


def test_without_a_teardown_row_the_cost_is_open() -> None:
    (spent,) = spending(WHOLE[:-1])
    assert (spent.open, spent.teardown) == (True, None)
    assert spent.total < spending(WHOLE)[0].total


def test_functions_are_billed_for_their_own_time_and_are_never_idle() -> None:
    billed = Billed(function_s=3.0, function_gb_s=12.0, function_requests=8)
    runs = [row(at, 10, engine="lithops", billed=billed) for at in (0, 100)]
    (spent,) = spending(runs)
    assert (spent.startup, spent.idle, spent.open) == (0, 0, False)
    assert spent.total == 2 * (12 * Decimal("0.0000166667") + 8 * Decimal("0.0000002"))


def test_a_failed_run_is_idle_time_that_is_paid() -> None:
    failed = row(20, None, status="failed", failure={"kind": "engine", "message": "lost"})
    (spent,) = spending([row(0, 10), failed, row(40, 10), row(50, 0, "teardown_s")])
    assert round(spent.idle / (2 * SLOT_S), 9) == 30
    assert spent.runs == 2


def test_old_rows_are_priced_again_at_any_date_and_on_other_machines() -> None:
    real = [row(0, 3600, billed=Billed(node_s={"m6i.large": 7200.0}, worker_s=14400.0))]

    def usd(gib_month: str, address: str, machine: str) -> Decimal:
        return 2 * (Decimal(machine) + 40 * Decimal(gib_month) / 730 + Decimal(address))

    def run(**prices: Any) -> Decimal:
        return round(spending(real, Prices(**prices))[0].run, 12)

    assert run() == round(usd("0.08", "0.005", "0.096"), 12)
    assert run(on=date(2023, 12, 31)) == round(usd("0.08", "0", "0.096"), 12)
    assert run(region="eu-west-1") == round(usd("0.088", "0.005", "0.107"), 12)
    assert run(spot=True) == round(usd("0.08", "0.005", "0.0447"), 12)
    slots = [row(0, 3600)]
    assert spending(slots, Prices(arm=True))[0].run == Decimal("0.0816")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(0, -1.0)], r"r1, ray, run_s 0: took -1.0 s"),
        ([row(100, 10), row(20, 10)], "since the run before it"),
        ([row(0, 100), row(50, 10, "teardown_s")], "teardown_s 0, since the run before it"),
    ],
)
def test_a_clock_that_goes_backwards_is_an_error(rows: list[Row], message: str) -> None:
    with pytest.raises(ClockBackwards, match=message):
        spending(rows)


def test_engines_of_one_command_are_apart() -> None:
    both = [row(0, 10), row(5, 10, engine="dask"), row(20, 10), row(25, 10, engine="dask")]
    assert [(one.label, one.runs) for one in spending(both)] == [("ray", 2), ("dask", 2)]


def test_a_baseline_is_neither_idle_nor_open() -> None:
    (spent,) = spending([row(0, 10, engine="pandas"), row(100, 10, engine="pandas")])
    assert (spent.idle, spent.open) == (0, False)
