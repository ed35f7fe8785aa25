"""The janitor ends what has expired and nothing else, against moto's autoscaling, EKS and EC2."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from ops.janitor import EXPIRY, STACK, expired, round_of

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PAST, FUTURE = "2026-11-21T11:59:59Z", "2026-11-21T12:00:01Z"


@pytest.mark.parametrize(
    ("stamp", "over"), [(PAST, True), (FUTURE, False), ("soon", False), ("2026-11-21T11:00:00", False), (None, False)]
)
def test_only_a_readable_instant_that_has_passed_expires(stamp: str | None, over: bool) -> None:
    assert expired({EXPIRY: stamp} if stamp else {}, NOW) is over


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    from moto import mock_aws

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.Session(region_name="us-east-1").client


def test_expired_groups_go_to_zero_for_good(client: Callable[[str], Any]) -> None:
    autoscaling = client("autoscaling")
    template = _template(client("ec2"))
    for name, stamp in (("old", PAST), ("new", FUTURE), ("foreign", None)):
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=2,
            DesiredCapacity=1,
            AvailabilityZones=["us-east-1a"],
            LaunchTemplate={"LaunchTemplateId": template, "Version": "$Latest"},
            Tags=[{**tag, "PropagateAtLaunch": False} for tag in _tags({EXPIRY: stamp} if stamp else {})],
        )
    assert round_of(client, NOW) == {"groups": ["old"], "node groups": [], "instances": []}
    groups = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    sizes = {g["AutoScalingGroupName"]: (g["DesiredCapacity"], g["MaxSize"]) for g in groups}
    assert sizes == {"old": (0, 0), "new": (1, 2), "foreign": (1, 2)}
    assert round_of(client, NOW) == {"groups": [], "node groups": [], "instances": []}


def test_expired_hosts_end_and_one_without_a_stamp_has_its_stacks(client: Callable[[str], Any]) -> None:
    """A host that only its stack's tag names (a group's, detached from it) ends with the stack."""
    ec2, ssm = client("ec2"), client("ssm")
    hosts = {
        "old": {STACK: "a", EXPIRY: PAST},
        "new": {STACK: "over", EXPIRY: FUTURE},
        "foreign": {},
        "foreign-expiring": {EXPIRY: PAST},
        "of-an-old-stack": {STACK: "over"},
        "of-a-new-stack": {STACK: "running"},
        "of-an-unknown-stack": {STACK: "unknown"},
    }
    for stack, stamp in (("over", PAST), ("running", FUTURE)):
        ssm.put_parameter(Name=f"/breakeven/{stack}/expires-at", Value=stamp, Type="String")
    for name, tags in hosts.items():
        ec2.run_instances(
            ImageId=_image(ec2),
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": _tags({"Name": name, **tags})}],
        )
    assert len(round_of(client, NOW)["instances"]) == 2
    states = {
        next(tag["Value"] for tag in i["Tags"] if tag["Key"] == "Name"): i["State"]["Name"]
        for r in ec2.describe_instances()["Reservations"]
        for i in r["Instances"]
    }
    assert {name for name, state in states.items() if state == "terminated"} == {"old", "of-an-old-stack"}


def test_node_groups_of_eks_end_by_their_own_tags(client: Callable[[str], Any]) -> None:
    """The autoscaling group that EKS makes bears none of ours."""
    eks, role = client("eks"), "arn:aws:iam::123456789012:role/eks"
    eks.create_cluster(name="k8s", roleArn=role, resourcesVpcConfig={})
    for name, stamp in (("old", PAST), ("new", FUTURE), ("foreign", None)):
        eks.create_nodegroup(
            clusterName="k8s",
            nodegroupName=name,
            subnets=["subnet-1"],
            nodeRole=role,
            tags={EXPIRY: stamp} if stamp else {},
        )
    assert round_of(client, NOW)["node groups"] == ["k8s/old"]
    assert sorted(eks.list_nodegroups(clusterName="k8s")["nodegroups"]) == ["foreign", "new"]


def test_a_kind_that_cannot_be_seen_is_an_error_and_keeps_nothing_from_ending(client: Callable[[str], Any]) -> None:
    ec2 = client("ec2")
    tags = [{"ResourceType": "instance", "Tags": _tags({STACK: "a", EXPIRY: PAST})}]
    made = ec2.run_instances(ImageId=_image(ec2), MinCount=1, MaxCount=1, TagSpecifications=tags)["Instances"][0]

    def blind(service: str) -> Any:
        if service == "eks":
            raise PermissionError("eks is denied")
        return client(service)

    with pytest.raises(PermissionError, match="eks is denied"):
        round_of(blind, NOW)
    (host,) = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]["Instances"]
    assert host["State"]["Name"] == "terminated"


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _image(ec2: Any) -> str:
    return str(ec2.describe_images()["Images"][0]["ImageId"])


def _template(ec2: Any) -> str:
    data = {"ImageId": _image(ec2), "InstanceType": "t3.micro"}
    made = ec2.create_launch_template(LaunchTemplateName="hosts", LaunchTemplateData=data)
    return str(made["LaunchTemplate"]["LaunchTemplateId"])
