"""The body of a RayCluster, for KubeRay 1.7."""

from dataclasses import dataclass

from infra.kubernetes.pods import KEPT, Body, Image, PodSize, container, pod, probes, resources
from plan.settings import Autoscale

API_VERSION = "ray.io/v1"
RAY_VERSION = "2.60.0"
"""What the cluster image holds; a test compares it with the pinned requirements."""

WORKERS = "workers"
TOKEN_KEY = "auth_token"  # noqa: S105 - the key's name in the Secret that KubeRay makes, not a token

GCS_PORT = 6379
RAYLET_PORT = 8076

_AUTOSCALER = PodSize(512, 0.25)
"""The autoscaler's container in the head's pod; KubeRay's default of half a CPU would make it larger than a slot."""


@dataclass(frozen=True)
class RayClusterSpec:
    """`size`: of each worker, and of the head's pod as a whole. `workers`: how many the group starts with and may not
    exceed. `autoscale`: bounds for Ray's own autoscaler, which then moves the group."""

    name: str
    namespace: str
    image: Image
    size: PodSize
    workers: int
    max_workers: int
    head_account: str
    worker_account: str
    autoscale: Autoscale | None = None


def ray_cluster(spec: RayClusterSpec) -> Body:
    """A head without tasks and one group of workers, under token authentication.

    KubeRay makes the token and keeps it in a Secret of the cluster's name, so that it is in no state and no log. The
    head has no slots (num-cpus 0): a task there would run beside the scheduler, and count as a worker that is none.

    The probes are our own: KubeRay's ask Ray's dashboard agent, which takes 0.1 GB of each worker's memory and answers
    late where tasks use the pod's whole CPU. The GCS and the raylet speak gRPC's health protocol themselves.
    """
    labels = {"ray.io/cluster": spec.name}
    scaled = spec.autoscale is not None
    head_size = spec.size.less(_AUTOSCALER.memory_mib, _AUTOSCALER.vcpu) if scaled else spec.size
    head = container(
        "ray-head",
        spec.image,
        head_size,
        {"RAY_USAGE_STATS_ENABLED": "0"},
        ports=[
            {"name": "gcs-server", "containerPort": GCS_PORT},
        ],
        **probes({"grpc": {"port": GCS_PORT}}),
    )
    worker = container(
        "ray-worker",
        spec.image,
        spec.size,
        {"RAY_USAGE_STATS_ENABLED": "0"},
        ports=[{"name": "raylet", "containerPort": RAYLET_PORT}],
        **probes({"grpc": {"port": RAYLET_PORT}}),
    )
    group: Body = {
        "groupName": WORKERS,
        "replicas": spec.workers,
        "minReplicas": spec.autoscale.min_workers if spec.autoscale else 0,
        "maxReplicas": spec.max_workers,
        "rayStartParams": {"num-cpus": f"{spec.size.vcpu:.0f}", "node-manager-port": str(RAYLET_PORT)},
        "template": {
            "metadata": {"annotations": dict(KEPT)},
            "spec": pod([worker], spec.worker_account, spread={**labels, "ray.io/node-type": "worker"}),
        },
    }
    body: Body = {
        "rayVersion": RAY_VERSION,
        "authOptions": {"mode": "token"},
        "headGroupSpec": {
            "serviceType": "ClusterIP",
            "rayStartParams": {"num-cpus": "0", "port": str(GCS_PORT), "include-dashboard": "false"},
            # Only an autoscaled head speaks to the API server: its autoscaler patches this object's replicas.
            "template": {
                "metadata": {"annotations": dict(KEPT)},
                "spec": pod([head], spec.head_account, api_token=scaled),
            },
        },
        "workerGroupSpecs": [group],
    }
    if spec.autoscale:
        body["enableInTreeAutoscaling"] = True
        body["autoscalerOptions"] = {
            "version": "v2",
            "idleTimeoutSeconds": spec.autoscale.idle_timeout_s,
            "upscalingMode": "Default",
            "resources": resources(_AUTOSCALER),
            "securityContext": head["securityContext"],
        }
    return {
        "apiVersion": API_VERSION,
        "kind": "RayCluster",
        "metadata": {"name": spec.name, "namespace": spec.namespace},
        "spec": body,
    }
