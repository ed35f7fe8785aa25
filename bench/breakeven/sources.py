"""Where a break-even's figures come from: measured rows, or the estimate of a stack that is not deployed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from bench import stats
from bench.breakeven import Kind, Option, Spread, exactly
from bench.costs import DOWN, Prices, held, worker_of
from bench.engines import BASELINES
from bench.lifecycle import cluster_of
from bench.rows import Row
from plan import cost
from plan import estimate as estimates
from plan.estimate import Estimate, Terms
from plan.estimate.parameters import Parameters
from plan.estimate.phases import Work
from plan.settings import Settings


class Job(NamedTuple):
    """What options must have in common to be compared."""

    stack: str
    workload: str
    reader: str | None
    uri: str
    size_bytes: int


def from_estimates(
    settings: Settings, work: Work, terms: Terms | None = None, parameters: Parameters | None = None
) -> list[Option]:
    """Options of a stack before it is deployed. Raises as plan.estimate.estimate."""
    terms = terms or Terms()
    hourly = cost.per_platform(cost.hourly(settings, terms.region, terms.on, spot=terms.spot))
    shared = sum((hourly.get(name, Decimal(0)) for name in cost.SHARED), Decimal(0))
    found = estimates.estimate(settings, work, parameters, terms)
    return [_of_estimate(one, settings, hourly, shared) for one in found]


def from_rows(rows: Iterable[Row], prices: Prices | None = None) -> list[Option]:
    """Options from the warm samples of one job that count, by engine: medians with intervals. Baselines are no option.

    Raises ValueError for rows of several jobs (see `jobs`), which say nothing of each other, and PriceMissing.
    """
    rows = [row for row in rows if row.label == row.engine and row.engine not in BASELINES]
    if len(found := jobs(rows)) > 1:
        raise ValueError(f"found rows of {len(found)} jobs, {', '.join(map(str, found))}; wanted one")
    prices, groups, edges = prices or Prices(), defaultdict(list), defaultdict(list)
    for row in rows:
        if row.metric == "run_s" and row.condition == "warm" and row.status == "ok" and row.value:
            groups[row.label].append(row)
        elif row.metric in ("startup_s", "teardown_s") and row.value is not None:
            # A cluster ends once, whichever of its engines has the row.
            of = cluster_of(row.engine) if row.metric == "teardown_s" else row.label
            edges[of or row.label, row.metric].append(row.value)
    return [_of_rows(label, group, edges, prices) for label, group in groups.items()]


def jobs(rows: Iterable[Row]) -> dict[Job, list[Row]]:
    """Rows by what was done: stack, workload, reader, data and its size in bytes. A stack's `down` is of all."""
    found: dict[Job, list[Row]] = defaultdict(list)
    ends: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.workload == DOWN:
            ends[row.stack].append(row)
            continue
        data = (row.data.uri, row.data.size_bytes) if row.data else ("", 0)
        found[Job(row.stack, row.workload, row.reader, *data)].append(row)
    return {job: group + ends[job.stack] for job, group in found.items() if any(row.metric == "run_s" for row in group)}


def _of_estimate(one: Estimate, settings: Settings, hourly: Mapping[str, Decimal], shared: Decimal) -> Option:
    name = one.target.split("+")[0]
    kind: Kind = "functions" if one.target == "functions" else "hybrid" if "+" in one.target else "cluster"
    own_shared = float(shared)
    hold = float(hourly.get(name, Decimal(0))) + own_shared if kind != "functions" else 0.0
    if kind != "functions" and one.modelled:
        hold = float(_modelled_hold(settings, one)) + own_shared
    run_s = Spread(one.run_s.value, one.run_s.low, one.run_s.high)
    total, ran = one.total_s, one.run_s
    edge_s = Spread(total.value - ran.value, max(total.low - ran.low, 0.0), max(total.high - ran.high, 0.0))
    if kind == "functions":
        return Option(one.target, kind, run_s, Spread(one.usd.value, one.usd.low, one.usd.high), 0.0, exactly(0))
    used = {part: float(usd) for part, usd in one.usd_parts.items()}
    adds = used["requests"]
    if kind == "hybrid":  # of the run's cost, what is not the cluster's being up
        read_s = next(phase.seconds for phase in one.phases if phase.name == "run")
        adds += max(0.0, used["run"] - (hold - own_shared) / 3600 * read_s)
    ratio = Spread(1.0, one.usd.low / one.usd.value, one.usd.high / one.usd.value)
    return Option(one.target, kind, run_s, ratio * adds, hold, edge_s)


def _modelled_hold(settings: Settings, one: Estimate) -> Decimal:
    return Prices().usd({"worker_s": one.workers * 3600.0}, settings.worker)


def _of_rows(label: str, group: list[Row], edges: Mapping[tuple[str, str], list[float]], prices: Prices) -> Option:
    worker = worker_of(group[0])
    hold = float(prices.usd(held(group[0]), worker)) * 3600
    used = [row.billed.model_dump() | {"node_s": {}, "worker_s": 0.0} for row in group]
    adds = [float(prices.usd(billed, worker)) for billed in used]
    kind: Kind = "functions" if not hold else "hybrid" if any(row.billed.function_s for row in group) else "cluster"
    of = cluster_of(group[0].engine) or label
    known = [edges.get((label, "startup_s")), edges.get((of, "teardown_s"))]
    edge_s = exactly(0) if kind == "functions" else None
    if kind != "functions" and all(known):
        edge_s = sum((_spread(seconds) for seconds in known if seconds), exactly(0))
    return Option(label, kind, _spread([row.value or 0.0 for row in group]), _spread(adds), hold, edge_s)


def _spread(samples: Sequence[float]) -> Spread:
    found = stats.estimate(samples)
    low = found.low if found.low is not None else found.least
    return Spread(found.median, low, found.high if found.high is not None else found.greatest)


def on_arm(settings: Settings) -> Settings:
    """What if: every m6i as an m7g of the same size, functions on Arm, at the same speed, which is to be measured."""
    clusters = {
        name: cluster.model_copy(update={"instance_type": _arm(cluster.instance_type), "head_instance_type": None})
        for name, cluster in settings.clusters.items()
    }
    kubernetes, functions = settings.kubernetes, settings.functions
    return settings.model_copy(
        update={
            "clusters": clusters,
            "functions": functions and functions.model_copy(update={"architecture": "arm64"}),
            "kubernetes": kubernetes
            and kubernetes.model_copy(update={"instance_type": _arm(kubernetes.instance_type)}),
        }
    )


def _arm(instance_type: str | None) -> str | None:
    return instance_type and instance_type.replace("m6i.", "m7g.").replace("m7i.", "m7g.")
