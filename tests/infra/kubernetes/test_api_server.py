"""Everything that a stack declares on its cluster, applied to a real API server that refuses unknown fields; and, where
the operators run, what they make of it on simulated nodes.

BREAKEVEN_TEST_KUBECONFIG names the kubeconfig of a server on loopback with the operators' definitions installed; what
is applied goes again. BREAKEVEN_TEST_OPERATORS=1 says that KubeRay, the Dask operator, scheduler, controller manager
and kwok run there, that no other node is there, and that `dask-scheduler.test-k8s-50` is a name of this machine, where
port 8787 answers 404: simulated pods run no scheduler, and the operator takes no worker away before one has answered.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.sessions.kubernetes import PodCluster
from bench.sessions.kubernetes_driver import driver_job
from bench.sessions.session import SessionError
from catalog.eks import DAEMONS_CPU_M, DAEMONS_MIB, allocatable
from catalog.instances import instance
from infra.kubernetes.access import DRIVER, EXPIRY, accounts, driver_access, expiry_access
from infra.kubernetes.clusters import PodClustersArgs, custom_resources, engines_of
from infra.kubernetes.expiry import cron, end_at_expiry
from infra.kubernetes.network_policy import network_policies
from infra.kubernetes.pods import Body
from plan.outputs import ClusterOutputs, KubernetesOutputs, Outputs
from plan.settings import Engine, load
from plan.sizing import sizes
from stacks.pods import pod_clusters

ROOT = Path(__file__).parents[3]
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/cluster@sha256:" + "0" * 64
AT = "2030-01-31T18:00:00Z"
WITHIN_S = 180.0  # the Dask operator asks a scheduler that does not answer before it takes a worker away


@pytest.fixture(scope="module")
def kubectl() -> list[str]:
    given = os.environ.get("BREAKEVEN_TEST_KUBECONFIG")
    if given is None or shutil.which("kubectl") is None:
        pytest.skip("no API server: BREAKEVEN_TEST_KUBECONFIG names none, or there is no kubectl")
    servers = [c["cluster"]["server"] for c in yaml.safe_load(Path(given).read_text())["clusters"]]
    assert all("//127.0.0.1" in server or "//localhost" in server for server in servers), "only a server on loopback"
    return ["kubectl", "--kubeconfig", given]


def declared(stack: str) -> tuple[str, list[Body]]:
    """A namespace, and all that the stack declares in it."""
    settings = load(stack, ROOT)
    pods, space = pod_clusters(settings, sizes(settings)), f"test-{settings.stack}"
    engines = engines_of(pods)
    args = PodClustersArgs(space, pods, IMAGE, AT, 3600)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return space, [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": labels}},
        *accounts(space, engines),
        *driver_access(space, {pod.name: pod.engine for pod in pods}),
        *expiry_access(space, engines),
        *network_policies([(pod.name, pod.engine) for pod in pods], space, "operators"),
        end_at_expiry(space, engines, IMAGE, cron(AT)),
        *custom_resources(args, IMAGE),
    ]


@pytest.fixture(params=["k8s-32", "k8s-50", "k8s-autoscale"])
def stack(request: pytest.FixtureRequest, kubectl: list[str]) -> Iterator[tuple[str, list[Body]]]:
    space, bodies = declared(request.param)
    space += "-dry"  # its namespace alone is made, so that no operator has begun what goes at once
    for body in bodies:
        body["metadata"]["name" if body["kind"] == "Namespace" else "namespace"] = space
    assert _apply(kubectl, bodies[:1]).returncode == 0
    yield space, bodies
    _gone(kubectl, space)


def test_everything_is_accepted_strictly(kubectl: list[str], stack: tuple[str, list[Body]]) -> None:
    _, bodies = stack
    done = _apply(kubectl, bodies, "--dry-run=server")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("serverside-applied") == len(bodies)


def test_a_misspelt_field_is_not(kubectl: list[str], stack: tuple[str, list[Body]]) -> None:
    """The check itself: a server that is not asked strictly drops it with a warning."""
    _, bodies = stack
    bodies[-1]["spec"]["minimun"] = 3
    done = _apply(kubectl, bodies[-1:], "--dry-run=server")
    assert done.returncode != 0
    assert "minimun" in done.stderr


# What takes a part of each node beside the workers (catalog.eks), and the operators as their charts ask for them.
_BESIDE: list[Body] = [
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
    """A stack of 50 workers on 8 simulated nodes, in the hands of the operators; a driver's own account moves it."""

    def __init__(self, kubectl: list[str], space: str, bodies: list[Body], folder: Path):
        import kr8s

        self.kubectl, self.space, self.bodies, self.folder = kubectl, space, bodies, folder
        self.api = kr8s.api(kubeconfig=str(self._account(DRIVER)), namespace=space)

    def _account(self, name: str) -> Path:
        config = yaml.safe_load(Path(self.kubectl[2]).read_text())
        config["users"][0]["user"] = {"token": self.token(name)}
        path = self.folder / name
        path.write_text(yaml.safe_dump(config))
        return path

    def token(self, account: str) -> str:
        return _run([*self.kubectl, "create", "token", account, "-n", self.space]).strip()

    def get(self, *what: str) -> Any:
        return json.loads(_run([*self.kubectl, "get", "-n", self.space, "-o", "json", *what]))

    def cluster(self, engine: Engine) -> PodCluster:
        out = ClusterOutputs(engine=engine, platform="eks", nodes=50, slots_per_node=1, group=engine, limit_mib=4096)
        return PodCluster(out, self.space, self.api)

    def placed(self, *phases: str) -> dict[str, int]:
        """Pods by node, in these phases or in any, the daemons left out; those without a node under ''."""
        found: dict[str, int] = {}
        for pod in [pod for pod in self.get("pods")["items"] if not phases or pod["status"]["phase"] in phases]:
            node = pod["spec"].get("nodeName", "")
            found[node] = found.get(node, 0) + 1
        return found


@pytest.fixture(scope="module")
def live(kubectl: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    if os.environ.get("BREAKEVEN_TEST_OPERATORS") != "1":
        pytest.skip("no operators: BREAKEVEN_TEST_OPERATORS=1 says that they and kwok run beside the API server")
    settings = load("k8s-50", ROOT)
    assert settings.kubernetes is not None
    offered = allocatable(instance(settings.kubernetes.instance_type))
    size = {"cpu": f"{offered.cpu_m}m", "memory": f"{offered.memory_mib}Mi", "pods": str(offered.pods)}
    nodes = [f"test-{number}" for number in range(settings.kubernetes.nodes)]
    ours = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": node,
                "labels": {"kubernetes.io/hostname": node},
                "annotations": {"kwok.x-k8s.io/node": "fake"},
            },
            "status": {"allocatable": size, "capacity": size},
        }
        for node in nodes
    ]
    operators = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "test-operators"}}
    space, bodies = declared("k8s-50")
    try:
        for made in (ours, [operators, *_BESIDE], bodies):
            done = _apply(kubectl, made)
            assert done.returncode == 0, done.stderr
        yield Live(kubectl, space, bodies, tmp_path_factory.mktemp("accounts"))
    finally:
        for name in (space, "test-operators"):
            _gone(kubectl, name, wait=True)
        _run([*kubectl, "delete", "node", *nodes, "--ignore-not-found"])


@pytest.mark.parametrize("engine", ["ray", "dask"])
def test_all_workers_are_placed_followed_and_timed(live: Live, engine: Engine) -> None:
    """50 workers, both heads and the driver's Job on 8 nodes beside daemons and operators; down and up are followed."""
    out = Outputs(
        stack="k8s-50", program="bench", region="us-east-1", worker_memory_mib=4096, worker_vcpu=1,
        working_bucket="working", images={"cluster": IMAGE},
        kubernetes=KubernetesOutputs(cluster="k", namespace=live.space, driver_account=DRIVER, nodes=8),
    )  # fmt: skip
    job = driver_job(out, f"t-{engine}", "key", "driver/runs/t/", ["workloads/ingest.py"])
    assert _apply(live.kubectl, [job]).returncode == 0
    cluster = live.cluster(engine)
    assert cluster.scale(50, deadline_s=WITHIN_S).complete
    _until(lambda: "" not in live.placed(), live)
    assert max(live.placed("Pending", "Running").values()) <= 7  # a Job's simulated pod ends at once, and takes nothing
    assert sum(live.placed().values()) >= 53
    times = cluster.times()
    assert len({one.name for one in times}) == 50
    assert all(one.node and one.scheduled_at and one.started_at and one.ready_at for one in times)

    assert cluster.scale(3, deadline_s=WITHIN_S).complete
    assert cluster.scale(8, deadline_s=WITHIN_S).complete
    assert cluster.scale(0, deadline_s=WITHIN_S).complete
    _run([*live.kubectl, "delete", "job", "-n", live.space, job["metadata"]["name"]])


def test_one_more_than_fits_stays_pending_and_is_explained(live: Live) -> None:
    """8 nodes hold 56, of which two heads and the operators take three."""
    cluster = live.cluster("dask")
    try:
        with pytest.raises(SessionError, match=r"found 53 pods ready; not placed: .*Insufficient.*wanted 54 workers"):
            cluster.scale(54, deadline_s=25)
        assert live.placed()[""] == 1
    finally:
        cluster.scale(0, deadline_s=WITHIN_S)


def test_a_driver_may_scale_its_clusters_and_nothing_else(live: Live) -> None:
    """By the API server's own word, not by ours."""

    def may(*what: str, account: str = DRIVER) -> bool:
        user = f"system:serviceaccount:{live.space}:{account}"
        command = [*live.kubectl, "auth", "can-i", *what, "-n", live.space, "--as", user]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0

    assert may("patch", "rayclusters.ray.io/ray")
    assert may("get", "secrets/ray")
    refused = [("patch", "rayclusters.ray.io/other"), ("delete", "rayclusters.ray.io/ray"), ("get", "secrets/other"),
               ("list", "secrets"), ("create", "pods")]  # fmt: skip
    assert not [what for what in refused if may(*what)]
    assert not may("get", "pods", account="workers")


def test_the_end_at_expiry_leaves_nothing_with_no_client_alive(live: Live) -> None:
    """The Job's own program with its own account's rights; then the operators and the garbage collector do the rest."""
    token = live.cluster("ray").token(live.folder / "secrets")
    assert Path(token).read_bytes() == base64.b64decode(live.get("secret", "ray")["data"]["auth_token"])
    live.cluster("ray").scale(4, deadline_s=WITHIN_S)
    live.cluster("dask").scale(4, deadline_s=WITHIN_S)
    (expiry,) = [body for body in live.bodies if body["kind"] == "CronJob"]
    pod = expiry["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    account = live.folder / "account"
    account.mkdir()
    config = yaml.safe_load(Path(live.kubectl[2]).read_text())["clusters"][0]["cluster"]
    (account / "token").write_text(live.token(EXPIRY))
    (account / "ca.crt").write_bytes(base64.b64decode(config["certificate-authority-data"]))
    environment = {**os.environ, "API_SERVER": config["server"], "ACCOUNT_DIR": str(account)}
    command = [sys.executable, *pod["containers"][0]["command"][1:]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = "rayclusters.ray.io,daskclusters.kubernetes.dask.org,daskworkergroups.kubernetes.dask.org,pods,services"
    _until(lambda: live.get(kinds)["items"] == [], live)


def _until(holds: Callable[[], bool], live: Live) -> None:
    until = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < until, _run([*live.kubectl, "get", "-n", live.space, "all,events"])
        time.sleep(0.5)


def _gone(kubectl: list[str], space: str, *, wait: bool = False) -> None:
    options = ["--ignore-not-found", f"--wait={str(wait).lower()}", "--timeout=60s"]
    _run([*kubectl, "delete", "namespace", space, *options])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _apply(kubectl: list[str], bodies: list[Body], *options: str) -> "subprocess.CompletedProcess[str]":
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})
    command = [*kubectl, "apply", "--server-side", "--validate=strict", "-f", "-", *options]
    return subprocess.run(command, input=document, capture_output=True, text=True, check=False, timeout=120)
