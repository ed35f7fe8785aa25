"""Each thing that an operator lets pass is caught, and named."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from infra.kubernetes.dask_cluster import DaskClusterSpec, dask_autoscaler, dask_cluster
from infra.kubernetes.lint import RAY_START_OPTIONS, LintError, lint, must_be_clean
from infra.kubernetes.pods import PodSize
from infra.kubernetes.ray_cluster import RayClusterSpec, ray_cluster
from plan.settings import Autoscale

SIZE = PodSize(4096, 1)
BOUNDS = Autoscale(min_workers=4, max_workers=50)
IMAGE = "registry/image@sha256:" + "0" * 64
Spoil = Callable[[dict[str, Any]], Any]


def _ray() -> dict[str, Any]:
    return ray_cluster(RayClusterSpec("ray", "ns", IMAGE, SIZE, 8, 50, "heads", "workers", BOUNDS))


def _dask() -> dict[str, Any]:
    return dask_cluster(DaskClusterSpec("dask", "ns", IMAGE, SIZE, 8, "schedulers", "workers", 3600))


def _group(body: dict[str, Any]) -> dict[str, Any]:
    return body["spec"]["workerGroupSpecs"][0]


def _box(body: dict[str, Any]) -> dict[str, Any]:
    pod = _group(body)["template"]["spec"] if body["kind"] == "RayCluster" else body["spec"]["worker"]["spec"]
    return pod["containers"][0]


def _pod(body: dict[str, Any]) -> dict[str, Any]:
    return _group(body)["template"]["spec"] if body["kind"] == "RayCluster" else body["spec"]["worker"]["spec"]


BOTH: dict[str, tuple[str, Spoil]] = {
    "quantity 4GiB": ("quantity", lambda b: _box(b)["resources"]["limits"].update(memory="4GiB")),
    "request over limit": ("request-over-limit", lambda b: _box(b)["resources"]["requests"].update(memory="8Gi")),
    "unknown volume": ("unknown-volume", lambda b: _box(b).update(volumeMounts=[{"name": "data", "mountPath": "/d"}])),
    "restart on failure": ("restart-policy", lambda b: _pod(b).update(restartPolicy="OnFailure")),
}
RAY: dict[str, tuple[str, Spoil]] = {
    "misspelt start option": ("ray-start", lambda b: _group(b)["rayStartParams"].update({"num-cpu": "1"})),
    "no probe of its own": ("ray-probe", lambda b: _box(b).pop("livenessProbe")),
    "replicas over maximum": ("ray-replicas", lambda b: _group(b).update(replicas=51)),
    "replicas under minimum": ("ray-replicas", lambda b: _group(b).update(replicas=3)),
    "negative replicas": ("ray-replicas", lambda b: _group(b).update(replicas=-1)),
    "minimum over maximum": ("ray-bounds", lambda b: _group(b).update(minReplicas=51)),
    "a long name": ("ray-name", lambda b: b["metadata"].update(name="r" * 54)),
    "a name with a digit first": ("ray-name", lambda b: b["metadata"].update(name="8-nodes")),
    "resources in two places": ("ray-resources", lambda b: _group(b).update(resources={"CPU": "1"})),
    "group idle without v2": (
        "ray-idle",
        lambda b: (b["spec"]["autoscalerOptions"].update(version="v1"), _group(b).update(idleTimeoutSeconds=60)),
    ),
    "options of a disabled autoscaler": ("ray-autoscaler", lambda b: b["spec"].pop("enableInTreeAutoscaling")),
    "a port that no container names": (
        "ray-port",
        lambda b: b["spec"]["headGroupSpec"].update(headService={"spec": {"ports": [{"targetPort": "gcs"}]}}),
    ),
    "autoscaler's quantity": (
        "quantity",
        lambda b: b["spec"]["autoscalerOptions"]["resources"]["limits"].update(memory="1GiB"),
    ),
    "autoscaler's request over its limit": (
        "request-over-limit",
        lambda b: b["spec"]["autoscalerOptions"]["resources"]["requests"].update(cpu="2"),
    ),
    "no token": ("ray-token", lambda b: b["spec"].pop("authOptions")),
    "a token without a version": ("ray-token", lambda b: b["spec"].pop("rayVersion")),
}
DASK: dict[str, tuple[str, Spoil]] = {
    "never restarted": ("restart-policy", lambda b: _pod(b).update(restartPolicy="Never")),
    "a port that no container names": (
        "dask-port",
        lambda b: b["spec"]["scheduler"]["service"]["ports"][0].update(targetPort="comm"),
    ),
    "no port for the operator": ("dask-port", lambda b: b["spec"]["scheduler"]["service"]["ports"].pop()),
    "a selector of another cluster": (
        "dask-selector",
        lambda b: b["spec"]["scheduler"]["service"]["selector"].update({"dask.org/cluster-name": "other"}),
    ),
    "workers without their name": ("dask-worker-name", lambda b: _box(b).update(args=["dask", "worker"])),
    "negative replicas": ("dask-replicas", lambda b: b["spec"]["worker"].update(replicas=-1)),
    "a long name": ("dask-name", lambda b: b["metadata"].update(name="d" * 54)),
}


@pytest.mark.parametrize(("rule", "spoil"), [*BOTH.values(), *RAY.values()], ids=[*BOTH, *RAY])
def test_ray_findings(rule: str, spoil: Spoil) -> None:
    body = copy.deepcopy(_ray())
    spoil(body)
    assert rule in {finding.rule for finding in lint([body])}


@pytest.mark.parametrize(("rule", "spoil"), [*BOTH.values(), *DASK.values()], ids=[*BOTH, *DASK])
def test_dask_findings(rule: str, spoil: Spoil) -> None:
    body = copy.deepcopy(_dask())
    spoil(body)
    assert rule in {finding.rule for finding in lint([body])}


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("dask-bounds", {"minimum": 51}),
        ("dask-bounds", {"minimum": -1}),
        ("dask-cluster", {"cluster": "dusk"}),
    ],
)
def test_autoscaler_findings(rule: str, change: dict[str, Any]) -> None:
    body = copy.deepcopy(dask_autoscaler("dask", "ns", BOUNDS))
    body["spec"].update(change)
    assert {finding.rule for finding in lint([_dask(), body])} == {rule}


def test_what_is_right_passes() -> None:
    assert lint([_ray(), _dask(), dask_autoscaler("dask", "ns", BOUNDS)]) == []


def test_a_finding_says_where_and_what_to_do() -> None:
    body = copy.deepcopy(_ray())
    _box(body)["resources"]["limits"]["memory"] = "4GiB"
    with pytest.raises(LintError, match=r"RayCluster 'ray'.*workerGroupSpecs\[0\].ray-worker limits.memory '4GiB'"):
        must_be_clean([body])


def test_the_options_are_those_of_ray_start() -> None:
    """The list is data, so that a program needs no Ray to be checked; here it is held to Ray's own."""
    from ray.scripts.scripts import start

    options = {o.removeprefix("--") for p in start.params for o in [*p.opts, *p.secondary_opts] if o.startswith("--")}
    assert options == RAY_START_OPTIONS
