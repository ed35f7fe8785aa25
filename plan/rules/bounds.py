"""Rules over what a stack may ask for: the provider's ranges, time, money, quota."""

import difflib
from collections.abc import Iterator
from datetime import datetime, timedelta

from catalog import eks
from catalog.instances import instance
from catalog.prices import PriceMissing, UnknownRegion
from catalog.prices import table as price_table
from plan import cost, sizing
from plan.rules.case import Case
from plan.rules.violation import Violation
from plan.sizing import FUNCTIONS

TTL_CAP_H = 24
"""No bench stack is meant to be there tomorrow at the same hour: data and results live in `base`."""

LAMBDA_MEMORY_MIB = (128, 10_240)
LAMBDA_TIMEOUT_S = (1, 900)
CACHE_SHARE = 0.75
"""Redis needs room beside its data for copies on write and buffers; above this share a node runs out of memory."""


def kubernetes_supported(case: Case) -> Iterator[Violation]:
    if case.settings.kubernetes is None:
        return
    try:
        version = eks.version(case.settings.kubernetes.version)
    except eks.UnknownVersionError as error:
        found, wanted = repr(case.settings.kubernetes.version), "a version of catalog/eks_versions.csv"
        yield case.refused("kubernetes-supported", "kubernetes.version", found, wanted, str(error))
        return
    if version.end_of_standard_support < case.now.date():
        yield case.refused(
            "kubernetes-supported",
            "kubernetes.version",
            f"{version.version}, whose standard support ended on {version.end_of_standard_support}",
            "a version in standard support, since extended support costs more per cluster hour",
            f"take {next(iter(eks.versions()))}, or add a newer row with its source",
        )


def function_range(case: Case) -> Iterator[Violation]:
    """Lithops clamps with a warning what is out of Lambda's range: here it fails."""
    functions = case.settings.functions
    if functions is None or functions.platform != "lambda":
        return
    memory = case.sizes[FUNCTIONS].limit_mib
    for key, value, (least, most), unit in (
        ("memoryMib", memory, LAMBDA_MEMORY_MIB, "MiB"),
        ("timeoutS", functions.timeout_s, LAMBDA_TIMEOUT_S, "s"),
    ):
        if not least <= value <= most:
            found, wanted = f"{value} {unit}", f"{least} to {most} {unit}, what Lambda offers"
            yield case.refused("function-range", f"functions.{key}", found, wanted, "change it")


def cache_fits(case: Case) -> Iterator[Violation]:
    cache = case.settings.cache
    if cache is None or cache.instance_type is None:
        return
    node_mib = instance(cache.instance_type).memory_mib
    most = int(CACHE_SHARE * node_mib)
    if cache.max_memory_mib > most:
        found = f"{cache.max_memory_mib} MiB on {cache.instance_type} of {node_mib} MiB"
        wanted = f"at most {most} MiB, {CACHE_SHARE:.0%} of the node"
        yield case.refused("cache-fits", "cache.maxMemoryMib", found, wanted, "lower it or take a larger type")


def expiry(case: Case) -> Iterator[Violation]:
    if case.settings.program != "bench":
        return
    if case.settings.ttl_h is None:
        yield case.refused("expiry", "ttlH", "nothing", f"hours until expiry, at most {TTL_CAP_H}", "set ttlH")
    elif case.settings.ttl_h > TTL_CAP_H:
        wanted = f"at most {TTL_CAP_H} h"
        fix = "lower it; a running stack is extended by command, not by its file"
        yield case.refused("expiry", "ttlH", f"{case.settings.ttl_h:g} h", wanted, fix)
    moved = case.person.expires_at if case.person else None
    latest = case.now + timedelta(hours=TTL_CAP_H)
    if moved is not None and not case.now < datetime.fromisoformat(moved) <= latest:
        found, wanted = moved, f"an instant within the next {TTL_CAP_H} h"
        fix = "set BREAKEVEN_EXPIRES_AT to such an instant, or destroy the stack"
        yield Violation("expiry", "breakeven:expiresAt", found, wanted, fix)


def region_priced(case: Case) -> Iterator[Violation]:
    """A region whose prices are known: else neither cost nor budget could be judged."""
    regions = price_table().regions()
    if case.person is None or case.person.region in regions:
        return
    near = difflib.get_close_matches(case.person.region, regions, n=1, cutoff=0.0)
    found, wanted = repr(case.person.region), f"a region with prices in catalog/prices.csv: {', '.join(regions)}"
    fix = f"correct it (the nearest is {near[0]!r}), or add its prices with ops.refresh_prices --region ... --write"
    yield Violation("region-priced", "breakeven:region", found, wanted, fix)


def budget(case: Case) -> Iterator[Violation]:
    """The worst cost until expiry, from now on where it is moved, is within the stack's own cap."""
    if case.settings.program != "bench" or case.settings.ttl_h is None:
        return  # without ttlH there is no bound: `expiry` says so
    if case.settings.budget_usd is None:
        yield case.refused("budget", "budgetUsd", "nothing", "a cap of the worst cost until expiry", "set budgetUsd")
        return
    region, hours = case.person.region if case.person else cost.DEFAULT_REGION, case.hours
    lasting = case.settings.model_copy(update={"ttl_h": hours})
    try:
        worst = cost.worst_until_expiry(lasting, region)
    except UnknownRegion:
        return  # `region_priced` says so
    except PriceMissing as error:
        yield case.refused("budget", "budgetUsd", f"no price ({error})", "a price for every part", "add the price")
        return
    if worst > case.settings.budget_usd:
        moved = case.person.expires_at if case.person and hours != case.settings.ttl_h else None
        until = f"until the moved expiry {moved}, in {hours:.1f} h" if moved else f"until expiry after {hours:g} h"
        less = f"move expiresAt to an earlier hour, or lower {_LESS}" if moved else f"lower ttlH, {_LESS}"
        yield case.refused(
            "budget",
            "budgetUsd",
            f"a worst cost of {worst:.2f} USD in {region} {until}",
            f"at most {case.settings.budget_usd:.2f} USD",
            f"{less}, or raise budgetUsd knowingly",
        )


_LESS = "nodes, maxWorkers or timeoutS"


def quota(case: Case) -> Iterator[Violation]:
    if case.person is None:
        return
    needed = sizing.vcpu_needed(case.settings)
    if needed > case.person.vcpu_quota:
        found = f"{needed} vCPU with the largest cluster scaled up"
        wanted = f"at most {case.person.vcpu_quota}, the quota in breakeven:vcpuQuota"
        yield case.refused("quota", "nodes", found, wanted, "use fewer nodes, or ask AWS for a higher quota")
    functions = case.settings.functions
    if functions is None or functions.platform != "lambda":
        return
    needed = sizing.concurrency_needed(functions.max_workers)
    if needed > (has := case.person.lambda_concurrency):
        found = f"{functions.max_workers} functions at once"
        wanted = f"a quota of {needed}, so that the janitor can run beside them (breakeven:lambdaConcurrency is {has})"
        fix = "lower maxWorkers, or ask AWS for a higher quota (docs/aws.md, Quotas)"
        yield case.refused("quota", "functions.maxWorkers", found, wanted, fix)
    memory = case.sizes[FUNCTIONS].limit_mib
    if memory > case.person.lambda_memory_mib:
        found = f"{memory} MiB for each function"
        wanted = f"at most {case.person.lambda_memory_mib}, what your account allows by breakeven:lambdaMemoryMib"
        fix = "ask AWS Support to lift it (docs/aws.md, Quotas), or declare a smaller worker with its reason"
        yield case.refused("quota", "functions.memoryMib", found, wanted, fix)
