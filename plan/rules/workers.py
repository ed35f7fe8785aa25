"""Rules over workers: their size is equal where they are compared, and the nodes can give it."""

import math
from collections.abc import Iterator

from catalog.instances import instance
from plan import sizing
from plan.rules.case import Case
from plan.rules.violation import Violation
from plan.sizing import FUNCTIONS, SYSTEM_SHARE_MIB

LEAST_SHARE_OF_DECLARED = 0.8
"""A worker held to less than this share of what it is declared would make the declared size a fiction."""


def memory_per_slot(case: Case) -> Iterator[Violation]:
    """The published rule, 4 GB per worker: slots times declared memory may not exceed a node's nominal memory."""
    for size in case.clusters:
        if size.platform != "ec2" or size.node_memory_mib is None:
            continue
        asked = size.slots_per_node * size.declared_mib
        if asked > size.node_memory_mib:
            most = size.node_memory_mib // size.declared_mib
            yield case.refused(
                "memory-per-slot",
                f"clusters.{size.name}",
                f"{size.slots_per_node} slots x {size.declared_mib} MiB = {asked} MiB on {size.instance_type} of "
                f"{size.node_memory_mib} MiB ({size.node_memory_mib // size.slots_per_node} MiB per slot)",
                f"at most {most} slots, or {size.declared_mib} MiB of nominal memory for each",
                f"set slotsPerNode: {most}, or take a type with more memory per vCPU (m or r instead of c)"
                if most
                else "take a larger type, or a smaller worker with its reason",
            )


def slots_have_cpu(case: Case) -> Iterator[Violation]:
    """A worker's vCPU are there: slots times vCPU per worker are at most a node's vCPU; local workers have one each."""
    vcpu = case.settings.worker.vcpu
    for size in case.clusters:
        if size.platform == "ec2" and size.instance_type is not None:
            offered = instance(size.instance_type).vcpu
            if size.slots_per_node * vcpu > offered:
                most = offered // vcpu
                yield case.refused(
                    "slots-have-cpu",
                    f"clusters.{size.name}",
                    f"{size.slots_per_node} slots x {vcpu} vCPU per worker on {size.instance_type} of {offered} vCPU",
                    f"at most {most} slots" if most else f"a type of at least {vcpu} vCPU",
                    f"set slotsPerNode: {most}" if most else "take a larger type, or lower worker.vcpu",
                )
    if vcpu > 1 and any(size.platform == "local" for size in case.sizes.values()):
        found, wanted = f"{vcpu} on local workers", "1, since a local worker is one process with one slot"
        yield case.refused("slots-have-cpu", "worker.vcpu", found, wanted, "set worker.vcpu: 1")


def limit_fits(case: Case) -> Iterator[Violation]:
    for size in case.clusters:
        if size.platform != "ec2" or size.seen_mib is None:
            continue
        asked = size.slots_per_node * size.limit_mib + SYSTEM_SHARE_MIB
        if asked > size.seen_mib:
            yield case.refused(
                "limit-fits",
                f"clusters.{size.name}.limitMib",
                f"{size.slots_per_node} slots x {size.limit_mib} MiB + {SYSTEM_SHARE_MIB} MiB for the system = "
                f"{asked} MiB, where {size.instance_type} shows its system {size.seen_mib} MiB",
                f"at most {max(0, size.seen_mib - SYSTEM_SHARE_MIB) // size.slots_per_node} MiB",
                f"leave limitMib out, and it is derived ({size.arithmetic})",
            )


def limit_near_declared(case: Case) -> Iterator[Violation]:
    for size in case.sizes.values():
        least = math.ceil(LEAST_SHARE_OF_DECLARED * size.declared_mib)
        if size.limit_mib < least:
            yield case.refused(
                "limit-near-declared",
                size.name,
                f"a limit of {size.limit_mib} MiB, {size.limit_mib / size.declared_mib:.0%} of the declared "
                f"{size.declared_mib} ({size.arithmetic})",
                f"at least {least} MiB, {LEAST_SHARE_OF_DECLARED:.0%} of what is declared",
                "use fewer slots per node or a type with more memory, or declare a smaller worker with its reason",
            )
        if size.limit_mib > size.declared_mib:
            yield case.refused(
                "limit-near-declared",
                size.name,
                f"a limit of {size.limit_mib} MiB above the declared {size.declared_mib}",
                "a limit of at most what is declared",
                "lower limitMib, or declare the larger worker with its reason",
            )


def parity(case: Case) -> Iterator[Violation]:
    """Compared platforms, all where `compare` is left out, have workers of one declared size; with equalLimits, of one
    limit."""
    wanted = case.settings.worker.memory_mib
    for name in case.settings.compared:
        size = case.sizes[name]
        if size.declared_mib != wanted:
            yield case.refused(
                "parity",
                "functions.memoryMib" if name == FUNCTIONS else f"clusters.{name}",
                f"{size.declared_mib} MiB per worker, compared with {wanted} MiB elsewhere",
                f"{wanted} MiB on every compared platform ({', '.join(case.settings.compared)})",
                f"remove memoryMib, or list in `compare` what is compared without {name!r}, or change worker.memoryMib",
            )
        cluster = case.settings.clusters.get(name)
        if case.settings.equal_limits and cluster and cluster.limit_mib not in (None, size.limit_mib):
            yield case.refused(
                "parity",
                f"clusters.{name}.limitMib",
                f"{cluster.limit_mib} MiB, where equalLimits holds every compared platform to {size.limit_mib} MiB",
                "one limit on all of them",
                "leave limitMib out, or drop equalLimits",
            )


def pods_fit(case: Case) -> Iterator[Violation]:
    """All workers of the largest EKS cluster, the heads, the driver and the operators find a slot."""
    kubernetes = case.settings.kubernetes
    pods = [size for size in case.clusters if size.platform == "eks"]
    if kubernetes is None or not pods:
        return
    largest = max(pods, key=lambda size: size.workers)
    others = sizing.overhead_pods(case.settings)
    needed, offered = largest.workers + others, largest.nodes * largest.slots_per_node
    if needed > offered:
        nodes = math.ceil(needed / largest.slots_per_node) if largest.slots_per_node else None
        yield case.refused(
            "pods-fit",
            f"clusters.{largest.name}.workers",
            f"{largest.workers} workers of {largest.declared_mib} MiB and {others} for heads, driver and operators "
            f"on {largest.nodes} x {kubernetes.instance_type}, which are {largest.nodes} x {largest.slots_per_node} = "
            f"{offered} ({largest.arithmetic})",
            f"at least {needed} slots",
            f"use {nodes} nodes, a larger type, or a smaller worker with its reason"
            if nodes
            else "not one worker fits: use a larger type",
        )


def autoscale_reachable(case: Case) -> Iterator[Violation]:
    for name, cluster in case.settings.clusters.items():
        size = case.sizes[name]
        if cluster.autoscale is None or cluster.autoscale.max_workers == size.workers:
            continue
        yield case.refused(
            "autoscale-reachable",
            f"clusters.{name}.autoscale.maxWorkers",
            f"{cluster.autoscale.max_workers}, where the cluster declares {size.workers} workers",
            "the declared workers as its upper bound, since cost and quota are reckoned with them",
            f"set maxWorkers: {size.workers}, or change nodes or workers",
        )


def warnings(case: Case) -> list[str]:
    """What is stated and not refused: compared platforms that give a worker unlike CPU or hold it to unlike memory,
    and memory that nothing enforces."""
    compared = [case.sizes[name] for name in case.settings.compared]
    stated = {
        "vCPU per worker": {size.name: round(size.vcpu_per_worker, 2) for size in compared},
        "limits in MiB": {size.name: float(size.limit_mib) for size in compared},
    }
    said = []
    for what, values in stated.items():
        if len(set(values.values())) > 1:
            ratio = max(values.values()) / min(values.values())
            shown = ", ".join(f"{name} {value:g}" for name, value in values.items())
            said.append(f"unequal {what}: {shown} (a factor of {ratio:.2f}); a time compares all that differs")
    loose = [size.name for size in compared if size.enforced_by == "none"]
    if loose:
        said.append(f"memory is declared but nothing enforces it on {', '.join(loose)}")
    shared = [size.name for size in compared if size.enforced_by == "cgroup"]
    if shared:
        said.append(f"on {', '.join(shared)} the workers of a node are held to their limits' sum, not each to its own")
    return said
