"""The cluster's half alone, under a real engine, with an address known from the start, so that every body is checked in
the preview; and faults that must not pass."""

import json
import os
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.conftest import Engine
from tests.engine.test_kubernetes_stacks import has_kubernetes
from tests.infra.kubernetes.kubectl import apply, run, simulated_nodes

# What a stack declares on its cluster; FAULT spoils it.
PROGRAM = """
import os

import pulumi
import pulumi_kubernetes as kubernetes

from infra.kubernetes import clusters
from infra.kubernetes.clusters import PodCluster, PodClusters, PodClustersArgs
from infra.kubernetes.operators import Operators, OperatorsArgs
from infra.kubernetes.pods import PodSize
from plan.settings import Autoscale

fault = os.environ["FAULT"]
if fault == "unknown-field":
    right = clusters.dask_cluster
    def wrong(spec):
        body = right(spec)
        body["spec"]["worker"]["replica"] = 3
        return body
    clusters.dask_cluster = wrong

clusters.DELETE_TIMEOUT = os.environ.get("DELETE_TIMEOUT", clusters.DELETE_TIMEOUT)
provider = kubernetes.Provider("cluster", kubeconfig=os.environ["FIXED_KUBECONFIG"])
here = pulumi.ResourceOptions(providers=[provider])
after = []
if fault != "no-operators":
    after = [Operators("operators", OperatorsArgs(["dask", "ray"], None), opts=here)]
size, bounds = PodSize(4096, 1), Autoscale(min_workers=4, max_workers=50)
pods = [PodCluster("ray", "ray", size, 50, bounds), PodCluster("dask", "dask", size, 50, bounds)]
image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/cluster@sha256:" + "0" * 64
PodClusters(
    "pods",
    PodClustersArgs("faults", pods, image, "2030-01-31T18:00:00Z", 3600),
    opts=pulumi.ResourceOptions.merge(here, pulumi.ResourceOptions(depends_on=after)),
)
"""
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    "clusters": [{"name": "c", "cluster": {"server": f"https://{uuid.uuid4().hex[:8]}.invalid"}}],
    "users": [{"name": "c", "user": {"token": "t"}}],
}


class Cluster:
    """The program above in a project of its own."""

    def __init__(self, engine: Engine, folder: Path, kubeconfig: str):
        self.engine, self.folder, self.kubeconfig = engine, folder, kubeconfig

    def run(self, *arguments: str, fault: str = "none", **extra: str) -> tuple[int, str]:
        """Exit code and output of the engine."""
        done = subprocess.run(
            ["pulumi", *arguments, "-s", "faults", "--non-interactive"],
            cwd=self.folder,
            env={
                **self.engine.environment,
                "FAULT": fault,
                "FIXED_KUBECONFIG": self.kubeconfig,
                "PYTHONPATH": str(self.engine.project),
                **extra,
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def state(self) -> list[dict[str, Any]]:
        """Every resource of the state."""
        _, text = self.run("stack", "export")
        return list(json.loads(text)["deployment"]["resources"])

    def urn(self, token: str, name: str) -> str:
        """The URN of one resource in the state."""
        (found,) = [r["urn"] for r in self.state() if r["type"] == token and r["urn"].endswith(f"::{name}")]
        return str(found)


def _project(engine: Engine, folder: Path, kubeconfig: str) -> Cluster:
    if not has_kubernetes(engine):
        pytest.skip("no plugin `kubernetes`, neither installed nor as pulumi-resource-kubernetes on PATH")
    (folder / "__main__.py").write_text(PROGRAM)
    runtime = {"name": "python", "options": {"virtualenv": str(engine.project / ".venv")}}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "faults", "runtime": runtime}))
    made = Cluster(engine, folder, kubeconfig)
    code, text = made.run("stack", "init")
    assert code == 0, text
    return made


@pytest.fixture(scope="module")
def cluster(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    made = _project(engine, tmp_path_factory.mktemp("faults"), json.dumps(KUBECONFIG))
    code, text = made.run("preview")
    if code != 0 and "unreachable" in text:
        pytest.skip("the plugin `kubernetes` wants a cluster that answers, and this one does not")
    assert code == 0, text
    return made


@pytest.mark.engine
def test_a_wrong_field_is_refused_before_anything_is_made(cluster: Cluster) -> None:
    """A server drops it with a warning, and the cluster goes ready without it."""
    code, text = cluster.run("preview", fault="unknown-field")
    assert code != 0
    assert "replica" in text


@pytest.mark.slow_engine
def test_custom_resources_without_their_operator_are_refused(cluster: Cluster) -> None:
    code, text = cluster.run("up", "--yes", "--skip-preview", fault="no-operators")
    assert code != 0
    assert "RayCluster" in text
    cluster.run("destroy", "--yes", "--skip-preview")


@pytest.mark.slow_engine
def test_nothing_is_taken_away_under_what_stands_on_it(cluster: Cluster) -> None:
    """An operator before its custom resources would leave their finalizers to nobody; a namespace, its contents."""
    code, text = cluster.run("up", "--yes", "--skip-preview")
    assert code == 0, text
    bounded = {r["type"]: r.get("customTimeouts", {}).get("delete") for r in cluster.state() if "dask.org" in r["type"]}
    assert set(bounded.values()) == {300.0}, "a finalizer of an operator that is gone would hang a destroy"

    for token, name in (
        ("kubernetes:helm.sh/v3:Release", "operators-ray"),
        ("kubernetes:core/v1:Namespace", "pods"),
    ):
        code, text = cluster.run("destroy", "--yes", "--skip-preview", "--target", cluster.urn(token, name))
        assert code != 0, f"{name} went, though others depend on it"
        assert "depend" in text
    code, text = cluster.run("up", "--yes", "--skip-preview", fault="no-operators")
    assert code != 0, "the operators went under living custom resources"
    assert "RayCluster" in text or "still exist" in text
    code, text = cluster.run("destroy", "--yes", "--skip-preview")
    assert code == 0, text


@pytest.mark.slow_engine
def test_a_finalizer_that_nobody_takes_off_ends_a_destroy_with_its_name(engine: Engine, tmp_path: Path) -> None:
    """As after an operator's death: the destroy gives up in time, says what held it, and goes on when asked again."""
    given = os.environ.get("BREAKEVEN_TEST_KUBECONFIG")
    if given is None or os.environ.get("BREAKEVEN_TEST_OPERATORS") != "1":
        pytest.skip("no API server with operators: BREAKEVEN_TEST_KUBECONFIG and BREAKEVEN_TEST_OPERATORS say of none")
    cluster = _project(engine, tmp_path, Path(given).read_text())
    kubectl, node = ["kubectl", "--kubeconfig", given], simulated_nodes("k8s-50")[:1]

    def held(finalizers: list[str] | None) -> None:
        patch = json.dumps({"metadata": {"finalizers": finalizers}})
        run([*kubectl, "-n", "faults", "patch", "rayclusters.ray.io", "ray", "--type=merge", "-p", patch])

    destroy = ("destroy", "--yes", "--skip-preview")
    try:
        assert apply(kubectl, node).returncode == 0
        code, text = cluster.run("up", "--yes", "--skip-preview", DELETE_TIMEOUT="15s")
        assert code == 0, text
        held(["breakeven.dev/nobody"])
        try:
            began = time.monotonic()
            code, text = cluster.run(*destroy)
            assert code != 0
            assert time.monotonic() - began < 120
            assert "ray" in text
            assert "breakeven.dev/nobody" in text
            assert "kubernetes:helm.sh/v3:Release" in {r["type"] for r in cluster.state()}, "what it stands on went"
        finally:
            held(None)
    finally:
        code, text = cluster.run(*destroy)
        run([*kubectl, "delete", "node", "--ignore-not-found", node[0]["metadata"]["name"]])
    assert code == 0, text
