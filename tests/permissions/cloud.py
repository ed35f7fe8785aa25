"""AWS as moto answers it, behind a recorder, with one stack in it that is past its expiry."""

from typing import Any

import boto3
import pytest

from plan.outputs import ClusterOutputs, Outputs
from tasks.objects import s3_client
from tasks.upload import s3_writer
from tests.permissions.asked import Asked
from tests.permissions.declared import BUCKETS
from tests.permissions.facts import REGION
from tests.permissions.recorder import Recorder, parsed

STACK, PAST = "bench-32", "2020-01-01T00:00:00Z"
TAGS = {"breakeven:stack": STACK, "breakeven:owner": "ada", "breakeven:expires-at": PAST}
IMAGE = "ami-12c6146b"  # one that moto knows from the start


class Cloud:
    """AWS as moto answers it, behind a recorder."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint, self.recorder = endpoint, Recorder(endpoint)
        self._environment = pytest.MonkeyPatch()
        self.be("setup")

    def be(self, who: str) -> None:
        """From now on, calls are made by this caller."""
        for name, value in {
            "AWS_ENDPOINT_URL": self.recorder.endpoint if who != "setup" else self.endpoint,
            "AWS_ACCESS_KEY_ID": who,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
        }.items():
            self._environment.setenv(name, value)
        self._environment.setattr(boto3, "DEFAULT_SESSION", None)
        s3_client.cache_clear()
        s3_writer.cache_clear()

    def asked_by(self, who: str) -> list[Asked]:
        """What IAM was asked because of a caller, at least one question."""
        assert self.recorder.errors == set()
        found = [asked for name, asked in map(parsed, sorted(self.recorder.lines)) if name == who]
        assert found
        return found

    def end(self) -> None:
        self._environment.undo()
        self.recorder.end()


def make_stack() -> None:
    """Its buckets, secret, groups at zero, a host and its record."""
    tags = [{"Key": key, "Value": value} for key, value in TAGS.items()]
    for bucket in BUCKETS.values():
        boto3.client("s3").create_bucket(Bucket=bucket)
    boto3.client("s3").put_object(Bucket=BUCKETS["data"], Key="store_sales/1.csv", Body=b"a,b\n1,2\n")
    boto3.client("secretsmanager").create_secret(
        Name=f"breakeven/{STACK}-dask", SecretString='{"ca": "a", "cert": "b", "key": "c"}', Tags=tags
    )
    ec2, scaling = boto3.client("ec2"), boto3.client("autoscaling")
    launched: Any = [{"ResourceType": "instance", "Tags": tags}]
    template = ec2.create_launch_template(
        LaunchTemplateName="t",
        LaunchTemplateData={"ImageId": IMAGE, "InstanceType": "m6i.large", "TagSpecifications": launched},
    )["LaunchTemplate"]["LaunchTemplateId"]
    for part, most in (("head", 1), ("workers", 3)):
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=f"{STACK}-dask-{part}",
            LaunchTemplate={"LaunchTemplateId": template, "Version": "$Latest"},
            MinSize=0,
            MaxSize=most,
            DesiredCapacity=0,
            AvailabilityZones=["us-east-1a"],
            Tags=[{**tag, "PropagateAtLaunch": False} for tag in tags],
        )
    ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="m6i.large", TagSpecifications=launched)
    boto3.client("ssm").put_parameter(Name=f"/breakeven/{STACK}/expires-at", Value=PAST, Type="String", Tags=tags)


def outputs_of_stack() -> Outputs:
    """What the stack exports."""
    filters = [{"Name": "tag:breakeven:stack", "Values": [STACK]}]
    found = boto3.client("ec2").describe_instances(Filters=filters)["Reservations"]
    dask = ClusterOutputs(
        engine="dask",
        platform="ec2",
        secret_at=f"breakeven/{STACK}-dask",
        nodes=2,
        slots_per_node=2,
        group=f"{STACK}-dask-workers",
        head_group=f"{STACK}-dask-head",
        limit_mib=3328,
        instance_type="m6i.large",
        head_instance_type="m6i.large",
    )
    return Outputs(
        stack=STACK,
        program="bench",
        region=REGION,
        worker_memory_mib=4096,
        worker_vcpu=1,
        data_bucket=BUCKETS["data"],
        working_bucket=BUCKETS["working"],
        results_bucket=BUCKETS["results"],
        images={"cluster": f"registry/cluster@sha256:{'0' * 64}"},
        clusters={"dask": dask},
        driver_instance=found[0]["Instances"][0]["InstanceId"],
    )
