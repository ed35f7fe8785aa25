"""Moving an autoscaling group through the handle that a stack exports, against AWS's answers on loopback."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from bench import scaling_group
from bench.sessions.session import SessionError
from plan.outputs import ClusterOutputs, Outputs

GROUP = "breakeven-ray"
CLUSTER = ClusterOutputs(engine="ray", platform="ec2", nodes=4, slots_per_node=2, group=GROUP, limit_mib=3000)
OUTPUTS = Outputs(
    stack="s", program="bench", region="us-east-1", worker_memory_mib=4096, worker_vcpu=1, clusters={"ray": CLUSTER}
)


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        ec2 = boto3.client("ec2", "us-east-1")
        ec2.create_launch_template(
            LaunchTemplateName="workers", LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "m6i.large"}
        )
        scaling = boto3.client("autoscaling", "us-east-1")
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=GROUP, LaunchTemplate={"LaunchTemplateName": "workers"}, MinSize=0, MaxSize=4,
            DesiredCapacity=0, AvailabilityZones=["us-east-1a"],
        )  # fmt: skip
        yield scaling


def test_a_group_is_moved_and_waited_for(group: Any) -> None:
    scaler = scaling_group.of(OUTPUTS, "ray")
    assert scaler
    scaler(3, None)
    described = group.describe_auto_scaling_groups()["AutoScalingGroups"][0]
    assert len(described["Instances"]) == 3


def test_a_machines_slots_are_its_types(group: Any) -> None:
    scaler = scaling_group.of(OUTPUTS, "ray")
    assert scaler
    with pytest.raises(SessionError, match="has 2 slots by its type"):
        scaler(1, 4)


def test_an_engine_that_the_stack_lacks_has_no_scaler() -> None:
    assert scaling_group.of(OUTPUTS, "dask") is None
