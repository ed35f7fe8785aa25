"""What the pods of an autoscaled RayCluster run, on this machine: simulated ones run nothing."""

import base64
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from infra.kubernetes.access import HEADS
from tests.infra.kubernetes.kubectl import ROOT
from tests.infra.kubernetes.live import Live

GCS = "127.0.0.1:6379"
# On this machine Ray takes another address for loopback.
_HERE = "from ray._private import services; services.get_node_ip_address = lambda *a, **k: '127.0.0.1'\n"
# The entry point of the autoscaler's container, with its account's files elsewhere than in a pod and the look whether
# the head is ready, by the command line, left out.
_AUTOSCALER = f"""
import sys
{_HERE}
from ray.autoscaler._private.kuberay import node_provider, run_autoscaler
run_autoscaler.get_node_ip_address = services.get_node_ip_address
run_autoscaler.subprocess.check_call = lambda command: 0
folder, name, space, address = sys.argv[1:]
node_provider.IN_CLUSTER_TOKEN_PATH, node_provider.IN_CLUSTER_CA_CERT_PATH = folder + "/token", folder + "/ca.crt"
run_autoscaler.run_kuberay_autoscaler(name, space, address)
"""
_WORK = f"""
import sys, time
{_HERE}
import ray
ray.init({GCS!r}, _node_ip_address="127.0.0.1", log_to_driver=False)
@ray.remote(num_cpus=1, max_retries=0)
def work(seconds):
    time.sleep(seconds)
ray.get([work.remote(float(sys.argv[2])) for _ in range(int(sys.argv[1]))])
"""


class RayPods:
    """A head with the environment that KubeRay gives its pod, Ray's own autoscaler with the rights of that pod's
    account, and for each worker pod a node of its name. A node whose pod goes is ended."""

    def __init__(self, live: Live, folder: Path):
        self._live, self._folder = live, folder
        self._sockets = tempfile.TemporaryDirectory(prefix="ray-")  # whose paths may have 107 characters
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self._ended = threading.Event()
        self._log = (folder / "ray.log").open("w")
        live.until(lambda: len(self._pods("head")) == 1)
        self._environment = self._of(self._pods("head")[0])
        self._base = [self._node(self._environment, "--head", "--gcs-port", GCS.partition(":")[2])]
        server = yaml.safe_load(Path(live.kubectl[2]).read_text())["clusters"][0]["cluster"]
        (folder / "token").write_text(live.token(HEADS))
        (folder / "ca.crt").write_bytes(base64.b64decode(server["certificate-authority-data"]))
        at = urlsplit(server["server"])
        inside = {"KUBERNETES_SERVICE_HOST": str(at.hostname), "KUBERNETES_SERVICE_PORT_HTTPS": str(at.port)}
        command = [sys.executable, "-c", _AUTOSCALER, str(folder), "ray", live.space, GCS]
        self._base.append(self._run(command, self._environment | inside))
        self._follower = threading.Thread(target=self._follow)
        self._follower.start()

    def work(self, tasks: int, seconds: float) -> "subprocess.Popen[bytes]":
        """A driver with tasks of a slot each, none of which may be tried again. It exits with 0 when all are done."""
        return self._run([sys.executable, "-c", _WORK, str(tasks), str(seconds)], self._environment)

    def close(self) -> None:
        """End the nodes, the autoscaler and the head."""
        self._ended.set()
        self._follower.join()
        for process in [*self._nodes.values(), *reversed(self._base)]:
            process.terminate()
            process.wait(timeout=30)
        self._log.close()
        self._sockets.cleanup()

    def _pods(self, kind: str) -> list[dict[str, Any]]:
        found = self._live.get("pods", "-l", f"ray.io/node-type={kind}")["items"]
        return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]

    def _of(self, pod: dict[str, Any]) -> dict[str, str]:
        """What Ray reads of a pod's environment: who the node is, the cluster's token, how it is asked for."""
        told = {one["name"]: one.get("value", "") for one in pod["spec"]["containers"][0]["env"]}
        token = self._live.get("secret", "ray")["data"]["auth_token"]
        labels = pod["metadata"]["labels"]
        return {name: value for name, value in told.items() if name.startswith("RAY_enable") or "AUTH" in name} | {
            "RAY_AUTH_TOKEN": base64.b64decode(token).decode(),
            "RAY_CLOUD_INSTANCE_ID": pod["metadata"]["name"],
            "RAY_NODE_TYPE_NAME": labels["ray.io/group"],
        }

    def _node(self, environment: dict[str, str], *options: str) -> "subprocess.Popen[bytes]":
        ready = self._folder / f"ready-{environment['RAY_CLOUD_INSTANCE_ID']}"
        command = [sys.executable, str(ROOT / "local/runners/ray_node.py"), "--object-store-mib=80", "--ready-file"]
        node = self._run([*command, str(ready), "--temp-dir", self._sockets.name, *options], environment)
        while not ready.exists():
            assert node.poll() is None, (self._folder / "ray.log").read_text()[-3000:]
            time.sleep(0.2)
        return node

    def _run(self, command: list[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(command, env=os.environ | environment, stdout=self._log, stderr=subprocess.STDOUT)

    def _follow(self) -> None:
        while not self._ended.wait(0.5):
            pods = {pod["metadata"]["name"]: pod for pod in self._pods("worker")}
            for name in pods.keys() - self._nodes.keys():
                self._nodes[name] = self._node(self._of(pods[name]), f"--address={GCS}", "--slots=1")
            for name in self._nodes.keys() - pods.keys():
                node = self._nodes.pop(name)
                node.terminate()
                node.wait(timeout=30)
