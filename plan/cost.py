"""What a stack costs: per hour when scaled up, at worst until it expires, and what measured work would cost.

Everything comes from settings, `catalog/prices.csv` and `plan.billing`. Not in the hourly lines, because they follow
use and not time: S3 requests and storage, image storage, log ingestion, data sent between zones or out of the region.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from catalog.prices import Price, PriceTable
from catalog.prices import table as price_table
from plan import billing
from plan.settings import Cluster, Functions, Settings, Worker

DEFAULT_REGION = "us-east-1"
# Size of every host's root volume; the published Dask clusters declared 40 GB (cluster study, code of the hybrid).
VOLUME_GIB = 40
# The protocol's two untimed and five timed runs: what one comparison calls its functions for.
FUNCTION_RUNS = 7
# What a worker of the embedded stack stands for, as in the published runs: one of the two slots of an m6i.large.
MODELLED_INSTANCE, MODELLED_ARM_INSTANCE, MODELLED_SLOTS = "m6i.large", "m7g.large", 2
SHARED = ("kubernetes", "cache", "driver")


@dataclass(frozen=True)
class CostLine:
    """What one thing costs per hour while it runs. `platform`: its cluster's name, `functions`, or one of SHARED."""

    item: str
    platform: str
    quantity: Decimal
    unit: str
    usd_per_h: Decimal
    valid_on: date


def hourly(
    settings: Settings, region: str = DEFAULT_REGION, on: date | None = None, *, spot: bool = False
) -> list[CostLine]:
    """The stack per hour with all it declares scaled up: each cluster, the functions at full concurrency, the rest.

    Groups are at zero until a session scales its own up, so nobody pays for the sum of two clusters: compare platforms
    with it, and see `worst_until_expiry` for a bound. Local parts cost nothing and have no line.
    Raises catalog.prices.PriceMissing or UnknownRegion.
    """
    rates = _Rates(price_table(), region, on, spot)
    lines: list[CostLine] = []
    for name, cluster in settings.clusters.items():
        lines += _cluster(rates, name, cluster)
    if (kubernetes := settings.kubernetes) is not None:
        lines.append(rates.line("eks:control-plane", "kubernetes", Decimal(1)))
        nodes = max(kubernetes.nodes, kubernetes.max_nodes or 0)
        lines += _hosts(rates, "kubernetes", kubernetes.instance_type, nodes)
    if settings.functions is not None and settings.functions.platform == "lambda":
        lines.append(_functions(rates, settings.functions, settings.functions_memory_mib))
    if settings.cache is not None and settings.cache.platform == "ec2":
        if settings.cache.instance_type is None:
            raise ValueError(f"stack {settings.stack!r}: cache on ec2 has no instanceType, so it has no price; set it")
        lines += _hosts(rates, "cache", settings.cache.instance_type, 1, may_be_spot=False)
    if settings.driver is not None:
        lines += _hosts(rates, "driver", settings.driver.instance_type, 1, may_be_spot=False)
    return lines


def per_platform(lines: list[CostLine]) -> dict[str, Decimal]:
    """USD per hour by platform, in the order of the lines."""
    totals: dict[str, Decimal] = {}
    for line in lines:
        totals[line.platform] = totals.get(line.platform, Decimal(0)) + line.usd_per_h
    return totals


def worst_until_expiry(settings: Settings, region: str = DEFAULT_REGION, on: date | None = None) -> Decimal:
    """The most this stack should cost before its expiry ends it, in USD; 0 where nothing costs money.

    The rule, for `ttl_h` hours: driver, cache, control plane and all Kubernetes nodes run the whole time; of the
    clusters on EC2 the dearest is left scaled up the whole time (sessions run one engine at a time); beside it, for a
    hybrid uses both at once, every function runs to its timeout in each of FUNCTION_RUNS calls. Functions at full
    concurrency until expiry would be the provider's bound, but nothing calls them again by itself: a call ends at its
    timeout, and a lost driver starts no further one. Lambda's own retries are taken to be off (declare 0 attempts).
    Raises as `hourly`, and ValueError for a stack that costs money but has no `ttlH`.
    """
    per_hour = per_platform(hourly(settings, region, on))
    if not per_hour:
        return Decimal(0)
    if settings.ttl_h is None:
        raise ValueError(f"stack {settings.stack!r}: costs money without ttlH, so its worst cost has no bound")
    ttl_h = billing.exact(settings.ttl_h)
    shared = sum((per_hour.get(name, Decimal(0)) for name in SHARED), Decimal(0))
    clusters = [per_hour[name] for name in settings.clusters if name in per_hour]
    worst = ttl_h * (shared + max(clusters, default=Decimal(0)))
    if settings.functions is not None and "functions" in per_hour:
        called_h = min(Decimal(FUNCTION_RUNS * settings.functions.timeout_s) / 3600, ttl_h)
        requests = price_table().tiers("lambda:request", region, on)
        worst += called_h * per_hour["functions"]
        worst += billing.usd(FUNCTION_RUNS * settings.functions.max_workers, requests)
    return worst


def modelled_usd(
    billed: Mapping[str, Any],
    worker: Worker,
    on: date | None = None,
    region: str = DEFAULT_REGION,
    *,
    spot: bool = False,
    arm: bool = False,
) -> tuple[Decimal, date]:
    """What these quantities (the fields of bench.rows.Billed) would cost on AWS, and the date of that price set.

    For rows of the embedded stack: a worker-second of a cluster is priced as one slot of an m6i.large (half its price,
    `worker.vcpu` slots per worker), function seconds as Lambda GB-seconds and requests, S3 requests as such.
    Node-seconds of a real instance type are priced as that with its volume and address, in place of worker-seconds.
    The date is `on`, or, without
    it, the day on which the longest unchecked of the prices used was last checked. What if: `spot` prices machines on
    the spot market, `arm` prices slots of an m7g.large and Lambda on Arm at the same speed. Raises as `hourly`.
    """
    total, used = _modelled(billed, worker, _Rates(price_table(), region, on, spot), arm=arm)
    return total, on or min((price.checked_on for price in used), default=date.min)


def prices_of(
    billed: Mapping[str, Any], worker: Worker, on: date | None = None, region: str = DEFAULT_REGION
) -> list[Price]:
    """The prices on which `modelled_usd` of the same quantities rests. Raises as `hourly`."""
    return _modelled(billed, worker, _Rates(price_table(), region, on), arm=False)[1]


def _modelled(billed: Mapping[str, Any], worker: Worker, rates: "_Rates", *, arm: bool) -> tuple[Decimal, list[Price]]:
    total, market = Decimal(0), "ec2-spot" if rates.spot else "ec2"
    nodes = {kind: s for kind, s in (billed.get("node_s") or {}).items() if kind != "local"}
    for kind, seconds in nodes.items():
        per_h = sum((line.usd_per_h for line in _hosts(rates, "", kind, 1)), Decimal(0))
        total += per_h * billing.exact(seconds) / 3600
    if not nodes and billed.get("worker_s"):
        slot_s = billing.exact(billed["worker_s"]) * worker.vcpu / MODELLED_SLOTS
        total += rates.usd(f"{market}:{MODELLED_ARM_INSTANCE if arm else MODELLED_INSTANCE}", slot_s / 3600)
    for item, field in _USAGE.items():
        if billed.get(field):
            priced = "lambda:arm64" if arm and item == "lambda:x86_64" else item
            if item == "lambda:x86_64" and billed.get("architecture") == "arm64":
                priced = "lambda:arm64"
            total += rates.usd(priced, billing.exact(billed[field]))
    return total, rates.used


def host_usd_per_h(instance_type: str, region: str, on: date | None = None, *, spot: bool = False) -> Decimal:
    """One instance with its volume and address. Raises as `hourly`."""
    rates = _Rates(price_table(), region, on, spot)
    return sum((line.usd_per_h for line in _hosts(rates, "", instance_type, 1)), Decimal(0))


_USAGE = {
    "lambda:x86_64": "function_gb_s",
    "lambda:request": "function_requests",
    "s3:get": "s3_gets",
    "s3:put": "s3_puts",
}


class _Rates:
    """The price table at one region and date, remembering which prices were used."""

    def __init__(self, table: PriceTable, region: str, on: date | None, spot: bool = False):
        self.table, self.region, self.on, self.spot = table, region, on, spot
        self.used: list[Price] = []

    def usd(self, item: str, quantity: Decimal) -> Decimal:
        tiers = self.table.tiers(item, self.region, self.on)
        self.used += [tier for tier in tiers if not tier.above or tier.above < quantity]
        return billing.usd(quantity, tiers)

    def line(self, item: str, platform: str, quantity: Decimal, units_per_h: Decimal = Decimal(1)) -> CostLine:
        price = self.table.price(item, self.region, self.on)
        self.used.append(price)
        return CostLine(item, platform, quantity, price.unit, quantity * units_per_h * price.usd, price.valid_on)


def _cluster(rates: _Rates, name: str, cluster: Cluster) -> Iterator[CostLine]:
    if cluster.platform != "ec2":
        return  # local costs nothing; pods on EKS run on the nodes of `kubernetes`
    if cluster.instance_type is None or cluster.nodes is None:  # refused by plan.settings; told to the type checker
        raise ValueError(f"cluster {name!r} on ec2 needs instanceType and nodes")
    head = cluster.head_instance_type or cluster.instance_type
    yield from _hosts(rates, name, head, 1, may_be_spot=False)
    yield from _hosts(rates, name, cluster.instance_type, cluster.nodes)


def _hosts(
    rates: _Rates, platform: str, instance_type: str, count: int, *, may_be_spot: bool = True
) -> Iterator[CostLine]:
    """Instances with what each brings along: a root volume and a public address."""
    market = "ec2-spot" if rates.spot and may_be_spot else "ec2"
    yield rates.line(f"{market}:{instance_type}", platform, Decimal(count))
    yield rates.line("ebs:gp3", platform, Decimal(count * VOLUME_GIB), 1 / billing.HOURS_PER_MONTH)
    yield rates.line("ipv4", platform, Decimal(count))


def _functions(rates: _Rates, functions: Functions, memory_mib: int) -> CostLine:
    gb = Decimal(functions.max_workers) * memory_mib / billing.MIB_PER_GB
    return rates.line(f"lambda:{functions.architecture}", "functions", gb, Decimal(3600))
