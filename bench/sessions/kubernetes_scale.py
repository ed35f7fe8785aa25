"""How a cluster of pods is scaled, and when it is really up: pure functions on its objects.

The operators' own word is not enough. `RayCluster.status.state` stays ready after a scale-up that placed a part, and
`DaskCluster.status.phase` may stay Pending with everything up, or say Running with nothing behind it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from plan.settings import Engine

Patch = list[dict[str, Any]]
API_VERSIONS: Mapping[Engine, str] = {"ray": "ray.io/v1", "dask": "kubernetes.dask.org/v1"}


@dataclass(frozen=True)
class Change:
    """A JSON patch of one object."""

    kind: str
    name: str
    patch: Patch


@dataclass(frozen=True)
class Readiness:
    """How many of the wanted workers are there, and what is known of why not all."""

    ready: int
    wanted: int
    why: str

    @property
    def complete(self) -> bool:
        """Whether exactly the wanted workers are there."""
        return self.ready == self.wanted


def changes(engine: Engine, name: str, workers: int, *, autoscaled: bool) -> list[Change]:
    """What brings a cluster to `workers`; where an autoscaler holds it, what makes that its lower bound."""
    if engine == "ray":
        group = "/spec/workerGroupSpecs/0"
        wanted = [_set(f"{group}/replicas", workers)]
        # Bound and number in one patch: replicas outside their bounds would be clamped.
        bound = [_set(f"{group}/minReplicas", workers)] if autoscaled else []
        return [Change("RayCluster", name, [*bound, *wanted])]
    # The operator hands a change of the DaskCluster on to its worker group only where nobody else moves the group.
    cluster = Change("DaskCluster", name, [_set("/spec/worker/replicas", workers)])
    scaler = Change("DaskAutoscaler", name, [_set("/spec/minimum", workers)])
    return [scaler] if autoscaled else [cluster]


def readiness(
    engine: Engine, cluster: Mapping[str, Any], pods: Iterable[Mapping[str, Any]], joined: int | None, wanted: int
) -> Readiness:
    """`joined`: workers that the engine itself counts; None where it has not been asked. The smallest count holds."""
    alive = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    up = sum(_is_ready(pod) for pod in alive)
    counts = {"pods ready": up} | ({} if joined is None else {"workers joined": joined})
    if engine == "ray":
        status = cluster.get("status") or {}
        counts["readyWorkerReplicas"] = int(status.get("readyWorkerReplicas") or 0)
        seen = status.get("observedGeneration")
        if seen is not None and seen != cluster["metadata"].get("generation"):
            counts["of the newest generation"] = 0
    extra = len(alive) - wanted
    least = min(counts, key=lambda key: counts[key])
    # More than wanted are on their way out: not complete either, since they still take work.
    ready = counts[least] if extra <= 0 else max(counts[least], len(alive))
    reasons = sorted({reason for pod in alive if (reason := waiting(pod))})
    why = f"{counts[least]} {least}" + (f", {extra} too many" if extra > 0 else "") + "".join(f"; {r}" for r in reasons)
    return Readiness(ready, wanted, why)


def waiting(pod: Mapping[str, Any]) -> str | None:
    """Why a pod is not running, in the words of the scheduler or the kubelet; None if nothing is said."""
    status = pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"not placed: {condition.get('message') or condition.get('reason')}"
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        stuck = (container.get("state") or {}).get("waiting") or {}
        if stuck.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{stuck['reason']}: {stuck.get('message', '')}".rstrip(": ")
    return None


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _set(path: str, value: int) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}
