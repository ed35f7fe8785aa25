"""Who may talk to whom among a stack's pods. What is not here cannot be reached, whatever listens.

Needs a network plugin that enforces policies: on EKS the VPC plugin with `enableNetworkPolicy` (infra.aws.eks).
Probes come from the node itself, which no policy stops.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.kubernetes.dask_cluster import HTTP_PORT, NANNY_PORT, SCHEDULER_PORT, WORKER_PORT
from infra.kubernetes.pods import ROLE, Body
from plan.settings import Engine

DRIVER: Body = {"podSelector": {"matchLabels": {ROLE: "driver"}}}


@dataclass(frozen=True)
class Opening:
    """`sources` may open connections to the pods labelled `target` on `ports` (none: every port), because of `why`."""

    name: str
    target: dict[str, str]
    sources: tuple[Body, ...]
    ports: tuple[int, ...]
    why: str


def openings(cluster: str, engine: Engine, operators: str) -> list[Opening]:
    """What one cluster needs; `operators` is the namespace that the operators live in."""
    return _ray(cluster) if engine == "ray" else _dask(cluster, operators)


def network_policies(clusters: Sequence[tuple[str, Engine]], namespace: str, operators: str) -> list[Body]:
    """Everything closed, then one policy per opening of each cluster."""
    closed = _policy("closed", namespace, {}, None, "no pod is reached by anyone who is not named")
    opened = [opening for name, engine in clusters for opening in openings(name, engine, operators)]
    return [closed, *(_policy(o.name, namespace, o.target, o, o.why) for o in opened)]


def _ray(cluster: str) -> list[Opening]:
    members = {"ray.io/cluster": cluster}
    them: Body = {"podSelector": {"matchLabels": members}}
    # A session's driver is a member without slots (`ray start --num-cpus=0`): raylets and workers open connections to
    # each other on ports they choose, so members are open to members, with the token on every call.
    return [
        Opening(f"{cluster}-members", members, (them, DRIVER), (), "raylets, workers and drivers answer each other"),
        Opening(f"{cluster}-drivers", {ROLE: "driver"}, (them,), (), "workers answer to the driver's raylet"),
    ]


def _dask(cluster: str, operators: str) -> list[Opening]:
    named = {"dask.org/cluster-name": cluster}
    scheduler, worker = ({**named, "dask.org/component": part} for part in ("scheduler", "worker"))
    from_scheduler, from_worker = ({"podSelector": {"matchLabels": labels}} for labels in (scheduler, worker))
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": operators}}}
    return [
        Opening(
            f"{cluster}-scheduler",
            scheduler,
            (from_worker, DRIVER, operator),
            (SCHEDULER_PORT,),
            "workers join, a session's driver is a client, the operator retires workers",
        ),
        Opening(
            f"{cluster}-http",
            scheduler,
            (operator, DRIVER),
            (HTTP_PORT,),
            "the operator asks how many workers are wanted and since when the scheduler is idle",
        ),
        Opening(
            f"{cluster}-workers",
            worker,
            (from_scheduler, from_worker),
            (WORKER_PORT, NANNY_PORT),
            "the scheduler gives tasks and restarts, workers fetch results from each other",
        ),
    ]


def _policy(name: str, namespace: str, target: dict[str, str], opening: Opening | None, why: str) -> Body:
    ingress: list[Body] = []
    if opening is not None:
        rule: Body = {"from": list(opening.sources)}
        if opening.ports:
            rule["ports"] = [{"protocol": "TCP", "port": port} for port in opening.ports]
        ingress = [rule]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "annotations": {"breakeven.dev/why": why}},
        "spec": {
            "podSelector": {"matchLabels": target} if target else {},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    }
