"""AWS as moto answers it, on loopback, with a stack's groups, secrets and buckets behind it."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from plan.outputs import ClusterOutputs, Outputs

REGION = "us-east-1"
BUCKETS = ("working", "data")


def _cluster(engine: Any, nodes: int = 3) -> ClusterOutputs:
    return ClusterOutputs(
        engine=engine,
        platform="ec2",
        secret_at=f"breakeven/{engine}",
        nodes=nodes,
        slots_per_node=2,
        group=f"bench-32-{engine}-workers",
        head_group=f"bench-32-{engine}-head",
        limit_mib=3328,
        instance_type="m6i.large",
    )


CLUSTERS = {"ray": _cluster("ray"), "dask": _cluster("dask")}


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """moto with the stack's parts, made once: its own reset takes seconds."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    keys = {"endpoint_url": url, "aws_access_key_id": "t", "aws_secret_access_key": "t", "region_name": REGION}
    for bucket in BUCKETS:
        boto3.client("s3", **keys).create_bucket(Bucket=bucket)
    scaling, secrets = boto3.client("autoscaling", **keys), boto3.client("secretsmanager", **keys)
    # One of the images that moto knows from the start.
    scaling.create_launch_configuration(LaunchConfigurationName="l", ImageId="ami-12c6146b", InstanceType="t3.micro")
    for cluster in CLUSTERS.values():
        for group, most in ((cluster.head_group, 1), (cluster.group, cluster.nodes)):
            scaling.create_auto_scaling_group(
                AutoScalingGroupName=str(group),
                LaunchConfigurationName="l",
                MinSize=0,
                MaxSize=most,
                DesiredCapacity=0,
                AvailabilityZones=["us-east-1a"],
            )
    secrets.create_secret(Name="breakeven/ray", SecretString='{"token": "t0ken"}')
    secrets.create_secret(Name="breakeven/dask", SecretString='{"ca": "a", "cert": "b", "key": "c"}')
    yield url
    server.stop()


@pytest.fixture
def outputs(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outputs]:
    """The outputs of a stack with Ray and Dask at zero, which are there; every client of this process meets them."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    yield Outputs(
        stack="bench-32",
        program="bench",
        region=REGION,
        worker_memory_mib=4096,
        worker_vcpu=1,
        working_bucket="working",
        data_bucket="data",
        images={"cluster": f"registry/cluster@sha256:{'0' * 64}"},
        clusters=CLUSTERS,
        driver_instance="i-0driver",
    )
    for cluster in CLUSTERS.values():
        for group in (cluster.head_group, cluster.group):
            boto3.client("autoscaling").set_desired_capacity(AutoScalingGroupName=str(group), DesiredCapacity=0)
