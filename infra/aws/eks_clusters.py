"""All of a stack that lives on EKS: the cluster, who may do what, the operators, the engines' clusters, their end."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from infra.aws.buckets import Buckets
from infra.aws.eks import Eks, EksArgs
from infra.aws.eks_expiry import EndNodesAtExpiry, EndNodesAtExpiryArgs
from infra.aws.eks_identity import PodIdentity, PodIdentityArgs, autoscaler_statements
from infra.aws.functions import call_functions
from infra.kubernetes.access import DRIVER, WORKERS
from infra.kubernetes.clusters import PodCluster, PodClusters, PodClustersArgs, engines_of
from infra.kubernetes.operators import AUTOSCALER_ACCOUNT, NodeScaling, Operators, OperatorsArgs
from plan.settings import Kubernetes


@dataclass(frozen=True)
class EksClustersArgs:
    """`stack` is the EKS cluster's name and the namespace. `image` by digest. `at`: when it ends; `ttl_h`: what it was
    meant to live. Buckets by name. `functions`: whether the stack has some, which its driver calls."""

    stack: str
    region: str
    kubernetes: Kubernetes
    clusters: Sequence[PodCluster]
    subnet_ids: Sequence[pulumi.Input[str]]
    client_cidr: str
    image: pulumi.Input[str]
    buckets: Buckets
    at: pulumi.Input[str]
    ttl_h: float
    functions: bool


class EksClusters(pulumi.ComponentResource):
    """An EKS cluster with the operators and the engines' clusters on it, in the order of `infra.kubernetes.order`.

    Costs 0.10 USD/h for the control plane and the nodes' prices, from `up` on: nodes are shared by all clusters, which
    rest at zero workers. Outputs: `name` (of the EKS cluster), `namespace`.
    """

    name: pulumi.Output[str]
    namespace: str

    def __init__(self, name: str, args: EksClustersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:EksClusters", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        nodes = args.kubernetes
        scales = nodes.max_nodes is not None
        eks = Eks(
            name,
            EksArgs(
                name=args.stack,
                region=args.region,
                version=nodes.version,
                instance_type=nodes.instance_type,
                nodes=nodes.nodes,
                min_nodes=nodes.nodes if nodes.min_nodes is None else nodes.min_nodes,
                max_nodes=nodes.max_nodes or nodes.nodes,
                subnet_ids=args.subnet_ids,
                client_cidr=args.client_cidr,
            ),
            opts=child,
        )
        identities = self._identities(name, args, eks, scales)
        end = EndNodesAtExpiryArgs(args.stack, args.region, args.at, eks.node_group.node_group_name)
        EndNodesAtExpiry(f"{args.stack}-end-nodes", end, opts=child)

        provider = kubernetes.Provider(
            name,
            kubeconfig=eks.kubeconfig,
            # The cluster's own name, so that a renewed certificate does not look like another cluster.
            cluster_identifier=args.stack,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[eks]),
        )
        scaling = NodeScaling(args.stack, args.region) if scales else None
        operators = Operators(
            f"{name}-operators",
            OperatorsArgs(engines_of(args.clusters), scaling),
            opts=pulumi.ResourceOptions(parent=self, providers=[provider], depends_on=[eks, *identities]),
        )
        PodClusters(
            f"{name}-pods",
            PodClustersArgs(args.stack, args.clusters, args.image, args.at, round(args.ttl_h * 3600)),
            # An identity reaches the pods that start after it.
            opts=pulumi.ResourceOptions(parent=self, providers=[provider], depends_on=[operators, *identities]),
        )
        self.name = eks.name
        self.namespace = args.stack
        self.register_outputs({"name": self.name, "namespace": self.namespace})

    def _identities(self, name: str, args: EksClustersArgs, eks: Eks, scales: bool) -> list[PodIdentity]:
        wanted = {
            (args.stack, WORKERS): args.buckets.worker(),
            (args.stack, DRIVER): [
                *args.buckets.driver(),
                *([call_functions(args.region, args.stack)] if args.functions else []),
            ],
        }
        if scales:
            wanted["kube-system", AUTOSCALER_ACCOUNT] = autoscaler_statements(args.stack)
        return [
            PodIdentity(
                f"{name}-{account}",
                PodIdentityArgs(eks.name, namespace, account, statements),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for (namespace, account), statements in wanted.items()
        ]
