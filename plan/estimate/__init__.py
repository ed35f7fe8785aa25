"""Time and cost of a workload on a stack before anything is deployed, with an interval and the bottleneck's name.

`estimate` gives one Estimate per platform of a stack; `refuse_above_budget` stops a run that would pass the stack's
budget. How wrong the model has been so far is in `plan.estimate.backtest` and docs/costs.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np

from catalog.prices import table as price_table
from plan import billing, cost
from plan.estimate import phases as model
from plan.estimate.parameters import Draws, Parameters
from plan.estimate.parameters import read as read_parameters
from plan.estimate.phases import Phase, Run, Work
from plan.settings import Settings
from plan.sizing import FUNCTIONS, Size, sizes

DRAWS = 200
INTERVAL = (5, 95)
"""Percentiles of the draws between which the interval lies."""


class BudgetExceeded(RuntimeError):
    """The run would, at the upper end of its estimate, take the stack beyond its budget."""


@dataclass(frozen=True)
class Range:
    """The model at the parameters' values, and the middle 90 % of seeded draws from their ranges."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """One platform. Times in seconds; usd_parts by phase name, `requests` and `shared` (driver, control plane)."""

    target: str
    platform: str
    workers: int
    phases: tuple[Phase, ...]
    run_s: Range
    total_s: Range
    usd: Range
    usd_parts: dict[str, Decimal]
    saturates: str
    simulated: bool
    modelled: bool
    """True on `local`: priced as if its workers were slots of an m6i.large, its functions Lambda's."""


@dataclass(frozen=True)
class Terms:
    """What prices depend on."""

    region: str = cost.DEFAULT_REGION
    on: date | None = None
    spot: bool = False


def estimate(
    settings: Settings,
    work: Work,
    parameters: Parameters | None = None,
    terms: Terms | None = None,
    *,
    cold: bool = False,
) -> list[Estimate]:
    """One Estimate for each cluster and the functions of a stack; with something to sort, hybrids instead of functions.

    `cold`: the first run after the start; else a warm one. Raises ParameterMissing, PriceMissing, UnknownRegion, and
    catalog.instances.UnknownInstanceTypeError.
    """
    parameters, terms = parameters or read_parameters(), terms or Terms()
    found = sizes(settings)
    timeout_s = settings.functions.timeout_s if settings.functions else 0
    targets: dict[str, _Target] = {}
    for name, size in found.items():
        if name != FUNCTIONS:
            targets[name] = _Target(size)
            if work.kept is not None and FUNCTIONS in found:
                targets[f"{name}+{FUNCTIONS}"] = _Target(size, found[FUNCTIONS], timeout_s)
        elif work.kept is None:
            targets[name] = _Target(size, size, timeout_s)
    bill = _Bill(settings, terms)
    return [_estimate(name, target, work, parameters, bill, cold=cold) for name, target in targets.items()]


def refuse_above_budget(settings: Settings, expected_usd: Decimal | float, spent_usd: Decimal | float = 0) -> None:
    """Raise BudgetExceeded if spent money and this estimate (its upper end) pass the stack's budget, if it has one."""
    if settings.budget_usd is None:
        return
    budget, spent, expected = (billing.exact(usd) for usd in (settings.budget_usd, spent_usd, expected_usd))
    if spent + expected > budget:
        raise BudgetExceeded(
            f"stack {settings.stack!r}: {spent:.2f} USD spent and up to {expected:.2f} USD expected, wanted at most "
            f"budgetUsd {budget:.2f}; take less data, fewer repeats or a smaller stack, or raise budgetUsd in "
            f"Pulumi.{settings.stack}.yaml"
        )


def affordable_s(settings: Settings, target: str, terms: Terms | None = None, spent_usd: Decimal | float = 0) -> float:
    """Seconds for which `target` (a cluster, `functions`, or both with +) can run before the budget is spent.

    A runner takes the smaller of this and its own deadline, so that a run is cancelled when it exceeds the budget.
    Infinite where nothing costs money or no budget is set.
    """
    terms = terms or Terms()
    per_hour = cost.per_platform(cost.hourly(settings, terms.region, terms.on, spot=terms.spot))
    rate = sum((per_hour.get(name, Decimal(0)) for name in (*target.split("+"), *cost.SHARED)), Decimal(0))
    if settings.budget_usd is None or not rate:
        return float("inf")
    left = billing.exact(settings.budget_usd) - billing.exact(spent_usd)
    return max(0.0, float(left / rate * 3600))


@dataclass(frozen=True)
class _Target:
    """A cluster, functions, or both, a hybrid: functions read and filter, the cluster sorts."""

    size: Size
    functions: Size | None = None
    timeout_s: float = 0.0

    def phases(self, work: Work, parameters: Parameters, draw: int | None, cold: bool, late: float) -> "_Modelled":
        p = Draws(parameters, self.size.engine, self.size.platform, draw)
        f = Draws(parameters, "lithops", self.functions.platform, draw) if self.functions else p
        reader, values = (self.functions, f) if self.functions else (self.size, p)
        made = model.run(reader, work, values, self.timeout_s or np.inf, simulate=draw is None)
        read_s = made.seconds * late * (values["first_run_factor"] if cold else 1.0)
        cluster = {} if self.size.engine == "lithops" else _billed(self.size)
        billed_s, calls = (self._billed_s(made, f, cold=cold), made.tasks) if self.functions else (0.0, 0)
        spans = [*model.startup(self.size, p), Phase("run", read_s, **cluster, function_s=billed_s, calls=calls)]
        run_s = read_s
        if work.kept is not None:
            spans.append(Phase("sort", model.sort_s(self.size, work, p), **cluster))
            run_s += spans[-1].seconds
        if cluster:
            spans.append(Phase("teardown", p["teardown_s"], **cluster))
        return _Modelled(tuple(spans), run_s, made, work.request, self._requests(work, values))

    def _billed_s(self, made: Run, values: Draws, *, cold: bool) -> float:
        """Of all calls with the handler around each; a cold run starts each function's sandbox."""
        assert self.functions
        started = min(made.tasks, self.functions.workers) if cold else 0
        return made.tasks * (made.task_mean_s + values["handler_s"]) + started * values["init_s"]

    def _requests(self, work: Work, values: Draws) -> int:
        return max(work.items, round(work.gb * model.MB_PER_GB / values["request_mb"]))


@dataclass(frozen=True)
class _Modelled:
    phases: tuple[Phase, ...]
    run_s: float
    run: Run
    request: str
    requests: int

    @property
    def total_s(self) -> float:
        return sum(phase.seconds for phase in self.phases)


def _billed(size: Size) -> dict[str, int]:
    return {"nodes": size.nodes, "heads": 1 if size.platform == "ec2" else 0}


def _estimate(name: str, target: _Target, work: Work, parameters: Parameters, bill: "_Bill", *, cold: bool) -> Estimate:
    value = target.phases(work, parameters, None, cold, 1.0)
    # The draws use the closed form; where the value was simulated, all are lengthened by what the simulation added.
    late = value.run.seconds / value.run.closed_s
    draws = [target.phases(work, parameters, draw, cold, late) for draw in range(DRAWS)]
    parts = bill.parts(name, target, value)
    return Estimate(
        target=name,
        platform=target.size.platform,
        workers=(target.functions or target.size).workers,
        phases=value.phases,
        run_s=_range(value, draws, lambda made: made.run_s),
        total_s=_range(value, draws, lambda made: made.total_s),
        usd=_range(value, draws, lambda made: float(sum(bill.parts(name, target, made).values()))),
        usd_parts=parts,
        saturates=value.run.saturates,
        simulated=value.run.simulated,
        modelled=target.size.platform == "local",
    )


def _range(value: _Modelled, draws: list[_Modelled], of: Callable[[_Modelled], float]) -> Range:
    low, high = np.percentile([of(draw) for draw in draws], INTERVAL)
    return Range(of(value), min(float(low), of(value)), max(float(high), of(value)))


class _Bill:
    """Prices of one stack, looked up once."""

    def __init__(self, settings: Settings, terms: Terms):
        self.settings, self.terms = settings, terms
        self._hosts: dict[str, Decimal] = {}
        hourly = cost.per_platform(cost.hourly(settings, terms.region, terms.on, spot=terms.spot))
        self.shared_per_h = sum((hourly.get(name, Decimal(0)) for name in ("cache", "driver")), Decimal(0))
        if settings.kubernetes is not None:
            self.shared_per_h += price_table().price("eks:control-plane", terms.region, terms.on).usd

    def parts(self, name: str, target: _Target, made: _Modelled) -> dict[str, Decimal]:
        """USD by phase; the minute's minimum of machines is in the last phase that has any."""
        parts = {phase.name: self._phase(name, target, phase) for phase in made.phases}
        machine_s = billing.exact(round(sum(phase.seconds for phase in made.phases if phase.nodes), 3))
        last = next((phase for phase in reversed(made.phases) if phase.nodes), None)
        if last is not None and target.size.instance_type is not None:
            short_s = billing.instance_s(machine_s) - machine_s
            parts[last.name] += short_s * last.nodes * self._host(target.size.instance_type) / 3600
        parts["requests"] = self._usd(made.request, made.requests)
        parts["shared"] = self.shared_per_h * billing.exact(round(made.total_s, 3)) / 3600
        return parts

    def _phase(self, name: str, target: _Target, phase: Phase) -> Decimal:
        seconds, size = billing.exact(round(phase.seconds, 3)), target.size
        usd = Decimal(0)
        if size.instance_type is not None:
            usd += seconds * phase.nodes * self._host(size.instance_type) / 3600
            if phase.heads:
                usd += seconds * self._host(self._head_type(name, size.instance_type), on_demand=True) / 3600
        elif phase.nodes:  # local: modelled
            slots = Decimal(size.workers * self.settings.worker.vcpu) / cost.MODELLED_SLOTS
            usd += seconds * slots * self._usd(f"ec2:{cost.MODELLED_INSTANCE}", 1) / 3600
        if phase.calls and target.functions is not None:
            mean_s = billing.exact(round(phase.function_s / phase.calls, 6))
            gb_s = phase.calls * billing.lambda_gb_s([mean_s], target.functions.declared_mib)
            architecture = self.settings.functions.architecture if self.settings.functions else "x86_64"
            usd += self._usd(f"lambda:{architecture}", gb_s) + self._usd("lambda:request", phase.calls)
        return usd

    def _head_type(self, name: str, workers: str) -> str:
        cluster = self.settings.clusters[name.removesuffix(f"+{FUNCTIONS}")]
        return cluster.head_instance_type or workers

    def _host(self, instance_type: str, *, on_demand: bool = False) -> Decimal:
        spot = self.terms.spot and not on_demand
        key = f"{instance_type} {spot}"
        if key not in self._hosts:
            self._hosts[key] = cost.host_usd_per_h(instance_type, self.terms.region, self.terms.on, spot=spot)
        return self._hosts[key]

    def _usd(self, item: str, quantity: int | Decimal) -> Decimal:
        return billing.usd(quantity, price_table().tiers(item, self.terms.region, self.terms.on))


def scaled(settings: Settings, workers: int) -> Settings:
    """The same stack with this many workers on every platform; nodes follow from slots. For what-if only."""
    found, kubernetes = sizes(settings), settings.kubernetes
    clusters = {}
    for name, cluster in settings.clusters.items():
        nodes = -(-workers // found[name].slots_per_node)
        change = {"workers": workers} if cluster.platform == "eks" else {"nodes": nodes}
        clusters[name] = cluster.model_copy(update={**change, "autoscale": None})
        if cluster.platform == "eks" and kubernetes is not None:
            kubernetes = kubernetes.model_copy(update={"nodes": nodes, "min_nodes": None, "max_nodes": None})
    functions = settings.functions and settings.functions.model_copy(update={"max_workers": workers})
    return settings.model_copy(update={"clusters": clusters, "functions": functions, "kubernetes": kubernetes})
