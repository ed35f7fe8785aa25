"""Scaling, readiness and per-pod times on objects as an API server writes them; the driver's Job as it would run."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bench.bundle import bundle
from bench.sessions.kubernetes_driver import driver_job
from bench.sessions.kubernetes_pods import pod_times, quantiles_s
from bench.sessions.kubernetes_scale import changes, readiness, waiting
from plan.outputs import ClusterOutputs, KubernetesOutputs, Outputs

ROOT = Path(__file__).parents[3]
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/cluster@sha256:" + "0" * 64


def _pod(name: str = "w-1", ready: bool = True, **more: Any) -> dict[str, Any]:
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-31T18:00:02Z"},
        {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-31T18:00:19Z"},
    ]
    running = {"state": {"running": {"startedAt": "2026-01-31T18:00:15Z"}}}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-01-31T18:00:01Z", **more},
        "spec": {"nodeName": "node-1"},
        "status": {"conditions": conditions, "containerStatuses": [running]},
    }


def _event(pod: str, reason: str, at: str, message: str = "") -> dict[str, Any]:
    return {"involvedObject": {"uid": f"uid-{pod}"}, "reason": reason, "lastTimestamp": at, "message": message}


def test_a_pods_steps_are_read_in_order() -> None:
    events = [
        _event("w-1", "Pulling", "2026-01-31T18:00:03Z"),
        _event("w-1", "Pulled", "2026-01-31T18:00:12Z", 'Successfully pulled image "x" in 9s'),
        _event("w-2", "Pulled", "2026-01-31T18:00:59Z", "another pod's"),
    ]
    times = pod_times(_pod(), events, joined_at=pod_times(_pod()).created_at + 20)
    assert times.spans_s() == {"schedule": 1, "pull": 10, "start": 3, "ready": 4, "join": 2}
    assert (times.node, times.image_was_there) == ("node-1", False)
    assert times.took_s() == 20
    assert times.facts()["join_at"] == times.created_at + 20


def test_a_pod_that_waits_has_no_times_it_has_not_reached() -> None:
    pod = {"metadata": {"name": "w", "uid": "u", "creationTimestamp": "2026-01-31T18:00:01Z"}, "status": {}}
    times = pod_times(pod)
    assert (times.scheduled_at, times.started_at, times.ready_at, times.image_was_there) == (None, None, None, None)
    assert times.spans_s() == {}


def test_an_image_that_was_there_is_told_from_one_that_was_pulled() -> None:
    """Start-up is not comparable otherwise: the first pod of a node pulls, the others find it."""
    there = _event("w-1", "Pulled", "2026-01-31T18:00:03Z", "Container image already present on machine")
    assert pod_times(_pod(), [there]).image_was_there is True


@pytest.mark.parametrize(
    ("reached", "found"),
    [
        ([3.0, 1.0, 2.0, 4.0], {"first": 1.0, "half": 2.0, "nine_tenths": 4.0, "all": 4.0}),
        ([1.0, 2.0], {"first": 1.0, "half": 2.0}),
        ([], {}),
    ],
)
def test_a_share_that_was_not_reached_has_no_time(reached: list[float], found: dict[str, float]) -> None:
    assert quantiles_s(0.0, reached, 4) == found


RAY = {"metadata": {"generation": 2}, "status": {"state": "ready", "readyWorkerReplicas": 2, "observedGeneration": 2}}


@pytest.mark.parametrize(
    ("engine", "cluster", "pods", "joined", "ready"),
    [
        ("ray", RAY, [_pod("a"), _pod("b")], None, 2),
        # `state` says ready while a part is placed: seen with KubeRay after a scale-up.
        ("ray", {**RAY, "status": {**RAY["status"], "readyWorkerReplicas": 1}}, [_pod("a"), _pod("b")], None, 1),
        ("ray", {**RAY, "metadata": {"generation": 3}}, [_pod("a"), _pod("b")], None, 0),
        # Running, but the workers have not joined; Pending, though all have.
        ("dask", {"metadata": {}, "status": {"phase": "Running"}}, [_pod("a"), _pod("b")], 1, 1),
        ("dask", {"metadata": {}, "status": {"phase": "Pending"}}, [_pod("a"), _pod("b")], 2, 2),
        ("dask", {"metadata": {}}, [_pod("a"), _pod("b", ready=False)], None, 1),
        ("dask", {"metadata": {}}, [_pod("a"), _pod("b"), _pod("c")], 2, 3),
        ("dask", {"metadata": {}}, [_pod("a"), _pod("b"), _pod("c", deletionTimestamp="x")], 2, 2),
    ],
)
def test_readiness_is_counted_and_not_believed(engine: Any, cluster: Any, pods: Any, joined: Any, ready: int) -> None:
    found = readiness(engine, cluster, pods, joined, 2)
    assert (found.ready, found.complete) == (ready, ready == 2)


def test_what_is_missing_is_said_in_the_schedulers_words() -> None:
    pod = _pod("c", ready=False)
    pod["status"]["conditions"][0] |= {"status": "False", "message": "0/8 nodes are available: 8 Insufficient memory."}
    assert "Insufficient memory" in readiness("dask", {"metadata": {}}, [pod], 0, 1).why
    stuck = _pod("d", ready=False)
    stuck["status"]["containerStatuses"] = [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "denied"}}}]
    assert waiting(stuck) == "ImagePullBackOff: denied"


@pytest.mark.parametrize(
    ("engine", "autoscaled", "kind", "paths"),
    [
        ("ray", False, "RayCluster", ["replicas"]),
        ("ray", True, "RayCluster", ["minReplicas", "replicas"]),
        ("dask", False, "DaskCluster", ["replicas"]),
        ("dask", True, "DaskAutoscaler", ["minimum"]),
    ],
)
def test_scaling_moves_what_the_operator_looks_at(engine: Any, autoscaled: bool, kind: str, paths: list[str]) -> None:
    (change,) = changes(engine, "c", 8, autoscaled=autoscaled)
    assert (change.kind, change.name) == (kind, "c")
    assert [step["path"].rsplit("/", 1)[1] for step in change.patch] == paths
    assert {step["value"] for step in change.patch} == {8}


OUTPUTS = Outputs(
    stack="k8s-50",
    program="bench",
    region="us-east-1",
    worker_memory_mib=4096,
    worker_vcpu=1,
    working_bucket="working",
    results_bucket="results",
    images={"cluster": IMAGE},
    kubernetes=KubernetesOutputs(cluster="k8s-50", namespace="k8s-50", driver_account="driver", nodes=8),
    clusters={
        "ray": ClusterOutputs(
            engine="ray",
            platform="eks",
            address="ray-head-svc.k8s-50.svc.cluster.local:6379",
            secret_at="ray",
            nodes=50,
            slots_per_node=1,
            group="ray",
            limit_mib=4096,
        )
    },
)


def test_equal_code_has_an_equal_key_and_holds_what_a_driver_imports(tmp_path: Path) -> None:
    """The key is the content's: a Job never runs another commit than the one that asked for it."""
    key, body = bundle(ROOT, OUTPUTS)
    assert bundle(ROOT, OUTPUTS) == (key, body)
    assert bundle(ROOT, OUTPUTS.model_copy(update={"region": "eu-west-1"}))[0] != key
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        archive.extractall(tmp_path)  # noqa: S202  our own; `filter` came with Python 3.11.4
    check = "import bench.stack as s, bench.rows, tasks; print(s.__file__, s.outputs('k8s-50').kubernetes.namespace)"
    command = [sys.executable, "-c", check]
    env = {**os.environ, "BREAKEVEN_OUTPUTS": "outputs.json"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "bench" / "stack.py"), "k8s-50"]


def test_the_job_is_closed_in_and_holds_no_secret(tmp_path: Path) -> None:
    arguments = ["workloads/ingest.py", "--stack", "k8s-50"]
    job = driver_job(OUTPUTS, "r1", "driver/abc.tar.gz", "driver/runs/r1/", arguments)
    (box,) = job["spec"]["template"]["spec"]["containers"]
    # One that was killed from outside is followed by one that ends what it left; one that ended by itself by none.
    assert job["spec"]["backoffLimit"] == 1
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    assert rule == {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [137, 143]}}
    assert box["image"] == IMAGE
    assert box["resources"]["requests"] == box["resources"]["limits"]
    assert not [e for e in box["env"] if "token" in e["name"].lower() or "valueFrom" in e]
    script = tmp_path / "job.sh"
    script.write_text(box["command"][2])
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    assert "workloads/ingest.py --stack k8s-50" in box["command"][2]


def test_a_stack_without_kubernetes_is_told_so() -> None:
    with pytest.raises(ValueError, match="has no Kubernetes cluster"):
        driver_job(OUTPUTS.model_copy(update={"kubernetes": None}), "r1", "key", "p/", ["workloads/ingest.py"])
