"""The janitor ends what has expired and nothing else, against moto's autoscaling and EC2."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from ops.janitor import TAG, expired, round_of

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PAST, FUTURE = "2026-11-21T11:59:59Z", "2026-11-21T12:00:01Z"


@pytest.mark.parametrize(
    ("stamp", "over"), [(PAST, True), (FUTURE, False), ("soon", False), ("2026-11-21T11:00:00", False), (None, False)]
)
def test_only_a_readable_instant_that_has_passed_expires(stamp: str | None, over: bool) -> None:
    assert expired([{"Key": TAG, "Value": stamp}] if stamp else [], NOW) is over


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    from moto import mock_aws

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("autoscaling", "us-east-1"), boto3.client("ec2", "us-east-1")


def test_expired_groups_go_to_zero_and_expired_hosts_end(clients: tuple[Any, Any]) -> None:
    autoscaling, ec2 = clients
    image = ec2.describe_images()["Images"][0]["ImageId"]
    for name, stamp in (("old", PAST), ("new", FUTURE), ("foreign", None)):
        tags = [{"Key": TAG, "Value": stamp}] if stamp else []
        template = ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={
                "ImageId": image,
                "InstanceType": "t3.micro",
                "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}] if tags else [],
            },
        )["LaunchTemplate"]
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=2,
            DesiredCapacity=1,
            AvailabilityZones=["us-east-1a"],
            LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"], "Version": "$Latest"},
            Tags=[{**tag, "PropagateAtLaunch": True} for tag in tags],
        )
        ec2.run_instances(
            ImageId=image,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}, *tags]}],
        )
    ended = round_of(autoscaling, ec2, NOW)
    assert ended["groups"] == ["old"]
    named = [{"Name": "tag:Name", "Values": ["*"]}]
    states = {
        next(tag["Value"] for tag in i["Tags"] if tag["Key"] == "Name"): i["State"]["Name"]
        for r in ec2.describe_instances(Filters=named)["Reservations"]
        for i in r["Instances"]
    }
    assert states == {"old": "terminated", "new": "running", "foreign": "running"}
    sizes = {
        g["AutoScalingGroupName"]: g["DesiredCapacity"]
        for g in autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    }
    assert sizes == {"old": 0, "new": 1, "foreign": 1}
    assert round_of(autoscaling, ec2, NOW) == {"groups": [], "instances": []}
