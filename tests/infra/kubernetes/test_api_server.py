"""Everything that a stack declares on its cluster, applied to a real API server that refuses unknown fields.

BREAKEVEN_TEST_KUBECONFIG names the kubeconfig of a server on loopback with the operators' definitions installed; what
is applied goes again. No node and no operator is needed.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from infra.kubernetes.access import accounts, driver_access, expiry_access
from infra.kubernetes.clusters import PodClustersArgs, custom_resources, engines_of
from infra.kubernetes.expiry import cron, end_at_expiry
from infra.kubernetes.network_policy import network_policies
from infra.kubernetes.pods import Body
from plan.settings import load
from plan.sizing import sizes
from stacks.bench import pod_clusters

ROOT = Path(__file__).parents[3]
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/cluster@sha256:" + "0" * 64
AT = "2030-01-31T18:00:00Z"


@pytest.fixture(scope="module")
def kubectl() -> list[str]:
    given = os.environ.get("BREAKEVEN_TEST_KUBECONFIG")
    if given is None or shutil.which("kubectl") is None:
        pytest.skip("no API server: BREAKEVEN_TEST_KUBECONFIG names none, or there is no kubectl")
    servers = [c["cluster"]["server"] for c in yaml.safe_load(Path(given).read_text())["clusters"]]
    assert all("//127.0.0.1" in server or "//localhost" in server for server in servers), "only a server on loopback"
    return ["kubectl", "--kubeconfig", given]


@pytest.fixture(params=["k8s-32", "k8s-50", "k8s-autoscale"])
def stack(request: pytest.FixtureRequest, kubectl: list[str]) -> Iterator[tuple[str, list[Body]]]:
    settings = load(request.param, ROOT)
    pods, space = pod_clusters(settings, sizes(settings)), f"test-{settings.stack}"
    engines = engines_of(pods)
    args = PodClustersArgs(space, pods, IMAGE, AT, 3600)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    yield (
        space,
        [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": labels}},
            *accounts(space, engines),
            *driver_access(space, {pod.name: pod.engine for pod in pods}),
            *expiry_access(space, engines),
            *network_policies([(pod.name, pod.engine) for pod in pods], space, "operators"),
            end_at_expiry(space, engines, IMAGE, cron(AT)),
            *custom_resources(args, IMAGE),
        ],
    )
    subprocess.run([*kubectl, "delete", "namespace", space, "--wait=false", "--ignore-not-found"], check=True)


def test_everything_is_accepted_strictly(kubectl: list[str], stack: tuple[str, list[Body]]) -> None:
    _, bodies = stack
    done = _apply(kubectl, bodies)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("serverside-applied") == len(bodies)


def test_a_misspelt_field_is_not(kubectl: list[str], stack: tuple[str, list[Body]]) -> None:
    """The check itself: a server that is not asked strictly drops it with a warning."""
    _, bodies = stack
    bodies[-1]["spec"]["minimun"] = 3
    done = _apply(kubectl, [bodies[0], bodies[-1]])
    assert done.returncode != 0
    assert "minimun" in done.stderr


def _apply(kubectl: list[str], bodies: list[Body]) -> "subprocess.CompletedProcess[str]":
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})
    command = [*kubectl, "apply", "--server-side", "--validate=strict", "-f", "-"]
    return subprocess.run(command, input=document, capture_output=True, text=True, check=False, timeout=120)
