"""Rules over what a stack may ask for: the provider's ranges, time, money, quota."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from catalog import eks
from catalog.instances import UnknownInstanceTypeError, instance
from catalog.prices import PriceMissing, UnknownRegion
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


def types_known(case: Case) -> Iterator[Violation]:
    """Every instance type is in the catalog and of AWS. Judged first: nothing can be computed of an unknown one."""
    settings = case.settings
    named = {f"clusters.{name}.instanceType": cluster.instance_type for name, cluster in settings.clusters.items()}
    for name, cluster in settings.clusters.items():
        named[f"clusters.{name}.headInstanceType"] = cluster.head_instance_type
    for key in ("kubernetes", "cache", "driver"):
        named[f"{key}.instanceType"] = getattr(getattr(settings, key), "instance_type", None)
    for key, kind in named.items():
        if kind is None:
            continue
        try:
            provider = instance(kind).provider
        except UnknownInstanceTypeError as error:
            yield case.refused("instance-known", key, repr(kind), "a type of catalog/instances.csv", str(error))
            continue
        if provider != "AWS":
            wanted = "a type of AWS, the only provider that the programs declare"
            yield case.refused("instance-known", key, f"{kind!r} of {provider}", wanted, "choose an AWS type")


def platforms_belong(case: Case) -> Iterator[Violation]:
    """Only local parts in an embedded stack, only remote ones in a bench stack, and none in `base`."""
    settings = case.settings
    parts = {f"clusters.{name}": cluster.platform == "local" for name, cluster in settings.clusters.items()}
    parts |= {key: part.platform == "local" for key in ("functions", "cache") if (part := getattr(settings, key))}
    parts |= {key: False for key in ("kubernetes", "driver") if getattr(settings, key)}
    wanted = {
        "embedded": "only local parts",
        "bench": "only parts on AWS",
        "base": "no cluster, functions, cache or driver",
    }
    for key, local in parts.items():
        if settings.program == "base" or local != (settings.program == "embedded"):
            found = f"a {'local part' if local else 'part on AWS'} in a stack of program {settings.program!r}"
            yield case.refused("platforms-belong", key, found, wanted[settings.program], "move it to another stack")
    if settings.program == "bench" and settings.base is None:
        wanted_base = "the name of the long-lived stack whose buckets and images are used"
        yield case.refused("platforms-belong", "base", "nothing", wanted_base, "set base: base")


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
        fix = "move it with `pulumi config set breakeven:expiresAt ...`, or destroy the stack"
        yield Violation("expiry", "breakeven:expiresAt", found, wanted, fix)


def budget(case: Case) -> Iterator[Violation]:
    if case.settings.program != "bench" or case.settings.ttl_h is None:
        return  # without ttlH there is no bound: `expiry` says so
    if case.settings.budget_usd is None:
        yield case.refused("budget", "budgetUsd", "nothing", "a cap of the worst cost until expiry", "set budgetUsd")
        return
    region = case.person.region if case.person else cost.DEFAULT_REGION
    try:
        worst = cost.worst_until_expiry(case.settings, region)
    except (PriceMissing, UnknownRegion) as error:
        yield case.refused("budget", "budgetUsd", f"no price ({error})", "a price for every part", "add the price")
        return
    if worst > case.settings.budget_usd:
        yield case.refused(
            "budget",
            "budgetUsd",
            f"a worst cost of {worst:.2f} USD in {region} until expiry after {case.settings.ttl_h:g} h",
            f"at most {case.settings.budget_usd:.2f} USD",
            "lower ttlH, nodes, maxWorkers or timeoutS, or raise budgetUsd knowingly",
        )


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
    if functions.max_workers > case.person.lambda_concurrency:
        found = f"{functions.max_workers} functions at once"
        wanted = f"at most {case.person.lambda_concurrency}, the quota in breakeven:lambdaConcurrency"
        fix = "lower maxWorkers, or ask AWS for a higher quota"
        yield case.refused("quota", "functions.maxWorkers", found, wanted, fix)
