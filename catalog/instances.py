"""Instance types: vCPU, nominal memory, and the memory that a running system sees of it."""

import csv
import difflib
import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

# What Karpenter assumes the hypervisor and kernel keep of a type it has never seen (its --vm-memory-overhead-percent);
# above every measured share of `instances_seen.csv`, so a guess with it errs to the safe side.
UNSEEN_OVERHEAD = Fraction(75, 1000)


class UnknownInstanceTypeError(ValueError):
    """The type is not in `catalog/instances.csv`; the message names the nearest one that is."""


@dataclass(frozen=True)
class Instance:
    """One row of `instances.csv`. memory_mib is nominal; what its system sees is less (`seen_mib`)."""

    provider: str
    type: str
    arch: str
    vcpu: int
    cores: int | None
    memory_mib: int
    gpus: int
    clock_ghz: float | None
    network_gbps_baseline: float | None
    network_gbps_peak: float | None
    ebs_mbps_baseline: int | None
    ebs_mbps_max: int | None
    max_enis: int | None
    ipv4_per_eni: int | None
    eks_max_pods: int | None
    source: str
    note: str


@dataclass(frozen=True)
class SeenMemory:
    """A measured node. `type` is None where the source does not name it; allocatable is what EKS gave its pods."""

    type: str | None
    nominal_mib: int
    seen_mib: float
    allocatable_mib: float | None
    source: str


def instance(name: str) -> Instance:
    """The facts of one type. Raises UnknownInstanceTypeError."""
    known = instances()
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.0)[0]
        raise UnknownInstanceTypeError(
            f"found instance type {name!r}, wanted one of catalog/instances.csv (nearest: {near}); "
            "correct the name, or add a row with its source"
        )
    return known[name]


@functools.cache
def instances() -> dict[str, Instance]:
    """Every known type by name."""
    return {row["type"]: _instance(row) for row in _rows("instances.csv")}


@functools.cache
def measured() -> tuple[SeenMemory, ...]:
    """Nodes whose memory someone measured, smallest first."""
    rows = [
        SeenMemory(
            type=row["type"] or None,
            nominal_mib=int(row["nominal_mib"]),
            seen_mib=float(row["seen_mib"]),
            allocatable_mib=_number(row["allocatable_mib"]),
            source=row["source"],
        )
        for row in _rows("instances_seen.csv")
    ]
    return tuple(sorted(rows, key=lambda row: row.nominal_mib))


def seen_mib(of: Instance) -> int:
    """Memory in MiB that a Linux on this type reports as its total, rounded down.

    Measured for the type where it was; else the share of the largest measured node that is not larger, because the
    share kept by hypervisor and kernel falls as nodes grow; below all measured nodes, UNSEEN_OVERHEAD.
    """
    own = [row for row in measured() if row.type == of.type]
    smaller = [row for row in measured() if row.nominal_mib <= of.memory_mib]
    if own:
        return math.floor(own[0].seen_mib)
    if smaller:
        return math.floor(of.memory_mib * smaller[-1].seen_mib / smaller[-1].nominal_mib)
    return math.floor(of.memory_mib * (1 - UNSEEN_OVERHEAD))


def _rows(name: str) -> list[dict[str, str]]:
    with (Path(__file__).parent / name).open(newline="") as file:
        return list(csv.DictReader(file))


def _instance(row: dict[str, str]) -> Instance:
    return Instance(
        provider=row["provider"],
        type=row["type"],
        arch=row["arch"],
        vcpu=int(row["vcpu"]),
        cores=_integer(row["cores"]),
        memory_mib=int(row["memory_mib"]),
        gpus=int(row["gpus"]),
        clock_ghz=_number(row["clock_ghz"]),
        network_gbps_baseline=_number(row["network_gbps_baseline"]),
        network_gbps_peak=_number(row["network_gbps_peak"]),
        ebs_mbps_baseline=_integer(row["ebs_mbps_baseline"]),
        ebs_mbps_max=_integer(row["ebs_mbps_max"]),
        max_enis=_integer(row["max_enis"]),
        ipv4_per_eni=_integer(row["ipv4_per_eni"]),
        eks_max_pods=_integer(row["eks_max_pods"]),
        source=row["source"],
        note=row["note"],
    )


def _integer(text: str) -> int | None:
    return int(text) if text else None


def _number(text: str) -> float | None:
    return float(text) if text else None
