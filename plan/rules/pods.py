"""Kubernetes: worker pods of the declared size, none privileged, images by digest, charts by exact version."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from plan import sizing
from plan.rules.compute import digest
from plan.rules.violation import Violation
from plan.rules.wire import UNKNOWN, Resource, at, below, items
from plan.settings import Engine, Settings

RAY_CLUSTER = "kubernetes:ray.io/v1:RayCluster"
DASK_CLUSTER = "kubernetes:kubernetes.dask.org/v1:DaskCluster"
RELEASE = "kubernetes:helm.sh/v3:Release"

_EXACT_VERSION = re.compile(r"v?\d+\.\d+\.\d+([-+][\w.+-]+)?")
_SUFFIXES: dict[str, int | Decimal] = {
    "": 1, "m": Decimal("0.001"), "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
_HOST_SHARING = ("hostNetwork", "hostPID", "hostIPC")


def quantity(text: Any) -> Decimal:
    """A Kubernetes quantity (4Gi, 4096Mi, 1000m, 2) as a number of bytes or cores. Raises ValueError otherwise."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([mkMGT]|[KMGT]i)?", str(text))
    if match is None:
        raise ValueError(
            f"found the quantity {text!r}, wanted a number with one of {', '.join(filter(None, _SUFFIXES))}"
        )
    return Decimal(match[1]) * _SUFFIXES[match[2] or ""]


def pod_parity(resource: Resource, settings: Settings) -> Iterator[Violation]:
    """Worker pods ask for the declared CPU and memory and are held to the same: requests equal limits. Plain."""
    engine: Engine
    if resource.type == RAY_CLUSTER:
        engine = "ray"
        pods = [
            (f"workerGroupSpecs[{index}]", at(group, "template", "spec"))
            for index, group in enumerate(items(at(resource.props, "spec", "workerGroupSpecs")))
        ]
    elif resource.type == DASK_CLUSTER:
        engine, pods = "dask", [("worker", at(resource.props, "spec", "worker", "spec"))]
    else:
        return
    limits = [s.limit_mib for s in sizing.sizes(settings).values() if (s.platform, s.engine) == ("eks", engine)]
    wanted_mib = limits[0] if limits else settings.worker.memory_mib
    wanted = {"memory": Decimal(wanted_mib * 2**20), "cpu": Decimal(settings.worker.vcpu)}
    shown = f"{wanted_mib}Mi and {settings.worker.vcpu} CPU, the declared worker's, in requests and limits"
    for path, spec in pods:
        containers = items(at(spec, "containers"))
        for kind in ("requests", "limits"):
            asked = at(containers[0], "resources", kind) if containers else None
            if not _equals(asked, wanted):
                yield Violation(
                    "pod-parity", str(resource), f"{path} {kind} {asked!r}", shown, "take it from plan.sizing"
                )


def pod_unprivileged(resource: Resource, settings: Settings) -> Iterator[Violation]:
    """No container is privileged, and no pod shares its host's network, processes or files. Plain."""
    if not resource.type.startswith("kubernetes:"):
        return
    for path, body in below(resource.props):
        if at(body, "securityContext") is UNKNOWN or at(body, "securityContext", "privileged") not in (None, False):
            yield _privileged(resource, f"privileged in {path}")
        if at(body, "containers") is None:
            continue
        for key in _HOST_SHARING:
            if at(body, key) not in (None, False):
                yield _privileged(resource, f"{key} in {path}")
        if any(at(volume, "hostPath") is not None for volume in items(at(body, "volumes"))):
            yield _privileged(resource, f"a hostPath volume in {path}")


def pod_image_by_digest(resource: Resource, settings: Settings) -> Iterator[Violation]:
    """What a pod of ours runs is named by digest; an unknown image is judged later."""
    if not resource.type.startswith("kubernetes:") or resource.type == RELEASE:
        return
    for path, body in below(resource.props):
        for container in items(at(body, "containers")) + items(at(body, "initContainers")):
            image = at(container, "image")
            if isinstance(image, str) and not digest(image):
                wanted = "an image ending in @sha256:<64 digits>"
                yield Violation("image-by-digest", str(resource), f"{image!r} in {path}", wanted, "use its digest")


def version_pinned(resource: Resource, settings: Settings) -> Iterator[Violation]:
    """Charts by exact version, the control plane by the version that the settings name. Plain."""
    if resource.type == RELEASE:
        version = at(resource.props, "version")
        if not isinstance(version, str) or not _EXACT_VERSION.fullmatch(version):
            found, wanted = f"version {version!r}", "an exact one, such as 1.7.0"
            yield Violation("version-pinned", str(resource), found, wanted, "pin it")
    if resource.type == "aws:eks/cluster:Cluster":
        version, declared = at(resource.props, "version"), settings.kubernetes.version if settings.kubernetes else None
        if version != declared or version is None:
            wanted = f"{declared!r}, as the settings say"
            yield Violation(
                "version-pinned", str(resource), f"version {version!r}", wanted, "take it from the settings"
            )


def _equals(asked: Any, wanted: Mapping[str, Decimal]) -> bool:
    if not isinstance(asked, Mapping):
        return False
    try:
        return all(quantity(asked.get(key)) == value for key, value in wanted.items())
    except ValueError:
        return False


def _privileged(resource: Resource, found: str) -> Violation:
    return Violation("pod-unprivileged", str(resource), found, "a pod like any other", "remove it")
