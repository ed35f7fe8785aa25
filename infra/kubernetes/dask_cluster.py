"""The bodies of a DaskCluster and a DaskAutoscaler, for the Dask operator 2026.3."""

import json
from dataclasses import dataclass

from infra.kubernetes.pods import KEPT, Body, Image, PodSize, container, pod, probes
from plan.settings import Autoscale

API_VERSION = "kubernetes.dask.org/v1"

SCHEDULER_PORT = 8786
HTTP_PORT = 8787
WORKER_PORT = 9000
NANNY_PORT = 9500

# The operator asks the scheduler over HTTP how many workers it wants, which to retire, and since when it is idle. These
# routes are not among distributed's defaults; without them the operator falls back to its own version of the protocol.
ROUTES = ("distributed.http.scheduler.api", "distributed.http.scheduler.info", "distributed.http.health")


@dataclass(frozen=True)
class DaskClusterSpec:
    """`size`: of each worker and of the scheduler. `workers`: how many the cluster starts with. `idle_timeout_s`: after
    so long without a task the operator deletes the cluster, whoever has forgotten it."""

    name: str
    namespace: str
    image: Image
    size: PodSize
    workers: int
    scheduler_account: str
    worker_account: str
    idle_timeout_s: int


def dask_cluster(spec: DaskClusterSpec) -> Body:
    """A scheduler and workers of one nanny each, on fixed ports, so that a network policy can name them.

    The operator speaks plain TCP and HTTP to the scheduler and knows no certificate: who may reach these ports is in
    `infra.kubernetes.network_policy`.
    """
    labels = {"dask.org/cluster-name": spec.name}
    scheduler = container(
        "scheduler",
        spec.image,
        spec.size,
        {"DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": json.dumps(ROUTES)},
        args=["dask", "scheduler", "--port", str(SCHEDULER_PORT), "--dashboard-address", f":{HTTP_PORT}"],
        ports=[
            {"name": "tcp-comm", "containerPort": SCHEDULER_PORT},
            {"name": "http-dashboard", "containerPort": HTTP_PORT},
        ],
        **probes({"httpGet": {"path": "/health", "port": "http-dashboard"}}),
    )
    worker = container(
        "worker",
        spec.image,
        spec.size,
        # The name is the Deployment's: by it the operator finds what to delete when the scheduler retires a worker.
        args=[
            *("dask", "worker", "--name", "$(DASK_WORKER_NAME)"),
            *("--nworkers", "1", "--nthreads", f"{spec.size.vcpu:.0f}", "--memory-limit", f"{spec.size.memory_mib}MiB"),
            *("--worker-port", str(WORKER_PORT), "--nanny-port", str(NANNY_PORT), "--no-dashboard"),
        ],
        ports=[
            {"name": "worker", "containerPort": WORKER_PORT},
            {"name": "nanny", "containerPort": NANNY_PORT},
        ],
    )
    service = {
        "type": "ClusterIP",
        "selector": {**labels, "dask.org/component": "scheduler"},
        "ports": [
            {"name": name, "protocol": "TCP", "port": port, "targetPort": name}
            for name, port in (("tcp-comm", SCHEDULER_PORT), ("http-dashboard", HTTP_PORT))
        ],
    }
    spread = {**labels, "dask.org/component": "worker"}
    return {
        "apiVersion": API_VERSION,
        "kind": "DaskCluster",
        # The operator hands annotations on to all that it makes, pods too.
        "metadata": {"name": spec.name, "namespace": spec.namespace, "annotations": dict(KEPT)},
        "spec": {
            "idleTimeout": spec.idle_timeout_s,
            "worker": {"replicas": spec.workers, "spec": pod([worker], spec.worker_account, spread=spread)},
            "scheduler": {"spec": pod([scheduler], spec.scheduler_account), "service": service},
        },
    }


def dask_autoscaler(cluster: str, namespace: str, bounds: Autoscale) -> Body:
    """The operator's autoscaler of one cluster: it asks the scheduler every 5 s, goes up at once, goes down by a
    quarter of the workers at a time, and rests 15 s after each change (its controller.py, 2026.3.0)."""
    return {
        "apiVersion": API_VERSION,
        "kind": "DaskAutoscaler",
        "metadata": {"name": cluster, "namespace": namespace},
        "spec": {"cluster": cluster, "minimum": bounds.min_workers, "maximum": bounds.max_workers},
    }
