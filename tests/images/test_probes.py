"""Every probe that a definition or an operator puts on a pod, called against a container of the image."""

from collections.abc import Iterator
from typing import Any

import pytest
from dask_kubernetes.operator.controller import controller

from infra.kubernetes.dask_cluster import DaskClusterSpec, dask_cluster
from infra.kubernetes.pods import PodSize
from infra.kubernetes.ray_cluster import RayClusterSpec, ray_cluster
from tests.images import pods
from tests.images.containers import NETWORK, Containers

pytestmark = pytest.mark.images
SIZE = PodSize(2048, 1)
RAY = ray_cluster(RayClusterSpec("ray", "k8s", "image", SIZE, 1, 1, "heads", "workers"))
DASK = dask_cluster(DaskClusterSpec("dask", "k8s", "image", SIZE, 1, "schedulers", "workers", 3600))
HEAD, WORKER, STRANGER = f"{NETWORK}.101", f"{NETWORK}.102", f"{NETWORK}.103"
SECRETS = {"auth_token": "ab" * 32}
JOB = """
import ray, time
ray.init(log_to_driver=False)
deadline = time.monotonic() + 60
while ray.cluster_resources().get("CPU", 0) < 1 and time.monotonic() < deadline:
    time.sleep(0.5)
print("answer", sum(ray.get([ray.remote(lambda x: x * x).remote(x) for x in range(10)])))
"""


@pytest.fixture(scope="module")
def ray(containers: Containers, network: str, record: Any) -> Iterator[dict[str, Any]]:
    """The head's and a worker's container, ready."""
    made = pods.ray_pods(RAY)
    names = {"ray-head-svc.k8s.svc.cluster.local": HEAD}
    pods.run(containers, "ray-head", made["head"], HEAD, network, secrets=SECRETS)
    record("Ray head pod, start to ready", pods.wait(made["head"], "readinessProbe", HEAD))
    pods.run(containers, "ray-worker", made["worker"], WORKER, network, names=names, secrets=SECRETS)
    record("Ray worker pod, start to ready", pods.wait(made["worker"], "readinessProbe", WORKER))
    yield made
    for name in ("ray-head", "ray-worker"):
        containers.remove(name)


@pytest.mark.parametrize(("kind", "address"), [("head", HEAD), ("worker", WORKER)])
def test_ray_pods_answer_their_probes(ray: dict[str, Any], containers: Containers, kind: str, address: str) -> None:
    for name, _ in pods.probes(ray[kind]):
        pods.wait(ray[kind], name, address)
    assert containers.running(f"ray-{kind}")


def test_what_kuberay_would_ask_of_a_pod_without_probes_is_not_answered(ray: dict[str, Any]) -> None:
    """Why the bodies bring their own."""
    agent = {"httpGet": {"path": "/api/healthz", "port": pods.AGENT_PORT}}
    assert not any(pods.answers({}, agent, address) for address in (HEAD, WORKER))


def test_a_program_piped_into_the_head_s_container_runs(ray: dict[str, Any], containers: Containers) -> None:
    """The line of docs/kubernetes.md, with the runtime's exec for kubectl's."""
    assert "answer 285" in containers("exec", "--interactive", "ray-head", "python", "-", given=JOB)


def test_a_pod_of_a_dead_raylet_is_not_ready(ray: dict[str, Any], containers: Containers) -> None:
    containers.remove("ray-worker")
    assert not pods.answers(ray["worker"], ray["worker"]["livenessProbe"], WORKER)


def test_dask_pods_answer_their_probes(containers: Containers, network: str, record: Any) -> None:
    """The Deployments are the operator's own; a worker joins by the name that it gave."""
    spec = DASK["spec"]
    scheduler = controller.build_scheduler_deployment_spec("dask", spec["scheduler"]["spec"], {}, {})
    worker = controller.build_worker_deployment_spec("dask-default", "k8s", "dask", "0", spec["worker"]["spec"], {}, {})
    boxes = [made["spec"]["template"]["spec"]["containers"][0] for made in (scheduler, worker)]
    pods.run(containers, "dask-scheduler", boxes[0], HEAD.replace("101", "111"), network)
    at = HEAD.replace("101", "111")
    record("Dask scheduler pod, start to ready", pods.wait(boxes[0], "readinessProbe", at))
    for name, _ in pods.probes(boxes[0]):
        pods.wait(boxes[0], name, at)
    names = {"dask-scheduler.k8s.svc.cluster.local": at}
    pods.run(containers, "dask-worker", boxes[1], HEAD.replace("101", "112"), network, names=names)
    from distributed import Client

    with Client(f"tcp://{at}:8786", timeout=60) as client:
        client.wait_for_workers(1, timeout=60)
        (joined,) = client.scheduler_info()["workers"].values()
        assert joined["id"] == "dask-default-worker-0"
        assert client.submit(sum, [1, 2]).result(timeout=30) == 3
    for name in ("dask-scheduler", "dask-worker"):
        containers.remove(name)


def test_the_autoscaler_s_program_is_in_the_image(containers: Containers) -> None:
    """KubeRay runs it beside an autoscaled head; without an API server its modules are as far as it comes."""
    modules = "ray.autoscaler._private.kuberay.run_autoscaler, ray.autoscaler.v2.monitor"
    said = containers.once("cluster", ["bash", "-c", f"python -c 'import {modules}' && ray kuberay-autoscaler --help"])
    assert "--cluster-namespace" in said
