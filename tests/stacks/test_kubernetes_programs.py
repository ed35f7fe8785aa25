"""Stacks on EKS, run as their program without an engine."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.kubernetes.lint import lint
from plan.outputs import Outputs
from plan.rules.tags import EXPIRY, OWNER, STACK, TAGGABLE
from plan.settings import CONFIG_KEY, load, parse

ROOT = Path(__file__).parents[2]
STACKS = ["k8s-32", "k8s-50", "k8s-autoscale"]
RAY, DASK = "kubernetes:ray.io/v1:RayCluster", "kubernetes:kubernetes.dask.org/v1:DaskCluster"
SCALER = "kubernetes:kubernetes.dask.org/v1:DaskAutoscaler"


@pytest.fixture(scope="module", params=STACKS)
def ran(request: pytest.FixtureRequest, run: Callable[..., Any]) -> Any:
    return run(load(request.param, ROOT))


def test_outputs_are_the_model(ran: Any) -> None:
    """A session finds each cluster by the name of its custom resource, and as many workers as the file says."""
    outputs = Outputs.model_validate(ran.outputs)
    settings = load(outputs.stack, ROOT)
    assert outputs.kubernetes is not None
    assert {name: c.nodes * c.slots_per_node for name, c in outputs.clusters.items()} == {
        name: cluster.workers for name, cluster in settings.clusters.items()
    }
    named = {inputs["metadata"]["name"] for kind in (RAY, DASK) for inputs in ran.of_type(kind).values()}
    assert {cluster.group for cluster in outputs.clusters.values()} == named


def test_what_is_declared_is_what_was_linted(ran: Any) -> None:
    """On the program's own objects, as they reach the provider."""
    kinds = {RAY: "RayCluster", DASK: "DaskCluster", SCALER: "DaskAutoscaler"}
    bodies = [{"kind": kind, **i} for token, kind in kinds.items() for i in ran.of_type(token).values()]
    assert len(bodies) >= 2
    assert lint(bodies) == []


def test_clusters_rest_at_zero_workers(ran: Any) -> None:
    """Two engines' clusters share nodes that hold one: whoever is not measured must take no slot but its head's."""
    groups = [g for inputs in ran.of_type(RAY).values() for g in inputs["spec"]["workerGroupSpecs"]]
    assert [(g["replicas"], g["minReplicas"]) for g in groups] == [(0, 0)]
    assert [inputs["spec"]["worker"]["replicas"] for inputs in ran.of_type(DASK).values()] == [0]
    assert all(inputs["spec"]["minimum"] == 0 for inputs in ran.of_type(SCALER).values())


def test_the_endpoint_answers_one_client_and_nobody_is_administrator_by_birth(ran: Any) -> None:
    (cluster,) = ran.of_type("aws:eks/cluster:Cluster").values()
    assert cluster["vpcConfig"]["publicAccessCidrs"] == ["203.0.113.7/32"]
    assert cluster["vpcConfig"]["endpointPrivateAccess"] is True
    assert cluster["accessConfig"]["bootstrapClusterCreatorAdminPermissions"] is False


def test_what_nodes_and_plugins_start_carries_the_tags(ran: Any) -> None:
    untagged = [
        key
        for key, inputs in ran.resources.items()
        if key[0] in TAGGABLE and not {OWNER, STACK, EXPIRY} <= set(inputs.get("tags", {}))
    ]
    assert untagged == []
    (plugin,) = [a for a in ran.of_type("aws:eks/addon:Addon").values() if a["addonName"] == "vpc-cni"]
    settings = json.loads(plugin["configurationValues"])
    assert settings["enableNetworkPolicy"] == "true"
    assert json.loads(settings["env"]["ADDITIONAL_ENI_TAGS"]) == {STACK: ran.outputs["stack"]}


def test_the_nodes_end_at_expiry_and_the_pods_before_them(ran: Any) -> None:
    (schedule,) = ran.of_type("aws:scheduler/schedule:Schedule").values()
    (group,) = ran.of_type("aws:eks/nodeGroup:NodeGroup").values()
    assert schedule["target"]["arn"].endswith(":eks:deleteNodegroup")
    ended = {"ClusterName": ran.outputs["stack"], "NodegroupName": group["nodeGroupName"]}
    assert json.loads(schedule["target"]["input"]) == ended
    (job,) = ran.of_type("kubernetes:batch/v1:CronJob").values()
    minute, hour, day, month, _ = job["spec"]["schedule"].split()
    at = ran.outputs["expiresAt"]
    before = (int(at[11:13]) * 60 + int(at[14:16]) - int(hour) * 60 - int(minute)) % 1440
    assert before == 5, (at, job["spec"]["schedule"])
    assert f"{day}{month}".isdigit()


def test_nodes_that_come_and_go_bring_their_autoscaler(run: Callable[..., Any]) -> None:
    """And only those: on fixed nodes it would be one more thing that can move them."""
    document = yaml.safe_load((ROOT / "Pulumi.k8s-autoscale.yaml").read_text())["config"][CONFIG_KEY]
    moving = copy.deepcopy(document)
    moving["kubernetes"] |= {"minNodes": 1, "nodes": 2, "maxNodes": 8}
    releases = "kubernetes:helm.sh/v3:Release"
    charts = [
        sorted(release["chart"] for release in run(parse(d, "k8s-autoscale")).of_type(releases).values())
        for d in (document, moving)
    ]
    operators = ["dask-kubernetes-operator", "kuberay-operator"]
    assert charts == [operators, ["cluster-autoscaler", *operators]]


def test_hosts_pods_and_functions_stand_in_one_stack(run: Callable[..., Any]) -> None:
    """One comparison may hold EC2, EKS and functions."""
    document = yaml.safe_load((ROOT / "Pulumi.k8s-32.yaml").read_text())["config"][CONFIG_KEY]
    document["clusters"]["hosts"] = {"engine": "ray", "platform": "ec2", "instanceType": "m6i.large", "nodes": 16}
    document["functions"] = {"platform": "lambda", "maxWorkers": 32}
    document |= {"compare": ["ray", "hosts", "functions"], "budgetUsd": 200}
    ran = run(parse(document, "k8s-32"))
    outputs = Outputs.model_validate(ran.outputs)
    may = {name: inputs["policy"] for name, inputs in ran.of_type("aws:iam/rolePolicy:RolePolicy").items()}
    assert ["lambda:InvokeFunction" in may[f"k8s-32-eks-{who}"] for who in ("driver", "workers")] == [True, False]
    assert {name: cluster.platform for name, cluster in outputs.clusters.items()} == {
        "ray": "eks",
        "dask": "eks",
        "hosts": "ec2",
    }
    assert outputs.functions is not None
