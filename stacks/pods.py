"""The part of a bench stack that runs on EKS. Apart, because its provider's package takes seconds to import."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.aws.eks_clusters import EksClusters, EksClustersArgs
from infra.kubernetes.access import DRIVER
from infra.kubernetes.clusters import PodCluster, address, secret
from infra.kubernetes.pods import PodSize
from plan.person import Person
from plan.settings import Settings
from plan.sizing import Size
from stacks.place import Place, autoscale_outputs


@dataclass(frozen=True)
class Pods:
    """What `plan.outputs` wants of it: `clusters` by name, and the `kubernetes` that they share."""

    clusters: dict[str, Any]
    kubernetes: dict[str, Any]


def declare(settings: Settings, person: Person, size: Mapping[str, Size], place: Place, at: pulumi.Output[str]) -> Pods:
    """Declare the EKS cluster and the stack's clusters on it; `at`: when it ends."""
    pods = pod_clusters(settings, size)
    eks = _eks(settings, person, pods, place, at)
    clusters = {pod.name: _pod_outputs(settings, size[pod.name], pod) for pod in pods}
    return Pods(clusters, _kubernetes_outputs(settings, eks))


def pod_clusters(settings: Settings, size: Mapping[str, Size]) -> list[PodCluster]:
    """The stack's clusters on EKS, each worker as large as its limit."""
    return [
        PodCluster(
            name=name,
            engine=cluster.engine,
            size=PodSize(size[name].limit_mib, settings.worker.vcpu),
            max_workers=size[name].workers,
            autoscale=cluster.autoscale,
        )
        for name, cluster in settings.clusters.items()
        if cluster.platform == "eks"
    ]


def _eks(
    settings: Settings, person: Person, pods: list[PodCluster], place: Place, at: pulumi.Output[str]
) -> EksClusters:
    assert settings.kubernetes is not None  # plan.settings refuses an eks cluster without `kubernetes`
    assert settings.ttl_h is not None
    args = EksClustersArgs(
        stack=settings.stack,
        region=place.site.region,
        kubernetes=settings.kubernetes,
        clusters=pods,
        subnet_ids=place.network.subnet_ids,
        client_cidr=person.client_cidr,
        image=place.site.cluster_image,
        buckets=place.site.buckets,
        at=at,
        ttl_h=settings.ttl_h,
        functions=settings.functions is not None,
    )
    # After the whole network: its routes must outlive what speaks through them.
    opts = pulumi.ResourceOptions.merge(place.opts, pulumi.ResourceOptions(depends_on=[place.network]))
    return EksClusters(f"{settings.stack}-eks", args, opts=opts)


def _pod_outputs(settings: Settings, size: Size, pod: PodCluster) -> dict[str, Any]:
    return {
        "engine": size.engine,
        "platform": "eks",
        "address": address(pod, settings.stack),
        "secretAt": secret(pod),
        "nodes": size.workers,
        "slotsPerNode": 1,
        "group": pod.name,
        "instanceType": size.instance_type,
        "limitMib": size.limit_mib,
        "limitEnforcedBy": "cgroup",
        "autoscale": autoscale_outputs(settings, size),
    }


def _kubernetes_outputs(settings: Settings, eks: EksClusters) -> dict[str, Any]:
    assert settings.kubernetes is not None
    return {
        "cluster": eks.name,
        "namespace": eks.namespace,
        "driverAccount": DRIVER,
        "nodes": settings.kubernetes.nodes,
    }
