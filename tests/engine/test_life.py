"""A life on a real engine: its changes replace nothing, and a stack comes back after its expiry has fired."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
import yaml

from infra.aws.expiry import expires_after
from ops.finders import FINDERS
from ops.janitor import round_of
from ops.left import left
from plan.settings import CONFIG_KEY
from tests.engine.conftest import Engine
from tests.engine.test_kubernetes_stacks import has_kubernetes

pytestmark = [pytest.mark.engine, pytest.mark.slow_engine]

RAY = {"engine": "ray", "instanceType": "m6i.large"}
HOSTS = {
    "program": "bench",
    "base": "base",
    "clusters": {"ray": {**RAY, "platform": "ec2", "nodes": 2}},
    "driver": {},
    "ttlH": 1,
    "budgetUsd": 5,
}
PODS = {
    "program": "bench",
    "base": "base",
    "kubernetes": {"version": "1.35", "instanceType": "m6i.2xlarge", "nodes": 2},
    "clusters": {"ray": {"engine": "ray", "platform": "eks", "workers": 8}},
    "ttlH": 1,
    "budgetUsd": 5,
}
SETTINGS = {"life-hosts": HOSTS, "k8s-life": PODS}
REGION = "us-east-1"

# What each kind may show as changed after another owner and a moved expiry. All else might replace or restart.
TAGS = {"tags", "tagsAll"}
MAY_CHANGE = {
    "aws:ec2/instance:Instance": {*TAGS, "volumeTags"},
    "aws:eks/cluster:Cluster": {*TAGS, "vpcConfig"},  # the public endpoint's client
    "aws:scheduler/schedule:Schedule": {"scheduleExpression"},
    "aws:ssm/parameter:Parameter": {*TAGS, "insecureValue", "value", "version"},
    "kubernetes:batch/v1:CronJob": {"spec"},
}
# Another address is previewed and not deployed: the simulated EKS has no change of an endpoint.
COLLEAGUE, ELSEWHERE = {"BREAKEVEN_OWNER": "colleague"}, {"BREAKEVEN_CLIENT_CIDR": "198.51.100.7/32"}


@pytest.fixture(params=sorted(SETTINGS))
def up(request: pytest.FixtureRequest, described_base: Engine, cloud: str) -> Iterator[tuple[Engine, str]]:
    """A small stack that is up, with a driver host or with nodes of EKS; at the end destroyed, and nothing left."""
    stack: str = request.param
    if stack == "k8s-life" and not has_kubernetes(described_base):
        pytest.skip("no plugin `kubernetes`, neither installed nor as pulumi-resource-kubernetes on PATH")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", cloud)
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(key, "test")
        file = described_base.project / f"Pulumi.{stack}.yaml"
        file.write_text(yaml.safe_dump({"config": {CONFIG_KEY: SETTINGS[stack]}}))
        described_base.init(stack)
        described_base.run("up", "-s", stack, "--yes", "--skip-preview")
        _audit_sees_all(described_base, stack)
        yield described_base, stack
        described_base.run("destroy", "-s", stack, "--yes", "--skip-preview")
        assert left(boto3.Session(region_name=REGION), stack) == []


def test_a_colleague_and_a_moved_expiry_replace_nothing_and_an_expiry_that_fired_is_undone(
    up: tuple[Engine, str],
) -> None:
    engine, stack = up
    running = _running(stack)
    moved = {**COLLEAGUE, "BREAKEVEN_EXPIRES_AT": expires_after(0.75)}
    assert _beyond(engine, stack, {**moved, **ELSEWHERE}) == []
    engine.run("up", "-s", stack, "--yes", "--skip-preview", **moved)
    assert engine.outputs(stack)["expiresAt"] == moved["BREAKEVEN_EXPIRES_AT"]
    assert _running(stack) == running, "no host or node group was made anew, and no template has a new version"

    _let_schedules_fire(stack)
    assert _running(stack)["hosts"] == _running(stack)["node groups"] == []
    assert {most for _, most in _running(stack)["groups"]} <= {0}
    late = {**moved, "BREAKEVEN_EXPIRES_AT": expires_after(0.9)}
    engine.run("up", "-s", stack, "--yes", "--skip-preview", "--refresh", **late)
    after = _running(stack)
    assert (after["groups"], after["node groups"]) == (running["groups"], running["node groups"])
    assert len(after["hosts"]) == len(running["hosts"])
    assert engine.preview(stack, **late) == {}
    scaling = boto3.client("autoscaling", REGION)
    for group, most in after["groups"]:
        scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=most)
    for group, _ in after["groups"]:
        scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)

    ended = round_of(boto3.Session(region_name=REGION).client, datetime.now(UTC) + timedelta(hours=1))
    assert len(ended["instances"]) == len(after["hosts"]), "the janitor sees what the schedules would have ended"
    assert {name.partition("/")[2] for name in ended["node groups"]} == {name for name, _ in after["node groups"]}
    assert sorted(ended["groups"]) == sorted(group for group, _ in after["groups"])


def _audit_sees_all(engine: Engine, stack: str) -> None:
    """Of every kind that the stack has, the audit's finder finds something."""
    text = engine.run("stack", "export", "-s", stack)
    state = json.JSONDecoder().raw_decode(text[text.index("{") :])[0]["deployment"]["resources"]
    kinds = {resource["type"] for resource in state}
    wanted = {finder.kind for finder in FINDERS if kinds & set(finder.tokens)}
    assert wanted - {found.kind for found in left(boto3.Session(region_name=REGION), stack)} == set()


def _running(stack: str) -> dict[str, Any]:
    """What runs or could be started, with what shows that it was made anew."""
    ec2, scaling, eks = (boto3.client(service, REGION) for service in ("ec2", "autoscaling", "eks"))
    tagged = [{"Name": "tag:breakeven:stack", "Values": [stack]}]
    alive = [*tagged, {"Name": "instance-state-name", "Values": ["pending", "running"]}]
    hosts = [i for r in ec2.describe_instances(Filters=alive)["Reservations"] for i in r["Instances"]]
    groups = scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    templates = ec2.describe_launch_templates(Filters=tagged)["LaunchTemplates"]
    clusters = [name for name in eks.list_clusters()["clusters"] if name == stack]
    node_groups = [
        eks.describe_nodegroup(clusterName=stack, nodegroupName=name)["nodegroup"]
        for cluster in clusters
        for name in eks.list_nodegroups(clusterName=cluster)["nodegroups"]
    ]
    return {
        "hosts": sorted(i["InstanceId"] for i in hosts if not i["Tags"] or not _in_group(i)),
        "groups": sorted(
            (g["AutoScalingGroupName"], g["MaxSize"])
            for g in groups
            if g["AutoScalingGroupName"].startswith(f"{stack}-")
        ),
        "templates": sorted((t["LaunchTemplateName"], t["LatestVersionNumber"]) for t in templates),
        "node groups": sorted((g["nodegroupName"], str(g["scalingConfig"])) for g in node_groups),
    }


def _in_group(instance: dict[str, Any]) -> bool:
    return any(tag["Key"] == "aws:autoscaling:groupName" for tag in instance["Tags"])


def _beyond(engine: Engine, stack: str, environment: dict[str, str]) -> list[str]:
    """What a preview would do beside changing in place what may be changed."""
    text = engine.run("preview", "-s", stack, "--json", **environment)
    steps = json.JSONDecoder().raw_decode(text[text.index("{") :])[0]["steps"]
    found = []
    for step in steps:
        kind = step["urn"].split("::")[2].split("$")[-1]
        changed = set(step.get("diffReasons") or []) - MAY_CHANGE.get(kind, TAGS)
        if step["op"] not in ("same", "read", "update") or (step["op"] == "update" and changed):
            found.append(f"{step['op']} {step['urn'].rpartition('::')[2]}: {sorted(changed)}")
    return found


def _let_schedules_fire(stack: str) -> None:
    """Make the very requests of the stack's schedules, as EventBridge does at the hour."""
    scheduler = boto3.client("scheduler", REGION)
    names = [schedule["Name"] for schedule in scheduler.list_schedules(NamePrefix=f"{stack}-end-")["Schedules"]]
    assert names
    for name in names:
        target = scheduler.get_schedule(Name=name)["Target"]
        service, operation = target["Arn"].split(":")[-2:]
        client = boto3.client(service, REGION)
        method = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation)
        given = json.loads(target["Input"])
        # EventBridge takes every parameter with a capital letter; EKS's own API does not.
        shape = client.meta.service_model.operation_model(operation[0].upper() + operation[1:]).input_shape
        names_by_lower = {member.lower(): member for member in shape.members}
        getattr(client, method)(**{names_by_lower[key.lower()]: value for key, value in given.items()})
