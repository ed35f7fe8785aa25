"""Guards: a verdict from noise alone, an interval too few samples cannot carry, small or unsure differences told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import stats

TIMES = st.lists(st.floats(0.01, 1e4), min_size=stats.MIN_SAMPLES, max_size=12)

NOISE = {
    "narrow": lambda rng, n: 4 * np.exp(0.03 * rng.standard_normal(n)),
    "skewed": lambda rng, n: 4 * np.exp(0.5 * rng.standard_normal(n)),
    "one in five three times as long": lambda rng, n: (
        4 * (1 + 0.03 * rng.standard_normal(n)) * (1 + 2 * (rng.random(n) < 0.2))
    ),
    "two modes": lambda rng, n: np.where(rng.random(n) < 0.5, 4.0, 5.0) * (1 + 0.01 * rng.standard_normal(n)),
    "waiting times": lambda rng, n: 4 + rng.exponential(1.0, n),
    "a coarse clock": lambda rng, n: np.round(4 + rng.exponential(0.5, n), 1),
}


@pytest.mark.parametrize("n", [5, 8, 20])
@pytest.mark.parametrize("noise", NOISE)
def test_equal_engines_differ_in_at_most_10_of_100_fresh_pairs(noise: str, n: int) -> None:
    draw = NOISE[noise]
    rngs = [np.random.default_rng(seed) for seed in range(100)]
    alarms = sum(stats.compare(draw(rng, n), draw(rng, n), seed=seed).differs for seed, rng in enumerate(rngs))
    assert alarms <= 10


@pytest.mark.parametrize("noise", NOISE)
def test_null_test_passes_on_equal_labels(noise: str) -> None:
    rng = np.random.default_rng(7)
    result = stats.null_test(NOISE[noise](rng, 8), NOISE[noise](rng, 8))
    assert result.passed
    assert result.resamples == 100


def test_null_test_fails_when_one_label_is_always_slower() -> None:
    rng = np.random.default_rng(1)
    first = NOISE["narrow"](rng, 10)
    assert not stats.null_test(first, first * 1.3).passed


def test_null_test_does_not_pass_on_too_few_samples() -> None:
    assert not stats.null_test([1.0], [1.0]).passed


@pytest.mark.parametrize("noise", ["narrow", "waiting times"])
def test_a_real_difference_is_seen(noise: str) -> None:
    rng = np.random.default_rng(3)
    base, other = NOISE[noise](rng, 20), NOISE[noise](rng, 20) * 1.5
    assert stats.compare(base, other).verdict == "slower"
    assert stats.compare(other, base).verdict == "faster"


@pytest.mark.parametrize("n", range(1, stats.MIN_SAMPLES))
def test_few_samples_have_no_interval_and_say_so(n: int) -> None:
    result = stats.estimate([1.0] * n)
    assert (result.low, result.high) == (None, None)
    assert f"{n} sample" in result.method
    assert str(stats.MIN_SAMPLES) in result.method
    assert stats.compare([1.0] * n, [9.0] * 10).verdict == "too few"


def test_sure_but_small_is_no_difference() -> None:
    rng = np.random.default_rng(5)
    base = 4 * (1 + 0.001 * rng.standard_normal(20))
    result = stats.compare(base, base * 1.02)
    assert result.low is not None
    assert result.low > 1
    assert result.verdict == "alike"


def test_large_but_unsure_is_unclear() -> None:
    assert stats.compare([1, 2, 3, 4, 5], [1.1, 2.4, 4, 5, 6]).verdict == "unclear"


@given(TIMES)
@settings(max_examples=50)
def test_a_sample_never_differs_from_itself(sample: list[float]) -> None:
    result = stats.compare(sample, sample)
    assert result.ratio == 1.0
    assert not result.differs


@given(TIMES)
@settings(max_examples=50)
def test_interval_holds_the_median_and_stays_within_the_samples(sample: list[float]) -> None:
    result = stats.estimate(sample)
    assert result.low is not None
    assert result.high is not None
    assert result.least <= result.low <= result.median <= result.high <= result.greatest
    assert result == stats.estimate(sample), "the same seed gives the same interval"


@pytest.mark.parametrize("bad", [[], [1.0, float("nan")], [float("inf")]])
def test_what_is_no_sample_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="wanted one or more finite numbers"):
        stats.estimate(bad)


@pytest.mark.parametrize("zero", [0.0, -1.0])
def test_a_ratio_needs_values_above_zero(zero: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        stats.compare([1.0, 2.0], [zero, 1.0])
