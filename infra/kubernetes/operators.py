"""The operators, and the autoscaler of nodes, by Helm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from plan.settings import Engine

OPERATORS = "operators"
"""The namespace that they live in; network policies know it by this name."""

AUTOSCALER_ACCOUNT = "cluster-autoscaler"


@dataclass(frozen=True)
class Chart:
    """One chart at an exact version."""

    name: str
    version: str
    repository: str


CHARTS: Mapping[Engine, Chart] = {
    "ray": Chart("kuberay-operator", "1.7.0", "https://ray-project.github.io/kuberay-helm/"),
    "dask": Chart("dask-kubernetes-operator", "2026.3.0", "https://helm.dask.org/"),
}
# Its image is autoscaler 1.35.0 (values.yaml; charts up to 9.55.0 say 1.35 and carry 1.34.2): its minor version is that
# of Kubernetes in catalog/eks_versions.csv's newest row.
AUTOSCALER = Chart("cluster-autoscaler", "9.59.0", "https://kubernetes.github.io/autoscaler")

IDLE_NODE = "2m"
"""How long a node must have had nothing to do before it goes; the chart's own default is ten minutes."""


@dataclass(frozen=True)
class NodeScaling:
    """Which EKS cluster's groups the autoscaler finds and moves."""

    cluster: str
    region: str


@dataclass(frozen=True)
class OperatorsArgs:
    """`engines`: whose operators are wanted. `node_scaling`: None where the nodes are fixed."""

    engines: Sequence[Engine]
    node_scaling: NodeScaling | None


class Operators(pulumi.ComponentResource):
    """KubeRay and the Dask operator in a namespace of their own, and cluster-autoscaler where nodes come and go.

    Why cluster-autoscaler and not Karpenter: it moves the managed node group, so `destroy` and the expiry know every
    node, which carries the group's tags; Karpenter starts instances by itself, which outlive it. Not EKS Auto Mode
    either: its nodes are of its own image, at a surcharge, and a benchmark wants the type it names. Costs a few hundred
    MiB of the nodes. No outputs.
    """

    def __init__(self, name: str, args: OperatorsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:kubernetes:Operators", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        if args.node_scaling:
            _release(f"{name}-autoscaler", AUTOSCALER, "kube-system", autoscaler_values(args.node_scaling), child)
        space = kubernetes.core.v1.Namespace(f"{name}-{OPERATORS}", metadata={"name": OPERATORS}, opts=child)
        inside = pulumi.ResourceOptions(parent=self, depends_on=[space])
        for engine in args.engines:
            _release(f"{name}-{engine}", CHARTS[engine], OPERATORS, {}, inside)
        self.register_outputs({})


def autoscaler_values(scaling: NodeScaling) -> dict[str, Any]:
    """The chart's values: find groups by EKS's own tags, let an idle node go, though Ray keeps its objects in memory
    files and the operators, being no daemons, would otherwise hold the node they are on."""
    return {
        "autoDiscovery": {"clusterName": scaling.cluster},
        "awsRegion": scaling.region,
        "rbac": {"serviceAccount": {"name": AUTOSCALER_ACCOUNT}},
        "extraArgs": {
            "scale-down-unneeded-time": IDLE_NODE,
            "scale-down-delay-after-add": IDLE_NODE,
            "skip-nodes-with-local-storage": False,
            "skip-nodes-with-system-pods": False,
            "expander": "least-waste",
        },
    }


def _release(
    name: str, chart: Chart, namespace: str, values: Mapping[str, Any], opts: pulumi.ResourceOptions
) -> kubernetes.helm.v3.Release:
    return kubernetes.helm.v3.Release(
        name,
        name=chart.name,
        chart=chart.name,
        version=chart.version,
        repository_opts=kubernetes.helm.v3.RepositoryOptsArgs(repo=chart.repository),
        namespace=namespace,
        values=dict(values),
        atomic=True,  # a release that did not come up is taken away again, or the next `up` would find it half there
        timeout=300,
        opts=opts,
    )
