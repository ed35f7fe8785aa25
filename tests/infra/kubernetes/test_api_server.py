"""Everything that a stack declares on its cluster, applied to a real API server that refuses unknown fields; and, where
the operators run, what they make of it on simulated nodes.

BREAKEVEN_TEST_KUBECONFIG names the kubeconfig of a server on loopback with the operators' definitions installed; what
is applied goes again. BREAKEVEN_TEST_OPERATORS=1 says that KubeRay, the Dask operator, scheduler, controller manager
and kwok run there, that no other node is there, and that the Dask operator reaches this machine's loopback by the name
`dask-scheduler.test-live`.
"""

import base64
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import yaml

from bench.sessions.kubernetes_driver import driver_job
from bench.sessions.session import SessionError
from infra.kubernetes.access import DRIVER, EXPIRY
from infra.kubernetes.pods import Body
from plan.outputs import KubernetesOutputs, Outputs
from plan.settings import Engine
from tests.infra.kubernetes.kubectl import apply, gone, run, simulated_nodes
from tests.infra.kubernetes.live import BESIDE, IMAGE, WITHIN_S, DaskPods, Live, declared
from tests.infra.kubernetes.ray_pods import RayPods

SPACE = "test-live"
ALL = ("k8s-32", "k8s-50", "k8s-autoscale")


@pytest.fixture(scope="module")
def kubectl() -> list[str]:
    given = os.environ.get("BREAKEVEN_TEST_KUBECONFIG")
    if given is None or shutil.which("kubectl") is None:
        pytest.skip("no API server: BREAKEVEN_TEST_KUBECONFIG names none, or there is no kubectl")
    servers = [c["cluster"]["server"] for c in yaml.safe_load(Path(given).read_text())["clusters"]]
    assert all("//127.0.0.1" in server or "//localhost" in server for server in servers), "only a server on loopback"
    return ["kubectl", "--kubeconfig", given]


@pytest.fixture(params=ALL)
def bodies(request: pytest.FixtureRequest, kubectl: list[str]) -> Iterator[list[Body]]:
    """All of a stack's bodies; the namespace alone is made, so that no operator has begun what goes at once."""
    space = f"test-dry-{request.param}"
    found = declared(request.param, space)
    assert apply(kubectl, found[:1]).returncode == 0
    yield found
    gone(kubectl, space)


def test_everything_is_accepted_strictly(kubectl: list[str], bodies: list[Body]) -> None:
    done = apply(kubectl, bodies, "--dry-run=server")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("serverside-applied") == len(bodies)


def test_a_misspelt_field_is_not(kubectl: list[str], bodies: list[Body]) -> None:
    """The check itself: a server that is not asked strictly drops it with a warning."""
    bodies[-1]["spec"]["minimun"] = 3
    done = apply(kubectl, bodies[-1:], "--dry-run=server")
    assert done.returncode != 0
    assert "minimun" in done.stderr


@pytest.fixture(scope="module")
def live(
    request: pytest.FixtureRequest, kubectl: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Live, DaskPods]]:
    """The stack of the parameter, brought up."""
    if os.environ.get("BREAKEVEN_TEST_OPERATORS") != "1":
        pytest.skip("no operators: BREAKEVEN_TEST_OPERATORS=1 says that they and kwok run beside the API server")
    try:
        reached = socket.gethostbyname(f"dask-scheduler.{SPACE}")
    except OSError:
        reached = "nothing"
    if reached != "127.0.0.1":
        pytest.skip(f"dask-scheduler.{SPACE}, by which the Dask operator asks, is {reached}, wanted 127.0.0.1")
    folder, found = tmp_path_factory.mktemp("live"), declared(request.param, SPACE)
    operators = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "test-operators"}}
    nodes = simulated_nodes(request.param)
    with ExitStack() as after:
        names = [node["metadata"]["name"] for node in nodes]
        after.callback(run, [*kubectl, "delete", "node", "--ignore-not-found", *names])
        dask = after.enter_context(closing(DaskPods(kubectl, SPACE, found, folder)))
        for name in ("test-operators", SPACE):
            after.callback(gone, kubectl, name, wait=True)
        for made in (nodes, [operators, *BESIDE], found):
            done = apply(kubectl, made)
            assert done.returncode == 0, done.stderr
        yield Live(kubectl, request.param, SPACE, found, folder), dask


def of(*stacks: str) -> pytest.MarkDecorator:
    """Run with these stacks up, one after the other."""
    return pytest.mark.parametrize("live", stacks, indirect=True)


@of("k8s-32", "k8s-50")
@pytest.mark.parametrize("engine", ["ray", "dask"])
def test_all_workers_are_placed_followed_and_timed(live: tuple[Live, DaskPods], engine: Engine) -> None:
    """All workers, both heads and the driver's Job beside daemons and operators; down and up are followed, and what a
    Dask worker holds has moved before it goes."""
    stack, dask = live
    most = stack.settings.clusters[engine].workers
    out = Outputs(
        stack=stack.stack, program="bench", region="us-east-1", worker_memory_mib=4096, worker_vcpu=1,
        working_bucket="working", images={"cluster": IMAGE},
        kubernetes=KubernetesOutputs(cluster="k", namespace=stack.space, driver_account=DRIVER, nodes=8),
    )  # fmt: skip
    job = driver_job(out, f"t-{engine}", "key", "driver/runs/t/", ["workloads/ingest.py"])
    assert apply(stack.kubectl, [job]).returncode == 0
    cluster = stack.cluster(engine)
    assert cluster.scale(most, deadline_s=WITHIN_S).complete
    stack.until(lambda: "" not in stack.placed())
    assert max(stack.placed("Pending", "Running").values()) <= 7  # a simulated Job ends at once, and takes nothing
    assert sum(stack.placed().values()) >= most + 3
    times = cluster.times()
    assert len({one.name for one in times}) == most
    assert all(one.node and one.scheduled_at and one.started_at and one.ready_at for one in times)

    held = dask.hold(most) if engine == "dask" else []
    assert cluster.scale(3, deadline_s=WITHIN_S).complete
    assert dask.client.gather(held) == list(range(len(held)))
    assert cluster.scale(8, deadline_s=WITHIN_S).complete
    assert dask.client.gather(held) == list(range(len(held)))
    held.clear()
    assert cluster.scale(0, deadline_s=WITHIN_S).complete
    assert dask.lost == 0
    run([*stack.kubectl, "delete", "job", "-n", stack.space, job["metadata"]["name"]])


@of("k8s-50")
def test_one_more_than_fits_stays_pending_and_is_explained(live: tuple[Live, DaskPods]) -> None:
    """8 nodes hold 56, of which two heads and the operators take three."""
    stack, _ = live
    cluster = stack.cluster("dask")
    try:
        with pytest.raises(SessionError, match=r"found 53 pods ready; not placed: .*Insufficient.*wanted 54 workers"):
            cluster.scale(54, deadline_s=25)
        assert stack.placed()[""] == 1
    finally:
        cluster.scale(0, deadline_s=WITHIN_S)


@of("k8s-autoscale")
def test_an_autoscaler_follows_the_work_and_loses_none(live: tuple[Live, DaskPods]) -> None:
    """From the session's least to all that the stack declares, and back when the work has gone."""
    stack, dask = live
    cluster, bounds = stack.cluster("dask"), stack.settings.clusters["dask"].autoscale
    assert bounds is not None
    assert cluster.scale(bounds.min_workers, deadline_s=WITHIN_S).complete
    work = dask.client.map(time.sleep, [5.0] * 2000, pure=False)  # for all of them, 200 s
    stack.until(lambda: dask.workers() == bounds.max_workers)
    held = dask.hold(bounds.max_workers)
    dask.client.cancel(work)
    # By a quarter at a time, with a rest of 15 s and a look every 5.
    stack.until(lambda: dask.workers() == len(cluster.pods()) == bounds.min_workers, within_s=400)
    assert dask.client.gather(held) == list(range(len(held)))
    assert dask.lost == 0
    held.clear()
    assert cluster.scale(0, deadline_s=WITHIN_S).complete


@of("k8s-autoscale")
def test_rays_own_autoscaler_follows_the_work_and_loses_none(live: tuple[Live, DaskPods], tmp_path: Path) -> None:
    """Seven tasks for four workers: three more come. Those that idle for a minute are named by Ray, and go."""
    stack, _ = live
    cluster = stack.cluster("ray")
    with closing(RayPods(stack, tmp_path)) as ray:
        assert cluster.scale(4, deadline_s=WITHIN_S).complete
        work = ray.work(7, seconds=20)
        stack.until(lambda: len(cluster.pods()) == 7)
        assert work.wait(timeout=WITHIN_S) == 0
        stack.until(lambda: len(cluster.pods()) == 4)
        group = cluster.object()["spec"]["workerGroupSpecs"][0]
        assert group["replicas"] == 4
        assert group["scaleStrategy"]["workersToDelete"]
        assert cluster.scale(0, deadline_s=WITHIN_S).complete


@of("k8s-50")
def test_a_driver_may_scale_its_clusters_and_nothing_else(live: tuple[Live, DaskPods]) -> None:
    """By the API server's own word, not by ours."""
    stack, _ = live

    def may(*what: str, account: str = DRIVER) -> bool:
        user = f"system:serviceaccount:{stack.space}:{account}"
        command = [*stack.kubectl, "auth", "can-i", *what, "-n", stack.space, "--as", user]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0

    assert may("patch", "rayclusters.ray.io/ray")
    assert may("get", "secrets/ray")
    refused = [("patch", "rayclusters.ray.io/other"), ("delete", "rayclusters.ray.io/ray"), ("get", "secrets/other"),
               ("list", "secrets"), ("create", "pods")]  # fmt: skip
    assert not [what for what in refused if may(*what)]
    assert not may("get", "pods", account="workers")


@of("k8s-50", "k8s-autoscale")
def test_the_end_at_expiry_leaves_nothing_with_no_client_alive(live: tuple[Live, DaskPods]) -> None:
    """The Job's own program with its own account's rights; then the operators and the garbage collector do the rest."""
    stack, _ = live
    token = stack.cluster("ray").token(stack.folder / "secrets")
    assert Path(token).read_bytes() == base64.b64decode(stack.get("secret", "ray")["data"]["auth_token"])
    stack.cluster("ray").scale(4, deadline_s=WITHIN_S)
    stack.cluster("dask").scale(4, deadline_s=WITHIN_S)
    (expiry,) = [body for body in stack.bodies if body["kind"] == "CronJob"]
    pod = expiry["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    account = stack.folder / "account"
    account.mkdir()
    config = yaml.safe_load(Path(stack.kubectl[2]).read_text())["clusters"][0]["cluster"]
    (account / "token").write_text(stack.token(EXPIRY))
    (account / "ca.crt").write_bytes(base64.b64decode(config["certificate-authority-data"]))
    environment = {**os.environ, "API_SERVER": config["server"], "ACCOUNT_DIR": str(account)}
    command = [sys.executable, *pod["containers"][0]["command"][1:]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = "rayclusters.ray.io,daskclusters.kubernetes.dask.org,daskworkergroups.kubernetes.dask.org,pods,services"
    stack.until(lambda: stack.get(kinds)["items"] == [])
