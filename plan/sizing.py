"""How many workers each platform of a stack has, and what each is declared, held to, and given of CPU.

Declared is equal on every compared platform. The limit is what a worker is held to: on a VM what is left of the node
after its system's share, divided by the slots; on Kubernetes and Lambda the declared size itself. With `equalLimits`
every compared platform, functions too, is held to the smallest limit. `plan.rules` judges what is computed here.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from catalog.eks import DAEMON_PODS, DAEMONS_CPU_M, DAEMONS_MIB, Allocatable, allocatable
from catalog.instances import instance, seen_mib
from plan.settings import Cluster, Settings, Worker

FUNCTIONS = "functions"

ENGINE_SHARE_MIB = 384
"""What an engine's own processes take beside the workers of a node, measured here: Ray 2.60 without the dashboard
(raylet, log monitor, two agents) 345 MiB resident, Dask 2026.8's nannies 105 MiB; rounded up."""

SYSTEM_SHARE_MIB = ENGINE_SHARE_MIB + 256
"""What a VM keeps for everything that is not a worker process: beside the engine, what EKS reserves for an idle system
(255 MiB, catalog.eks). Sessions read `seen` back from running workers."""

LAMBDA_MIB_PER_VCPU = 1769
"""AWS Lambda gives one vCPU at this memory size, and in proportion to it elsewhere."""

EnforcedBy = Literal["nanny", "cgroup", "pod", "lambda", "none"]
Bound = Literal["memory", "cpu", "pods"]


@dataclass(frozen=True)
class Placement:
    """Worker pods that fit one EKS node, by each of its three limits; `bound_by` is the tightest."""

    slots: int
    bound_by: Bound
    arithmetic: str


@dataclass(frozen=True)
class Size:
    """One platform of a stack. Memory in MiB per worker; vcpu_per_worker is what one worker gets when all are busy.

    min_workers is below workers only where an engine's autoscaler moves between them. instance_type and seen_mib are
    None where there is no node (functions, local); on EKS seen_mib is what the node gives to pods.
    """

    name: str
    engine: Literal["ray", "dask", "lithops"]
    platform: Literal["local", "ec2", "eks", "lambda"]
    instance_type: str | None
    nodes: int
    slots_per_node: int
    workers: int
    min_workers: int
    declared_mib: int
    limit_mib: int
    enforced_by: EnforcedBy
    vcpu_per_worker: float
    node_memory_mib: int | None
    seen_mib: int | None
    arithmetic: str


def sizes(settings: Settings) -> dict[str, Size]:
    """Every cluster by name, and `functions` if declared. Raises catalog.instances.UnknownInstanceTypeError."""
    found = {name: _cluster(name, cluster, settings) for name, cluster in settings.clusters.items()}
    if settings.functions is not None:
        found[FUNCTIONS] = _functions(settings)
    if not settings.equal_limits or not settings.compared:
        return found
    smallest = min((found[name] for name in settings.compared), key=lambda size: size.limit_mib)
    return {
        name: _held(size, smallest) if name in settings.compared and size.limit_mib > smallest.limit_mib else size
        for name, size in found.items()
    }


def node_limit_mib(size: Size) -> int:
    """What a VM's container, which holds all workers of the node and the engine's own processes, is limited to."""
    return size.slots_per_node * size.limit_mib + ENGINE_SHARE_MIB


def placement(instance_type: str, worker: Worker) -> Placement:
    """Workers of this size that fit one EKS node of this type, the system's daemons subtracted."""
    node = allocatable(instance(instance_type))
    free = Allocatable(node.memory_mib - DAEMONS_MIB, node.cpu_m - DAEMONS_CPU_M, node.pods - DAEMON_PODS, node.basis)
    by: dict[Bound, int] = {
        "memory": max(0, free.memory_mib // worker.memory_mib),
        "cpu": max(0, free.cpu_m // (1000 * worker.vcpu)),
        "pods": max(0, free.pods),
    }
    bound: Bound = min(by, key=lambda key: by[key])
    arithmetic = (
        f"{instance_type} gives pods {node.memory_mib} MiB ({node.basis}), {node.cpu_m}m CPU, {node.pods} pods; less "
        f"daemons ({DAEMONS_MIB} MiB, {DAEMONS_CPU_M}m, {DAEMON_PODS}): {free.memory_mib} // {worker.memory_mib} MiB = "
        f"{by['memory']}, {free.cpu_m}m // {1000 * worker.vcpu}m = {by['cpu']}, pods {by['pods']}"
    )
    return Placement(by[bound], bound, arithmetic)


def overhead_pods(settings: Settings) -> int:
    """Slots of the EKS nodes that are not workers: a head or scheduler per cluster, one for the driver's Job, and one
    for the operators, of which KubeRay's asks for more than a full node has left (512 MiB; its chart, 1.7.0).

    Heads and driver are given the worker's size, so that one kind of slot is counted.
    """
    heads = sum(cluster.platform == "eks" for cluster in settings.clusters.values())
    return heads + 2 if heads else 0


def concurrency_needed(workers: int) -> int:
    """The quota of concurrent executions that lets so many functions run at once: 99 of 100 are theirs at most.

    Functions that take an account's whole concurrency keep the janitor, which ends what is forgotten, from running.
    """
    return math.ceil(workers * 100 / 99)


def vcpu_needed(settings: Settings) -> int:
    """vCPU running at once at most: hosts, all Kubernetes nodes, and the largest EC2 cluster with its head.

    Clusters on EC2 are not added up: sessions scale one engine at a time.
    """
    clusters = [
        instance(c.head_instance_type or c.instance_type).vcpu + (c.nodes or 0) * instance(c.instance_type).vcpu
        for c in settings.clusters.values()
        if c.platform == "ec2" and c.instance_type is not None
    ]
    hosts = [settings.driver.instance_type] if settings.driver else []
    if settings.cache is not None and settings.cache.instance_type is not None:
        hosts.append(settings.cache.instance_type)
    if (kubernetes := settings.kubernetes) is not None:
        hosts += [kubernetes.instance_type] * max(kubernetes.nodes, kubernetes.max_nodes or 0)
    return max(clusters, default=0) + sum(instance(host).vcpu for host in hosts)


def _cluster(name: str, cluster: Cluster, settings: Settings) -> Size:
    by_platform = {"local": _local, "ec2": _vm, "eks": _pods}
    return by_platform[cluster.platform](name, cluster, settings)


def _local(name: str, cluster: Cluster, settings: Settings) -> Size:
    nodes, slots = cluster.nodes or 1, cluster.slots_per_node or 1
    limit = cluster.limit_mib or settings.worker.memory_mib
    return Size(
        name=name,
        engine=cluster.engine,
        platform="local",
        instance_type=None,
        nodes=nodes,
        slots_per_node=slots,
        workers=nodes * slots,
        min_workers=cluster.autoscale.min_workers if cluster.autoscale else nodes * slots,
        declared_mib=settings.worker.memory_mib,
        limit_mib=limit,
        enforced_by=_enforced(cluster),
        vcpu_per_worker=float(settings.worker.vcpu),
        node_memory_mib=None,
        seen_mib=None,
        arithmetic=f"{limit} MiB is a ceiling for a local process, not a reservation",
    )


def _vm(name: str, cluster: Cluster, settings: Settings) -> Size:
    assert cluster.instance_type is not None  # plan.settings refuses an ec2 cluster without one
    node = instance(cluster.instance_type)
    slots = cluster.slots_per_node or max(1, node.vcpu // settings.worker.vcpu)
    seen, declared = seen_mib(node), settings.worker.memory_mib
    fits = max(0, seen - SYSTEM_SHARE_MIB) // slots
    arithmetic = (
        f"{node.type}: {node.memory_mib} MiB nominal, {seen} seen; ({seen} - {SYSTEM_SHARE_MIB} system) / {slots} slots"
        f" = {fits} MiB"
    )
    nodes = cluster.nodes or 1
    return Size(
        name=name,
        engine=cluster.engine,
        platform="ec2",
        instance_type=node.type,
        nodes=nodes,
        slots_per_node=slots,
        workers=nodes * slots,
        min_workers=cluster.autoscale.min_workers if cluster.autoscale else nodes * slots,
        declared_mib=declared,
        limit_mib=cluster.limit_mib or min(declared, fits),
        enforced_by=_enforced(cluster),
        vcpu_per_worker=node.vcpu / slots,
        node_memory_mib=node.memory_mib,
        seen_mib=seen,
        arithmetic=arithmetic,
    )


def _pods(name: str, cluster: Cluster, settings: Settings) -> Size:
    kubernetes, workers = settings.kubernetes, cluster.workers or 1
    assert kubernetes is not None  # plan.settings refuses an eks cluster without `kubernetes`
    place = placement(kubernetes.instance_type, settings.worker)
    node = instance(kubernetes.instance_type)
    return Size(
        name=name,
        engine=cluster.engine,
        platform="eks",
        instance_type=node.type,
        nodes=max(kubernetes.nodes, kubernetes.max_nodes or 0),
        slots_per_node=place.slots,
        workers=workers,
        min_workers=cluster.autoscale.min_workers if cluster.autoscale else workers,
        declared_mib=settings.worker.memory_mib,
        limit_mib=cluster.limit_mib or settings.worker.memory_mib,
        enforced_by="pod",
        vcpu_per_worker=float(settings.worker.vcpu),
        node_memory_mib=node.memory_mib,
        seen_mib=allocatable(node).memory_mib,
        arithmetic=place.arithmetic,
    )


def _functions(settings: Settings) -> Size:
    assert settings.functions is not None
    functions, memory = settings.functions, settings.functions_memory_mib
    remote = functions.platform == "lambda"
    return Size(
        name=FUNCTIONS,
        engine="lithops",
        platform=functions.platform,
        instance_type=None,
        nodes=0,
        slots_per_node=1,
        workers=functions.max_workers,
        min_workers=0,
        declared_mib=memory,
        limit_mib=memory,
        enforced_by="lambda" if remote else "none",
        vcpu_per_worker=memory / LAMBDA_MIB_PER_VCPU if remote else float(settings.worker.vcpu),
        node_memory_mib=None,
        seen_mib=None,
        arithmetic=f"a function is held to its memory size, {memory} MiB" if remote else f"{memory} MiB, not enforced",
    )


def _held(size: Size, smallest: Size) -> Size:
    limit = smallest.limit_mib
    return replace(
        size,
        limit_mib=limit,
        vcpu_per_worker=limit / LAMBDA_MIB_PER_VCPU if size.platform == "lambda" else size.vcpu_per_worker,
        arithmetic=f"{size.arithmetic}; equalLimits holds it to {limit} MiB, the limit of {smallest.name!r}",
    )


def _enforced(cluster: Cluster) -> EnforcedBy:
    # Dask's nanny ends a worker at its limit. Ray's memory is for scheduling only; on a VM the container's cgroup holds
    # the node's workers together.
    if cluster.engine == "dask":
        return "nanny"
    return "cgroup" if cluster.platform == "ec2" else "none"
