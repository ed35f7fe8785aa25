"""AWS as moto answers it, on loopback, with a stack's groups, secrets and buckets behind it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from plan.outputs import ClusterOutputs, Outputs

ROOT = Path(__file__).resolve().parents[3]
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
        head_instance_type="m6i.xlarge",
    )


CLUSTERS = {"ray": _cluster("ray"), "dask": _cluster("dask")}


WORKLOAD = """
import pathlib, sys, time, bench.stack
assert str(pathlib.Path.cwd()) in bench.stack.__file__, bench.stack.__file__
stack = bench.stack.outputs("bench-32")
rows = pathlib.Path("results", stack.stack, "run.jsonl")
rows.parent.mkdir(parents=True)
rows.write_text('{"n": 1}\\n')
print("1/2", *sys.argv[1:])
if "--endless" in sys.argv:
    import boto3
    boto3.client("autoscaling").set_desired_capacity(AutoScalingGroupName="GROUP", DesiredCapacity=2)
    print("waiting")
    try:
        while True:
            time.sleep(60)
    except KeyboardInterrupt:
        print("closed in order")
        raise SystemExit(130)
with rows.open("a") as more:
    more.write('{"n": 2}\\n')
raise SystemExit(3)
""".replace("GROUP", "bench-32-ray-workers")


def without_checkout(folder: Path) -> str:
    """A folder for PYTHONPATH that takes this checkout from the front of the path, where its environment puts it: an
    image has none, and what runs there is what was sent."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.path[:] = [p for p in sys.path if p != {str(ROOT)!r}]\n")
    return str(folder)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """An endpoint with moto's answers."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def _declared() -> None:
    """The stack's parts, unless they are there. Moto is one in a process; other tests may have emptied it."""
    scaling, secrets = boto3.client("autoscaling"), boto3.client("secretsmanager")
    names = [str(group) for cluster in CLUSTERS.values() for group in (cluster.head_group, cluster.group)]
    found = scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    if {group["AutoScalingGroupName"] for group in found} == set(names):
        return
    requests.post(f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/reset", timeout=10).raise_for_status()
    for bucket in BUCKETS:
        boto3.client("s3").create_bucket(Bucket=bucket)
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


def _host() -> str:
    """A running instance, the first that there is."""
    ec2 = boto3.client("ec2")
    running = [{"Name": "instance-state-name", "Values": ["running"]}, {"Name": "tag:Name", "Values": ["driver"]}]
    there = [i for r in ec2.describe_instances(Filters=running)["Reservations"] for i in r["Instances"]]
    named = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "driver"}]}]
    made = (
        there or ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=named)["Instances"]
    )
    return str(made[0]["InstanceId"])


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
    _declared()
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
        driver_instance=_host(),
    )
    for cluster in CLUSTERS.values():
        for group in (cluster.head_group, cluster.group):
            boto3.client("autoscaling").set_desired_capacity(AutoScalingGroupName=str(group), DesiredCapacity=0)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The project's packages, with a workload of the test's own."""
    root = tmp_path / "checkout"
    (root / "workloads").mkdir(parents=True)
    for name in ("bench", "catalog", "plan", "tasks", "requirements.txt", "Pulumi.bench-32.yaml"):
        (root / name).symlink_to(ROOT / name)
    (root / "workloads" / "probe.py").write_text(WORKLOAD)
    return root
