"""Bodies against the operators' own definitions, and what a user of a cluster relies on in them."""

import copy
import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from infra.kubernetes.access import WORKERS, accounts, driver_access, expiry_access
from infra.kubernetes.dask_cluster import ROUTES, DaskClusterSpec, dask_autoscaler, dask_cluster
from infra.kubernetes.lint import lint
from infra.kubernetes.network_policy import network_policies
from infra.kubernetes.pods import PodSize
from infra.kubernetes.ray_cluster import RAY_VERSION, RayClusterSpec, ray_cluster
from plan.settings import Autoscale

Check = Callable[[Mapping[str, Any]], list[str]]
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/cluster@sha256:" + "0" * 64
SIZE = PodSize(4096, 1)
RAY = RayClusterSpec("ray", "k8s-50", IMAGE, SIZE, 0, 50, "heads", "workers")
DASK = DaskClusterSpec("dask", "k8s-50", IMAGE, SIZE, 0, "schedulers", "workers", 14400)
BOUNDS = Autoscale(min_workers=4, max_workers=50, idle_timeout_s=60)
RAYS = {"fixed": RAY, "full": replace(RAY, workers=50), "autoscaled": replace(RAY, workers=4, autoscale=BOUNDS)}


@pytest.mark.parametrize("spec", RAYS.values(), ids=RAYS)
def test_ray_body_has_only_fields_that_kuberay_knows(spec: RayClusterSpec, kuberay: Check) -> None:
    """A field that is not in the definition is dropped, and the cluster goes ready without it."""
    assert kuberay(ray_cluster(spec)) == []
    assert lint([ray_cluster(spec)]) == []


def test_dask_bodies_have_only_fields_that_the_operator_knows(dask_operator: Check) -> None:
    bodies = [dask_cluster(DASK), dask_autoscaler("dask", "k8s-50", BOUNDS)]
    assert [dask_operator(body) for body in bodies] == [[], []]
    assert lint(bodies) == []


def test_a_misspelt_field_is_an_error(kuberay: Check, dask_operator: Check) -> None:
    """The check itself: were it lenient, the two tests above would prove nothing."""
    ray, dask = copy.deepcopy(ray_cluster(RAY)), copy.deepcopy(dask_cluster(DASK))
    ray["spec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["imagePulPolicy"] = "Always"
    dask["spec"]["worker"]["spec"]["containers"][0]["resource"] = {}
    assert any("imagePulPolicy" in problem for problem in kuberay(ray))
    assert any("resource" in problem for problem in dask_operator(dask))


@pytest.mark.parametrize("body", [ray_cluster(RAYS["autoscaled"]), dask_cluster(DASK)], ids=["ray", "dask"])
def test_every_pod_is_held_to_a_slot_and_is_nobody(body: dict[str, Any]) -> None:
    """A pod larger than a slot, the head's with its autoscaler among them, would leave a worker without a place."""
    pods = [found for found in _below(body) if "containers" in found]
    assert len(pods) == 2
    beside = (body["spec"].get("autoscalerOptions") or {}).get("resources")
    for number, pod in enumerate(pods):
        boxes = [c["resources"] for c in pod["containers"]] + ([beside] if beside and number == 0 else [])
        assert all(box["requests"] == box["limits"] for box in boxes)
        assert sum(int(box["limits"]["memory"].removesuffix("Mi")) for box in boxes) == 4096
        assert sum(int(box["limits"]["cpu"].removesuffix("m")) for box in boxes) == 1000
        assert all(c["image"] == IMAGE and c["securityContext"]["runAsNonRoot"] for c in pod["containers"])
        assert pod["serviceAccountName"] in ("workers", "heads", "schedulers")
    spread = [pod["topologySpreadConstraints"][0]["topologyKey"] for pod in pods if "topologySpreadConstraints" in pod]
    assert spread == ["kubernetes.io/hostname"]


def test_only_an_autoscaled_head_speaks_to_the_api_server() -> None:
    tokens = {
        name: [p["automountServiceAccountToken"] for p in _pods(ray_cluster(spec))] for name, spec in RAYS.items()
    }
    assert tokens == {"fixed": [False, False], "full": [False, False], "autoscaled": [True, False]}
    assert [p["automountServiceAccountToken"] for p in _pods(dask_cluster(DASK))] == [False, False]


def test_ray_runs_no_task_on_the_head_and_asks_for_a_token() -> None:
    spec = ray_cluster(RAY)["spec"]
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert spec["authOptions"] == {"mode": "token"}


def test_ray_version_is_the_one_installed() -> None:
    """KubeRay chooses probes and autoscaler by it; the image's Ray is the pinned one."""
    assert importlib.metadata.version("ray") == RAY_VERSION


def test_the_scheduler_serves_what_the_operator_asks() -> None:
    """Without these routes the autoscaler falls back to another version of the protocol, or to 60 s of silence."""
    from distributed.http.scheduler import api

    paths = {route[0] for route in api.routes}
    assert "distributed.http.scheduler.api" in ROUTES
    assert {"/api/v1/adaptive_target", "/api/v1/retire_workers", "/api/v1/check_idle"} <= paths


def test_dask_routes_reach_distributed_as_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    import dask.config

    env = {e["name"]: e["value"] for e in _pods(dask_cluster(DASK))[1]["containers"][0]["env"]}
    assert dask.config.collect_env(env)["distributed"]["scheduler"]["http"]["routes"] == list(ROUTES)


def test_nothing_reaches_dask_but_its_own_and_the_operator() -> None:
    """Dask speaks plain TCP here: whoever reaches the scheduler runs code on every worker."""
    policies = {p["metadata"]["name"]: p["spec"] for p in network_policies([("dask", "dask")], "k8s-50", "operators")}
    assert policies["closed"] == {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []}
    opened = {name: spec["ingress"][0] for name, spec in policies.items() if name != "closed"}
    assert {name: [p["port"] for p in rule["ports"]] for name, rule in opened.items()} == {
        "dask-scheduler": [8786],
        "dask-http": [8787],
        "dask-workers": [9000, 9500],
    }
    sources = [source for rule in opened.values() for source in rule["from"]]
    assert all(set(source) <= {"podSelector", "namespaceSelector"} for source in sources)
    assert all(source.get("podSelector", {"matchLabels": 1}).get("matchLabels") for source in sources)


def test_ports_of_policies_are_the_ports_of_bodies() -> None:
    policies = network_policies([("dask", "dask")], "k8s-50", "operators")
    opened = {port["port"] for p in policies for rule in p["spec"]["ingress"] for port in rule.get("ports", [])}
    listened = {p["containerPort"] for pod in _pods(dask_cluster(DASK)) for c in pod["containers"] for p in c["ports"]}
    assert opened == listened


def test_access_is_by_name_and_never_to_everything() -> None:
    bodies = driver_access("k8s-50", {"ray": "ray", "dask": "dask"}) + expiry_access("k8s-50", ["ray", "dask"])
    rules = [rule for body in bodies if body["kind"] == "Role" for rule in body["rules"]]
    assert not any("*" in rule[key] for rule in rules for key in ("apiGroups", "resources", "verbs"))
    assert all("resourceNames" in rule for rule in rules if {"patch", "update"} & set(rule["verbs"]))
    secrets = [rule for rule in rules if "secrets" in rule["resources"]]
    assert [rule["resourceNames"] for rule in secrets] == [["ray"]]
    assert WORKERS in {account["metadata"]["name"] for account in accounts("k8s-50", ["ray"])}


def _pods(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Pod specs of a body: the head first, or Dask's worker first."""
    return [found for found in _below(body) if "containers" in found]


def _below(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(found for item in value.values() for found in _below(item))]
    return [found for item in value for found in _below(item)] if isinstance(value, list) else []
