"""A stack's objects on a real API server, its operators at work on simulated nodes, and what a Dask pod would run."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from distributed import Client, Future, Worker

from bench.sessions.kubernetes import PodCluster
from catalog.eks import DAEMONS_CPU_M, DAEMONS_MIB
from infra.kubernetes.access import DRIVER, accounts, driver_access, expiry_access
from infra.kubernetes.clusters import PodClustersArgs, custom_resources, engines_of
from infra.kubernetes.dask_cluster import HTTP_PORT, SCHEDULER_PORT
from infra.kubernetes.expiry import cron, end_at_expiry
from infra.kubernetes.network_policy import network_policies
from infra.kubernetes.pods import Body
from plan.outputs import ClusterOutputs
from plan.settings import Engine, load
from plan.sizing import sizes
from stacks.pods import pod_clusters
from tests.infra.kubernetes.kubectl import ROOT, run

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/cluster@sha256:" + "0" * 64
AT = "2030-01-31T18:00:00Z"
WITHIN_S = 180.0  # the Dask operator rests between its steps


def declared(stack: str, space: str) -> list[Body]:
    """The namespace `space`, and all that the stack declares in it."""
    settings = load(stack, ROOT)
    pods = pod_clusters(settings, sizes(settings))
    engines = engines_of(pods)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": labels}},
        *accounts(space, engines),
        *driver_access(space, {pod.name: pod.engine for pod in pods}),
        *expiry_access(space, engines),
        *network_policies([(pod.name, pod.engine) for pod in pods], space, "operators"),
        end_at_expiry(space, engines, IMAGE, cron(AT)),
        *custom_resources(PodClustersArgs(space, pods, IMAGE, AT, 3600), IMAGE),
    ]


# What takes a part of each node beside the workers (catalog.eks), and the operators as their charts ask for them.
BESIDE: list[Body] = [
    {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "test-operators"},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": IMAGE, "resources": {"requests": asked}}]},
            },
        },
    }
    for kind, name, asked in (
        ("DaemonSet", "daemons", {"cpu": f"{DAEMONS_CPU_M}m", "memory": f"{DAEMONS_MIB}Mi"}),
        ("Deployment", "kuberay-operator", {"cpu": "100m", "memory": "512Mi"}),
    )
]


class Live:
    """A stack on simulated nodes, in the hands of the operators; a driver's own account moves it."""

    def __init__(self, kubectl: list[str], stack: str, space: str, bodies: list[Body], folder: Path):
        import kr8s

        self.kubectl, self.stack, self.space, self.bodies, self.folder = kubectl, stack, space, bodies, folder
        self.settings = load(stack, ROOT)
        self.api = kr8s.api(kubeconfig=str(self._account(DRIVER)), namespace=space)

    def _account(self, name: str) -> Path:
        config = yaml.safe_load(Path(self.kubectl[2]).read_text())
        config["users"][0]["user"] = {"token": self.token(name)}
        path = self.folder / name
        path.write_text(yaml.safe_dump(config))
        return path

    def token(self, account: str) -> str:
        """A token of one of the stack's accounts."""
        return run([*self.kubectl, "create", "token", account, "-n", self.space]).strip()

    def get(self, *what: str) -> Any:
        """Objects of the stack's namespace, as kubectl names them."""
        return json.loads(run([*self.kubectl, "get", "-n", self.space, "-o", "json", *what]))

    def cluster(self, engine: Engine) -> PodCluster:
        """As a session finds it from the outputs."""
        given = self.settings.clusters[engine]
        out = ClusterOutputs(
            engine=engine, platform="eks", nodes=given.workers, slots_per_node=1, group=engine, limit_mib=4096,
            autoscale=given.autoscale,
        )  # fmt: skip
        return PodCluster(out, self.space, self.api)

    def placed(self, *phases: str) -> dict[str, int]:
        """Pods by node, in these phases or in any; those without a node under ''."""
        found: dict[str, int] = {}
        for pod in [pod for pod in self.get("pods")["items"] if not phases or pod["status"]["phase"] in phases]:
            node = pod["spec"].get("nodeName", "")
            found[node] = found.get(node, 0) + 1
        return found

    def until(self, holds: Callable[[], bool], within_s: float = WITHIN_S) -> None:
        """Wait, and fail with what the namespace holds."""
        until = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < until, run([*self.kubectl, "get", "-n", self.space, "all,events"])
            time.sleep(0.5)


class DaskPods:
    """What the pods of a DaskCluster run, on this machine: the scheduler with the arguments and environment declared
    for it, and for each worker Deployment a worker of its name.

    Simulated pods run nothing, and the operator asks a scheduler which workers may go: without one it takes any.
    `lost` counts the workers whose Deployment went though no scheduler had retired them.
    """

    def __init__(self, kubectl: list[str], space: str, bodies: list[Body], folder: Path):
        self._workers_of = [*kubectl, "get", "-n", space, "-l", "dask.org/component=worker", "-o", "json"]
        self.lost = 0
        self._workers: dict[str, Worker] = {}
        self._ended = threading.Event()
        (cluster,) = [body for body in bodies if body["kind"] == "DaskCluster"]
        (scheduler,) = cluster["spec"]["scheduler"]["spec"]["containers"]
        here = [f"127.0.0.1:{HTTP_PORT}" if word == f":{HTTP_PORT}" else word for word in scheduler["args"]]
        with socket.socket() as free:  # a scheduler whose port is taken takes another, where no operator finds it
            free.bind(("127.0.0.1", HTTP_PORT))
        self._log = (folder / "scheduler.log").open("w")
        self._scheduler = subprocess.Popen(
            [sys.executable, "-m", *here, "--host", "127.0.0.1"],
            env={**os.environ, **{one["name"]: one["value"] for one in scheduler["env"] if "value" in one}},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self.client = Client(f"tcp://127.0.0.1:{SCHEDULER_PORT}", timeout=30)
        self._follower = threading.Thread(target=self._follow)
        self._follower.start()

    def _follow(self) -> None:
        while not self._ended.wait(0.3):
            names = self._deployed()
            for name in names - self._workers.keys():
                self._workers[name] = self.client.sync(self._begin, name)
            known = self._known()
            for name in self._workers.keys() - names:
                self.lost += name in known
                self.client.sync(self._workers.pop(name).close)

    def _deployed(self) -> set[str]:
        found = json.loads(run([*self._workers_of, "deployments"]))["items"]
        return {one["metadata"]["name"] for one in found if not one["metadata"].get("deletionTimestamp")}

    async def _begin(self, name: str) -> Worker:
        address = f"tcp://127.0.0.1:{SCHEDULER_PORT}"
        return await Worker(address, name=name, nthreads=1, memory_limit="4096MiB", dashboard=False)

    def workers(self) -> int:
        """How many the scheduler counts."""
        return len(self._known())

    def hold(self, values: int) -> list[Future]:
        """The numbers below `values`, each on one worker alone and made by no task, so that it is lost with it."""
        return list(self.client.scatter(list(range(values)), hash=False))

    def _known(self) -> set[str]:
        return {worker["name"] for worker in self.client.scheduler_info(n_workers=-1)["workers"].values()}

    def close(self) -> None:
        """End the workers and the scheduler."""
        self._ended.set()
        self._follower.join()
        for worker in self._workers.values():
            self.client.sync(worker.close)
        self.client.close()
        self._scheduler.terminate()
        self._scheduler.wait(timeout=30)
        self._log.close()
