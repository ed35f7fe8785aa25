"""Medians with bootstrap intervals, ratios of medians, a verdict that needs both a size and a confidence, the A/A test.

Method: percentile bootstrap of the median, seeded, by scipy. Medians and not means, because one slow sample on a shared
machine should not move the figure. The percentile form and not BCa, because the jackknife on which BCa rests does not
hold for a median.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 2000
MIN_SIZE = 0.05
# From the least to the greatest of n samples holds the true median with probability 1 - 2**(1 - n) whatever the
# distribution: 50 % at 2, 75 % at 3, 87.5 % at 4, 93.75 % at 5. Below 5, no interval within the samples can say 95 %.
MIN_SAMPLES = 5

Samples = Sequence[float] | np.ndarray
Kept = Literal["yes", "no", "can't say", "too few"]
Verdict = Literal["slower", "faster", "alike", "unclear", "too few"]


@dataclass(frozen=True)
class Estimate:
    """A median of n samples, in their unit. low and high are None below MIN_SAMPLES; `method` says which it is."""

    n: int
    median: float
    low: float | None
    high: float | None
    least: float
    greatest: float
    method: str


@dataclass(frozen=True)
class Comparison:
    """Ratio of the medians, other over base: above 1 is slower.

    slower, faster: the ratio is beyond `min_size` and its interval lies on one side of 1. alike: the whole interval is
    within `min_size`. unclear: neither could be shown. too few: a side has under MIN_SAMPLES samples.
    """

    base: Estimate
    other: Estimate
    ratio: float
    low: float | None
    high: float | None
    verdict: Verdict
    min_size: float
    method: str

    @property
    def differs(self) -> bool:
        """True where a difference was shown."""
        return self.verdict in ("slower", "faster")


@dataclass(frozen=True)
class NullTest:
    """One engine against itself. `differing` of `resamples` random splits showed a difference, which is a false alarm.

    `direct` compares the two labels as they were run: a difference there means that the harness treats them unequally.
    """

    direct: Comparison
    differing: int
    resamples: int
    allowed: int

    @property
    def passed(self) -> bool:
        """True where false alarms are rare enough and the labels do not differ; never on too few samples to tell."""
        return self.differing <= self.allowed and self.direct.verdict in ("alike", "unclear")


def estimate(values: Samples, seed: int = 0) -> Estimate:
    """Median and interval of one sample. Raises ValueError on an empty sample or a value that is not finite."""
    sample = _sample(values)
    low, high = _interval((sample,), _median, seed) if len(sample) >= MIN_SAMPLES else (None, None)
    if low is not None and high is not None:  # interpolating between percentiles can round a last bit past the samples
        low, high = max(low, float(sample.min())), min(high, float(sample.max()))
    return Estimate(
        len(sample), float(np.median(sample)), low, high, float(sample.min()), float(sample.max()), method(len(sample))
    )


def compare(base: Samples, other: Samples, min_size: float = MIN_SIZE, seed: int = 0) -> Comparison:
    """Compare two samples of one positive quantity. Raises ValueError as `estimate`, and at zero or below."""
    left, right = _sample(base), _sample(other)
    if left.min() <= 0 or right.min() <= 0:
        raise ValueError(f"found {min(left.min(), right.min())}, wanted values above zero: a ratio needs them")
    smaller = min(len(left), len(right))
    ratio = float(np.median(right) / np.median(left))
    low, high = _interval((left, right), _ratio, seed) if smaller >= MIN_SAMPLES else (None, None)
    verdict = _verdict(ratio, low, high, min_size)
    return Comparison(estimate(base, seed), estimate(other, seed), ratio, low, high, verdict, min_size, method(smaller))


def kept(low: float | None, high: float | None, bound: float, *, at_least: bool = False) -> Kept:
    """Whether a figure keeps its bound (at most, or `at_least`), by its whole interval and not by its median alone.

    can't say: the bound lies within the interval. too few: under MIN_SAMPLES samples there is none.
    """
    if low is None or high is None:
        return "too few"
    if at_least:
        return "yes" if low >= bound else "no" if high < bound else "can't say"
    return "yes" if high <= bound else "no" if low > bound else "can't say"


def null_test(first: Samples, second: Samples, resamples: int = 100, allowed: int = 10, seed: int = 0) -> NullTest:
    """The A/A test: deal all samples into two random halves of the same sizes again and again, and count false alarms.

    At 95 % some 5 in 100 are to be expected; more than `allowed` means that the verdict is too eager for this noise.
    """
    pooled = np.concatenate([_sample(first), _sample(second)])
    dealer = np.random.default_rng(seed)
    deals = [dealer.permutation(pooled) for _ in range(resamples)]
    cut = len(first)
    alarms = sum(compare(deal[:cut], deal[cut:], seed=turn).differs for turn, deal in enumerate(deals))
    return NullTest(compare(first, second, seed=seed), alarms, resamples, allowed)


def method(n: int) -> str:
    """How an interval of n samples came about, for a table's or a chart's caption."""
    if n < MIN_SAMPLES:
        return f"no interval: {n} sample{'s' * (n != 1)}, {MIN_SAMPLES} needed"
    return f"median, {CONFIDENCE:.0%} percentile bootstrap, {RESAMPLES} resamples, n={n}"


def _sample(values: Samples) -> np.ndarray:
    sample = np.asarray(values, dtype=float)
    if not len(sample) or not np.isfinite(sample).all():
        raise ValueError(f"found {list(values)[:5]}, wanted one or more finite numbers")
    return sample


def _median(sample: np.ndarray, axis: int = -1) -> Any:
    return np.median(sample, axis=axis)


def _ratio(base: np.ndarray, other: np.ndarray, axis: int = -1) -> Any:
    return np.median(other, axis=axis) / np.median(base, axis=axis)


def _interval(samples: tuple[np.ndarray, ...], statistic: Any, seed: int) -> tuple[float, float]:
    from scipy.stats import bootstrap

    with warnings.catch_warnings():
        # Equal samples give an interval of no width, which is what was measured; scipy warns of it.
        warnings.filterwarnings("ignore", message=".*[Dd]egenerate.*")
        result = bootstrap(
            samples,
            statistic,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method="percentile",
            vectorized=True,
            rng=np.random.default_rng(seed),
        )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _verdict(ratio: float, low: float | None, high: float | None, min_size: float) -> Verdict:
    if low is None or high is None:
        return "too few"
    if ratio >= 1 + min_size and low > 1:
        return "slower"
    if ratio <= 1 / (1 + min_size) and high < 1:
        return "faster"
    return "alike" if low >= 1 / (1 + min_size) and high <= 1 + min_size else "unclear"
