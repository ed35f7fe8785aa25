"""What a stack costs per hour and at worst: every host with all it brings, no silent zero, one rule for the bound."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from catalog.prices import PriceMissing, UnknownRegion
from plan import cost
from plan.settings import Settings, Worker, parse

M6I = Decimal("0.096")
HOST = M6I + Decimal("0.08") * cost.VOLUME_GIB / 730 + Decimal("0.005")
LAMBDA = Decimal("0.0000166667")


def stack(**document: Any) -> Settings:
    clusters = {
        "ray": {"engine": "ray", "platform": "ec2", "instanceType": "m6i.large", "nodes": 64},
        "dask": {"engine": "dask", "platform": "ec2", "instanceType": "m6i.large", "nodes": 32},
    }
    functions = {"platform": "lambda", "maxWorkers": 128, "timeoutS": 900}
    default = {"program": "bench", "clusters": clusters, "functions": functions, "driver": {}, "ttlH": 4}
    given = {key: value for key, value in {**default, **document}.items() if value is not None}
    return parse(given, "bench-128")


def test_every_host_is_priced_with_its_volume_and_address() -> None:
    per_hour = cost.per_platform(cost.hourly(stack()))
    assert {name: round(usd, 6) for name, usd in per_hour.items()} == {
        "ray": round(65 * HOST, 6),  # 64 nodes and the head
        "dask": round(33 * HOST, 6),
        "functions": round(128 * 4 * 3600 * LAMBDA, 6),
        "driver": round(HOST, 6),
    }


def test_kubernetes_is_priced_once_for_all_its_clusters() -> None:
    eks = {name: {"engine": name, "platform": "eks", "workers": 8} for name in ("ray", "dask")}
    settings = stack(
        clusters=eks,
        functions=None,
        driver=None,
        kubernetes={"version": "1.33", "instanceType": "m6i.2xlarge", "nodes": 7},
    )
    node = Decimal("0.384") + HOST - M6I
    assert round(cost.per_platform(cost.hourly(settings))["kubernetes"], 6) == round(Decimal("0.10") + 7 * node, 6)


def test_local_parts_cost_nothing() -> None:
    local = {"ray": {"engine": "ray", "platform": "local", "nodes": 1, "slotsPerNode": 2}}
    settings = stack(program="embedded", clusters=local, functions=None, driver=None, ttlH=None)
    assert cost.hourly(settings) == []
    assert cost.worst_until_expiry(settings) == 0


def test_worst_is_one_cluster_all_the_time_and_functions_for_seven_calls() -> None:
    called_h = Decimal(cost.FUNCTION_RUNS * 900) / 3600
    requests = cost.FUNCTION_RUNS * 128 * Decimal("0.0000002")
    wanted = 4 * (HOST + 65 * HOST) + called_h * 128 * 4 * 3600 * LAMBDA + requests
    assert round(cost.worst_until_expiry(stack()), 6) == round(wanted, 6)


def test_functions_are_not_called_for_longer_than_the_stack_lives() -> None:
    only = {"clusters": {}, "driver": None, "ttlH": 1}
    assert cost.worst_until_expiry(stack(**only)) < 128 * 4 * 3600 * LAMBDA + 1


def test_cost_without_an_end_has_no_bound() -> None:
    with pytest.raises(ValueError, match="'bench-128': costs money without ttlH"):
        cost.worst_until_expiry(stack(ttlH=None))


def test_spot_prices_nodes_but_neither_head_nor_driver() -> None:
    lines = [line for line in cost.hourly(stack(functions=None), spot=True) if line.item.startswith("ec2")]
    assert [(line.item, line.platform, line.quantity) for line in lines] == [
        ("ec2:m6i.large", "ray", 1),
        ("ec2-spot:m6i.large", "ray", 64),
        ("ec2:m6i.large", "dask", 1),
        ("ec2-spot:m6i.large", "dask", 32),
        ("ec2:m6i.large", "driver", 1),
    ]


def test_what_has_no_price_is_never_free() -> None:
    unpriced = {"ray": {"engine": "ray", "platform": "ec2", "instanceType": "x9.large", "nodes": 1}}
    with pytest.raises(PriceMissing, match=r"'ec2:x9\.large' in us-east-1"):
        cost.hourly(stack(clusters=unpriced))
    with pytest.raises(UnknownRegion, match=r"us-east-7.*us-east-1"):
        cost.hourly(stack(), region="us-east-7")
    with pytest.raises(PriceMissing, match=r"on 2019-01-01"):
        cost.hourly(stack(), on=date(2019, 1, 1))


def test_embedded_rows_are_modelled_as_slots_and_gb_seconds() -> None:
    billed = {"node_s": {"local": 1800.0}, "worker_s": 3600.0, "function_gb_s": 1000.0, "function_requests": 1_000_000}
    usd, priced = cost.modelled_usd(billed, Worker())
    assert usd == M6I / 2 + 1000 * LAMBDA + Decimal("0.20")
    assert priced == date(2026, 7, 20)  # the longest unchecked of the prices used


def test_nodes_of_a_real_type_are_priced_with_volume_and_address() -> None:
    billed = {"node_s": {"m6i.large": 7200.0}, "worker_s": 14400.0}
    assert cost.modelled_usd(billed, Worker())[0] == 2 * cost.host_usd_per_h("m6i.large", "us-east-1")
    before_addresses_cost = 2 * (M6I + 40 * Decimal("0.08") / 730)
    usd, priced = cost.modelled_usd(billed, Worker(), date(2023, 12, 31))
    assert (round(usd, 12), priced) == (round(before_addresses_cost, 12), date(2023, 12, 31))


def test_functions_on_arm_have_their_own_price() -> None:
    billed = {"function_gb_s": 1000.0, "architecture": "arm64"}
    assert cost.modelled_usd(billed, Worker())[0] == 1000 * Decimal("0.0000133334")


def test_a_tier_that_is_not_reached_is_no_price_used() -> None:
    used = cost.prices_of({"function_gb_s": 1000.0}, Worker())
    assert [(price.item, price.above) for price in used] == [("lambda:x86_64", 0)]


def test_a_negative_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match="wanted a finite number of at least 0"):
        cost.modelled_usd({"worker_s": -1.0}, Worker())
