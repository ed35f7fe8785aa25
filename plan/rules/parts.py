"""Rules over parts of a stack together: they belong to its program, reach each other, and none is there for nothing."""

from collections.abc import Iterator

from plan.rules.case import Case
from plan.rules.violation import Violation

_BY_PROGRAM = {
    "embedded": "only local parts",
    "bench": "only parts on AWS",
    "base": "no cluster, functions, cache or driver",
}

EKS_PREFIX = "k8s-"
"""How docs/permissions name EKS clusters, since EKS knows no tags of a cluster at the time that it is made."""


def platforms_belong(case: Case) -> Iterator[Violation]:
    """Only local parts in an embedded stack, only remote ones in a bench stack, and none in `base`."""
    settings = case.settings
    parts = {f"clusters.{name}": cluster.platform == "local" for name, cluster in settings.clusters.items()}
    parts |= {key: part.platform == "local" for key in ("functions", "cache") if (part := getattr(settings, key))}
    parts |= {key: False for key in ("kubernetes", "driver") if getattr(settings, key)}
    for key, local in parts.items():
        if settings.program == "base" or local != (settings.program == "embedded"):
            found = f"a {'local part' if local else 'part on AWS'} in a stack of program {settings.program!r}"
            wanted = _BY_PROGRAM[settings.program]
            yield case.refused("platforms-belong", key, found, wanted, "move it to another stack")
    if settings.program == "bench" and settings.base is None:
        wanted_base = "the name of the long-lived stack whose buckets and images are used"
        yield case.refused("platforms-belong", "base", "nothing", wanted_base, "set base: base")


def without_effect(case: Case) -> Iterator[Violation]:
    """No key that would change nothing: what is written in a stack's file is what its reader believes."""
    settings = case.settings
    given = {field.alias: key for key, field in type(settings).model_fields.items() if key in settings.model_fields_set}
    on_pods = any(cluster.platform == "eks" for cluster in settings.clusters.values())
    idle: dict[str, str] = {}
    if settings.program != "bench":
        idle |= dict.fromkeys(
            ("base", "ttlH", "budgetUsd"), f"nothing of a stack of program {settings.program!r} is paid"
        )
        idle["readBuckets"] = "only parts on AWS are given roles"
    if settings.program == "base":
        idle |= dict.fromkeys(("worker", "compare", "equalLimits"), "a base stack has no workers")
    if not on_pods:
        idle["kubernetes"] = "no cluster of the stack runs on eks"
    else:
        idle["driver"] = "with clusters on eks the driver is a Job in the cluster"
    if len(settings.compared) < 2:
        idle["equalLimits"] = "there are not two platforms to compare"
    for key, reason in idle.items():
        if key in given:
            yield case.refused(
                "without-effect", str(key), f"a key without effect: {reason}", "what it decides", "leave it out"
            )


def cache_reachable(case: Case) -> Iterator[Violation]:
    """Whatever uses a cache host is in a security group that is let to it: functions inside its network, no pods."""
    functions, cache, clusters = case.settings.functions, case.settings.cache, case.settings.clusters
    if cache is None or cache.platform != "ec2":
        return
    if functions is not None and functions.platform == "lambda" and not functions.in_vpc:
        found = "functions outside the network of the cache, which they cannot reach there"
        yield case.refused("cache-reachable", "functions.inVpc", found, "inVpc: true", "set it, or remove the cache")
    if pods := [name for name, cluster in clusters.items() if cluster.platform == "eks"]:
        found, wanted = f"a cache beside pods ({', '.join(pods)}), which are not let to it", "clusters on ec2 beside it"
        fix = "move the cache to another stack; a stage hands results over by `s3` or `store` here"
        yield case.refused("cache-reachable", "cache", found, wanted, fix)


def warnings(case: Case) -> list[str]:
    """What is stated and not refused, since an account's policies may name other clusters."""
    stack = case.settings.stack
    if case.settings.kubernetes is None or stack.startswith(EKS_PREFIX):
        return []
    return [
        f"an EKS cluster named {stack}, where docs/permissions allow {EKS_PREFIX}*: rename the stack, or name it in "
        "the policies (docs/aws.md, Permissions)"
    ]
