"""Billing rules hold for any quantities: not negative, not less for more, additive over a month, no jump at a tier."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.prices import table
from plan import billing

TIERED = [table().tiers(item, "us-east-1") for item in ("lambda:x86_64", "lambda:arm64", "transfer:internet")]
quantities = st.decimals(min_value=0, max_value=10**11, allow_nan=False, allow_infinity=False, places=3)
durations_s = st.lists(st.decimals(min_value=0, max_value=900, places=4), max_size=20)
memory_mib = st.integers(min_value=128, max_value=10240)


@given(st.sampled_from(TIERED), quantities, quantities)
def test_tiers_are_additive_and_monotone(tiers: tuple, first: Decimal, second: Decimal) -> None:
    apart = billing.usd(first, tiers) + billing.usd(second, tiers, before=first)
    assert abs(billing.usd(first + second, tiers) - apart) < Decimal("1e-9")
    assert 0 <= billing.usd(first, tiers) <= billing.usd(first + second, tiers)


@pytest.mark.parametrize("tiers", TIERED, ids=lambda tiers: tiers[0].item)
def test_tiers_are_continuous_and_each_has_its_price(tiers: tuple) -> None:
    unit = Decimal("0.001")
    for tier in tiers[1:]:
        step = billing.usd(tier.above + unit, tiers) - billing.usd(tier.above, tiers)
        assert step == unit * tier.usd
    assert len({tier.usd for tier in tiers}) == len(tiers)


@given(durations_s, durations_s, memory_mib)
def test_functions_are_billed_each_by_its_own_time(one: list, other: list, memory: int) -> None:
    together = billing.lambda_gb_s([*one, *other], memory)
    assert together == billing.lambda_gb_s(one, memory) + billing.lambda_gb_s(other, memory)
    longest = max([*one, *other], default=Decimal(0))
    assert together <= billing.lambda_gb_s([longest] * len([*one, *other]), memory)
    assert together >= sum([*one, *other], Decimal(0)) * memory / 1024


@given(st.decimals(min_value=0, max_value=10**6, places=3), st.decimals(min_value=0, max_value=10**6, places=3))
def test_instances_by_the_second_with_a_minute_at_least(first: Decimal, more: Decimal) -> None:
    assert billing.instance_s(first) <= billing.instance_s(first + more)
    assert billing.instance_s(first) >= first
    assert billing.instance_s(first) in (0, 60) or billing.instance_s(first) - first < 1


@pytest.mark.parametrize(
    ("rule", "used", "billed"),
    [
        (billing.instance_s, 0, 0),
        (billing.instance_s, 0.2, 60),
        (billing.instance_s, 60.001, 61),
        (billing.hours_begun, 1, 1),
        (billing.hours_begun, 3600, 1),
        (billing.hours_begun, 3600.5, 2),
    ],
)
def test_rounding(rule: object, used: float, billed: int) -> None:
    assert rule(used) == billed  # type: ignore[operator]


def test_a_call_is_rounded_up_to_its_millisecond() -> None:
    assert billing.lambda_gb_s([0.0001, 0.0001], 1024) == Decimal("0.002")
    assert billing.lambda_ephemeral_gb_s([1], 512) == 0
    assert billing.lambda_ephemeral_gb_s([1], 1536) == 1


def test_storage_is_pro_rata_of_a_month_of_730_hours() -> None:
    assert billing.gb_months(2**30, 730) == 1
    assert billing.gb_months(2**31, 365) == 1


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), Decimal("-0.1")])
def test_no_quantity_is_negative_or_not_a_number(wrong: float) -> None:
    with pytest.raises(ValueError, match="wanted a finite number of at least 0"):
        billing.exact(wrong)


def test_a_clock_that_goes_backwards_bills_nothing() -> None:
    assert billing.elapsed_s(0.1, 0.3, "run") == Decimal("0.2")
    with pytest.raises(billing.ClockBackwards, match="ray run 3: ends at 9 s, before its start at 10"):
        billing.elapsed_s(10, 9, "ray run 3")
