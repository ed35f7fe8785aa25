"""What EKS leaves of a node for pods, and how long its Kubernetes versions are supported.

Formula and constants: awslabs/amazon-eks-ami, nodeadm/internal/kubelet/config.go at commit
6caf8311a3c6a8da71ac7e5e83f9c2e06287039a (Amazon Linux 2023); pods per node from the type's interfaces, same repository.
"""

import csv
import difflib
import functools
import math
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from catalog.instances import UNSEEN_OVERHEAD, Instance, measured

EVICTION_MIB = 100
"""The kubelet evicts pods below this much free memory, so it is never given to them."""

DAEMONS_MIB = 250
"""Requests of the system's pods on each node (network, proxy, logs): 2i2c-org/infrastructure measured 250 MiB and 0.17
CPU on its r5 nodes. The figure depends on the daemons installed: read it back from the nodes and record it."""
DAEMONS_CPU_M = 170
DAEMON_PODS = 4
"""aws-node, kube-proxy, the pod identity agent, and one to spare."""


class UnknownVersionError(ValueError):
    """The Kubernetes version is not in `catalog/eks_versions.csv`."""


@dataclass(frozen=True)
class Allocatable:
    """What one node offers to pods, daemons not yet subtracted. `basis` says how memory_mib is known."""

    memory_mib: int
    cpu_m: int
    pods: int
    basis: str


@dataclass(frozen=True)
class Version:
    """One Kubernetes version of EKS with its days of support; extended support costs more per cluster hour."""

    version: str
    released: date
    end_of_standard_support: date
    end_of_extended_support: date
    source: str


def kube_reserved_mib(max_pods: int) -> int:
    """Memory kept for kubelet and container runtime."""
    return 255 + 11 * max_pods


def kube_reserved_cpu_m(vcpu: int) -> int:
    """CPU in thousandths kept for the kubelet: 6 % of one core, 1 % of the next, 0.5 % of two, 0.25 % of the rest."""
    tenths = [600, 100, 50, 50]  # of a thousandth of a core
    return math.ceil((sum(tenths[:vcpu]) + 25 * max(0, vcpu - 4)) / 10)


def allocatable(of: Instance) -> Allocatable:
    """What a node of this type offers to pods: measured where it was, else by the formula from a guarded capacity.

    The guard is Karpenter's 7.5 % overhead: a plan that is accepted can then be placed, at the price of refusing one or
    two workers that a large node might still have held. Raises ValueError for a type without interface data (not AWS).
    """
    if of.eks_max_pods is None:
        raise ValueError(f"found {of.type} of {of.provider}, wanted a type that EKS runs: its pod limit is not known")
    cpu_m = 1000 * of.vcpu - kube_reserved_cpu_m(of.vcpu)
    own = [row for row in measured() if row.type == of.type and row.allocatable_mib is not None]
    if own and own[0].allocatable_mib is not None:
        return Allocatable(math.floor(own[0].allocatable_mib), cpu_m, of.eks_max_pods, "measured")
    capacity_mib = of.memory_mib - math.ceil(of.memory_mib * UNSEEN_OVERHEAD)
    reserved_mib = kube_reserved_mib(of.eks_max_pods)
    overhead = f"{float(UNSEEN_OVERHEAD):.1%}"
    basis = f"{of.memory_mib} nominal - {overhead} - {reserved_mib} kube-reserved - {EVICTION_MIB} eviction"
    return Allocatable(capacity_mib - reserved_mib - EVICTION_MIB, cpu_m, of.eks_max_pods, basis)


def version(name: str) -> Version:
    """The support dates of one Kubernetes version. Raises UnknownVersionError."""
    known = versions()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise UnknownVersionError(
            f"found Kubernetes version {name!r}, wanted one of catalog/eks_versions.csv (nearest: {near}); "
            "choose one of these, or add a row with its source"
        )
    return known[name]


@functools.cache
def versions() -> dict[str, Version]:
    """Every known version by name, newest first."""
    with (Path(__file__).parent / "eks_versions.csv").open(newline="") as file:
        return {
            row["version"]: Version(
                version=row["version"],
                released=date.fromisoformat(row["released"]),
                end_of_standard_support=date.fromisoformat(row["end_of_standard_support"]),
                end_of_extended_support=date.fromisoformat(row["end_of_extended_support"]),
                source=row["source"],
            )
            for row in csv.DictReader(file)
        }
