"""At how many runs a day a cluster is as cheap as functions, and where a hybrid is best. `python -m bench.breakeven`.

A cluster is either kept up, at a price per hour whatever it does, or started for each run; its owner takes the cheaper.
Functions cost the same for every run. Figures come from rows (measured, intervals by bootstrap) or from the estimate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["cluster", "functions", "hybrid"]
HOURS, DAY_S = 24, 86_400


@dataclass(frozen=True)
class Spread:
    """A figure with the range it was measured or estimated in; low and high equal value where no range is known."""

    value: float
    low: float
    high: float

    def __mul__(self, factor: float) -> "Spread":
        return Spread(self.value * factor, self.low * factor, self.high * factor)

    def __add__(self, other: "Spread") -> "Spread":
        return Spread(self.value + other.value, self.low + other.low, self.high + other.high)


@dataclass(frozen=True)
class Option:
    """One way to run the workload. run_usd: what one run adds (0 for a cluster that is up); hold_usd_per_h: being up.

    edge_s: start-up and teardown of one session, None where rows do not say; then only `kept up` is offered.
    """

    name: str
    kind: Kind
    run_s: Spread
    run_usd: Spread
    hold_usd_per_h: float
    edge_s: Spread | None

    @property
    def runs_per_day(self) -> float:
        """The most that fit in a day one after the other."""
        return DAY_S / self.run_s.value

    def kept_usd(self, runs: float) -> Spread:
        """USD for a day in which it is up all the time. Runs beyond `runs_per_day` do not fit."""
        return self.run_usd * runs + exactly(self.hold_usd_per_h * HOURS)

    def started_usd(self, runs: float) -> Spread | None:
        """USD for a day in which it is started and ended for each run."""
        if self.edge_s is None:
            return None
        return (self.run_usd + (self.edge_s + self.run_s) * (self.hold_usd_per_h / 3600)) * runs

    def day_usd(self, runs: float) -> Spread:
        """The cheaper of the two; functions hold nothing, so both are the same."""
        kept, started = self.kept_usd(runs), self.started_usd(runs)
        return kept if started is None or kept.value <= started.value else started


@dataclass(frozen=True)
class BreakEven:
    """Where `cluster` costs as much as `functions`. runs_per_day is None where it can't carry so many.

    busy_share: the share of the day for which the cluster must be busy; above 1 it cannot be.
    """

    cluster: str
    functions: str
    runs_per_day: Spread | None
    busy_share: Spread
    reason: str


def break_even(cluster: Option, functions: Option) -> BreakEven:
    """Where a day of a cluster that is kept up costs what functions cost, for the same runs.

    The interval takes the opposite ends of both costs, so it is wider than either source's 95 or 90 %. Raises
    ValueError where functions cost nothing.
    """
    if functions.run_usd.value <= 0:
        raise ValueError(
            f"{functions.name}: found a cost of {functions.run_usd.value} USD per run, wanted more than zero"
        )
    day_usd = cluster.hold_usd_per_h * HOURS
    saved = Spread(
        functions.run_usd.value - cluster.run_usd.value,
        functions.run_usd.low - cluster.run_usd.high,
        functions.run_usd.high - cluster.run_usd.low,
    )
    runs = Spread(*(day_usd / usd if usd > 0 else math.inf for usd in (saved.value, saved.high, saved.low)))
    share = Spread(
        runs.value * cluster.run_s.value / DAY_S,
        runs.low * cluster.run_s.low / DAY_S,
        runs.high * cluster.run_s.high / DAY_S,
    )
    fits = share.value <= 1
    reason = (
        f"the cluster must be busy {share.value:.0%} of the day"
        if fits
        else f"{runs.value:,.0f} runs a day would be needed, and {cluster.runs_per_day:,.0f} fit"
    )
    return BreakEven(cluster.name, functions.name, runs if fits else None, share, reason)


def cheapest(options: Sequence[Option], runs: float) -> Option:
    """The option that costs least for so many runs a day, of those that can carry them."""
    able = [option for option in options if option.kind == "functions" or runs <= option.runs_per_day]
    if not able:
        raise ValueError(f"found no option that carries {runs:,.0f} runs a day; wanted a larger stack")
    return min(able, key=lambda option: option.day_usd(runs).value)


def hybrid_best(options: Sequence[Option]) -> tuple[float, float] | None:
    """The runs a day between which a hybrid costs least, None where it never does."""
    best = [runs for runs in grid(options) if cheapest_or_none(options, runs) == "hybrid"]
    return (best[0], best[-1]) if len(best) > 1 else None


def cheapest_or_none(options: Sequence[Option], runs: float) -> Kind | None:
    """The kind of the cheapest option, None where none carries the load."""
    able = any(option.kind == "functions" or runs <= option.runs_per_day for option in options)
    return cheapest(options, runs).kind if able else None


def cheapest_functions(options: Sequence[Option]) -> Option | None:
    """The functions that every cluster is held against, None where there are none."""
    return min((o for o in options if o.kind == "functions"), key=lambda o: o.run_usd.value, default=None)


def reached(options: Sequence[Option]) -> list[BreakEven]:
    """Break-evens that a cluster can carry, the lowest load first; of equal ones in the order of the options."""
    functions = cheapest_functions(options)
    found = [break_even(o, functions) for o in options if o.kind == "cluster"] if functions else []
    return sorted((one for one in found if one.runs_per_day), key=lambda one: (one.runs_per_day or exactly(0)).value)


def sentence(options: Sequence[Option]) -> str:
    """What the chart says, in one sentence."""
    functions, cluster = cheapest_functions(options), next((o for o in options if o.kind == "cluster"), None)
    if functions is None or cluster is None:
        return "One of functions and clusters is missing, so there is nothing to break even."
    hybrid = hybrid_best(options)
    tail = f"; a hybrid costs least from {hybrid[0]:,.0f} to {hybrid[1]:,.0f} runs a day" if hybrid else ""
    if not (found := reached(options)):
        reason = break_even(cluster, functions).reason
        return f"Functions cost least at any load that the clusters can carry: {reason}{tail}."
    best = found[0]
    runs, share = best.runs_per_day or exactly(math.inf), best.busy_share
    return (
        f"Below {runs.value:,.0f} runs a day{_span(runs, ',.0f')} functions cost less than {best.cluster} kept up; "
        f"above it, when the cluster is busy more than {share.value:.0%} of the day{_span(share, '.0%')}, "
        f"{best.cluster} does{tail}."
    )


def title(options: Sequence[Option]) -> str:
    """The sentence in a few words, of the same cluster."""
    if not (found := reached(options)):
        return "Functions cost least at any load that a cluster here can carry"
    runs = found[0].runs_per_day or exactly(math.inf)
    return f"{found[0].cluster} pays off from {runs.value:,.0f} runs a day on; below that functions do"


def exactly(value: float) -> Spread:
    """A figure of which no range is known."""
    return Spread(value, value, value)


def grid(options: Sequence[Option]) -> list[float]:
    """Runs a day from 1 to the most that any cluster carries, evenly on a log scale."""
    most = max((option.runs_per_day for option in options if option.kind != "functions"), default=1000.0)
    return [float(runs) for runs in np.geomspace(1, max(most, 10), 120)]


def _span(found: Spread, form: str) -> str:
    if found.low == found.high:
        return ""  # too few samples for an interval
    high = "no upper end" if math.isinf(found.high) else f"{found.high:{form}}"
    return f" ({found.low:{form}} to {high})"
