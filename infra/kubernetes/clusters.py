"""The engines' clusters of a stack as custom resources, with all that closes them in and ends them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from infra.kubernetes.access import HEADS, SCHEDULERS, WORKERS, accounts, driver_access, expiry_access
from infra.kubernetes.dask_cluster import DaskClusterSpec, dask_autoscaler, dask_cluster
from infra.kubernetes.expiry import cron, end_at_expiry
from infra.kubernetes.lint import must_be_clean
from infra.kubernetes.network_policy import network_policies
from infra.kubernetes.operators import OPERATORS
from infra.kubernetes.order import DELETE_TIMEOUT
from infra.kubernetes.pods import Body, Image, PodSize
from infra.kubernetes.ray_cluster import RayClusterSpec, ray_cluster
from plan.settings import Autoscale, Engine

_KINDS = {
    "ServiceAccount": kubernetes.core.v1.ServiceAccount,
    "Role": kubernetes.rbac.v1.Role,
    "RoleBinding": kubernetes.rbac.v1.RoleBinding,
    "NetworkPolicy": kubernetes.networking.v1.NetworkPolicy,
    "CronJob": kubernetes.batch.v1.CronJob,
}
_WIRE = {"roleRef": "role_ref", "automountServiceAccountToken": "automount_service_account_token"}

# Sessions scale by these; a deploy in the middle of a run must not set them back.
_MOVED = {
    "RayCluster": ["spec.workerGroupSpecs[0].replicas", "spec.workerGroupSpecs[0].minReplicas"],
    "DaskCluster": ["spec.worker.replicas"],
    "DaskAutoscaler": ["spec.minimum"],
}

# A change of these is accepted by both operators and touches no running pod: a head would go on with the old image or
# size beside new workers. So the cluster is made anew.
_ANEW = {
    "RayCluster": [
        "spec.headGroupSpec",
        "spec.workerGroupSpecs[0].rayStartParams",
        "spec.workerGroupSpecs[0].template",
    ],
    "DaskCluster": ["spec.scheduler", "spec.worker.spec"],
    "DaskAutoscaler": [],
}


@dataclass(frozen=True)
class PodCluster:
    """One cluster of worker pods. `max_workers`: how far a session or an autoscaler may take it."""

    name: str
    engine: Engine
    size: PodSize
    max_workers: int
    autoscale: Autoscale | None


@dataclass(frozen=True)
class PodClustersArgs:
    """`image` by digest, for every pod. `at`: when it all ends (UTC). `idle_timeout_s`: of a Dask cluster."""

    namespace: str
    clusters: Sequence[PodCluster]
    image: pulumi.Input[str]
    at: pulumi.Input[str]
    idle_timeout_s: int


class PodClusters(pulumi.ComponentResource):
    """A namespace with service accounts, network policies, the end at expiry, and a custom resource per cluster.

    Why at zero workers: a stack that compares engines has room for one at a time; the session brings its own cluster up
    and down by patching the custom resource, and the autoscaler's lower bound with it. The provider applies on the
    server (its default), which large definitions need and which leaves a field alone that a session has taken over.
    Costs nothing beside the nodes. No outputs.
    """

    def __init__(self, name: str, args: PodClustersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:kubernetes:PodClusters", name, {}, opts)
        must_be_clean(custom_resources(args, "image-not-known-yet"))
        child = pulumi.ResourceOptions(parent=self)
        engines = engines_of(args.clusters)
        space = kubernetes.core.v1.Namespace(name, metadata=_namespace(args.namespace), opts=child)
        inside = pulumi.ResourceOptions(parent=self, depends_on=[space])
        around = [
            *accounts(args.namespace, engines),
            *driver_access(args.namespace, {cluster.name: cluster.engine for cluster in args.clusters}),
            *expiry_access(args.namespace, engines),
            *network_policies([(c.name, c.engine) for c in args.clusters], args.namespace, OPERATORS),
        ]
        made = [_declare(name, body, inside) for body in around]
        # Closed before anything listens; what ends it is there before what it ends.
        after = pulumi.ResourceOptions(parent=self, depends_on=[space, *made])
        schedule = pulumi.Output.from_input(args.at).apply(cron)
        end = _declare(name, end_at_expiry(args.namespace, engines, args.image, schedule), after)
        below = [space, *made, end]
        for body in custom_resources(args, args.image):
            # A cluster's autoscaler comes after it and goes before it.
            below.append(_custom(name, body, below, self))
        self.register_outputs({})


def address(cluster: PodCluster, namespace: str) -> str:
    """Where a pod of the same network finds the cluster, by the Services that the operators make."""
    if cluster.engine == "ray":
        return f"{cluster.name}-head-svc.{namespace}.svc.cluster.local:6379"
    return f"tcp://{cluster.name}-scheduler.{namespace}.svc.cluster.local:8786"


def secret(cluster: PodCluster) -> str | None:
    """The Secret, in the cluster's namespace, that holds what a client needs: Ray's token; Dask has none here."""
    return cluster.name if cluster.engine == "ray" else None


def engines_of(clusters: Sequence[PodCluster]) -> list[Engine]:
    """The engines that these clusters need, each once."""
    return sorted({cluster.engine for cluster in clusters})


def custom_resources(args: PodClustersArgs, image: Image) -> list[Body]:
    """The custom resources of these clusters, at zero workers; `image` stands where it is used."""
    return [body for cluster in args.clusters for body in _bodies(cluster, args, image)]


def _bodies(cluster: PodCluster, args: PodClustersArgs, image: Image) -> list[Body]:
    scale = cluster.autoscale
    resting = scale.model_copy(update={"min_workers": 0}) if scale else None
    if cluster.engine == "ray":
        ray = RayClusterSpec(
            name=cluster.name,
            namespace=args.namespace,
            image=image,
            size=cluster.size,
            workers=0,
            max_workers=cluster.max_workers,
            head_account=HEADS,
            worker_account=WORKERS,
            autoscale=resting,
        )
        return [ray_cluster(ray)]
    dask = DaskClusterSpec(
        name=cluster.name,
        namespace=args.namespace,
        image=image,
        size=cluster.size,
        workers=0,
        scheduler_account=SCHEDULERS,
        worker_account=WORKERS,
        idle_timeout_s=args.idle_timeout_s,
    )
    return [dask_cluster(dask), *([dask_autoscaler(cluster.name, args.namespace, resting)] if resting else [])]


def _namespace(name: str) -> Mapping[str, object]:
    return {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}


def _declare(name: str, body: Body, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    kind = str(body["kind"])
    inputs = {_WIRE.get(key, key): value for key, value in body.items() if key not in ("apiVersion", "kind")}
    made: pulumi.Resource = _KINDS[kind](f"{name}-{kind.lower()}-{body['metadata']['name']}", **inputs, opts=opts)
    return made


def _custom(name: str, body: Body, after: Sequence[pulumi.Resource], parent: pulumi.Resource) -> pulumi.Resource:
    kind = str(body["kind"])
    made: pulumi.Resource = kubernetes.apiextensions.CustomResource(
        f"{name}-{kind.lower()}-{body['metadata']['name']}",
        api_version=body["apiVersion"],
        kind=kind,
        metadata=body["metadata"],
        spec=body["spec"],
        opts=pulumi.ResourceOptions(
            parent=parent,
            depends_on=list(after),
            ignore_changes=_MOVED[kind],
            replace_on_changes=_ANEW[kind],
            # An autoscaler belongs to its cluster, and is collected with it.
            replace_with=[after[-1]] if kind == "DaskAutoscaler" else None,
            delete_before_replace=True,
            custom_timeouts=pulumi.CustomTimeouts(delete=DELETE_TIMEOUT),
        ),
    )
    return made
