"""Audit against moto: found, nothing there, and not seen are three different answers."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.parsers import ResponseParserError
from click.testing import CliRunner, Result

from ops import audit as module
from ops.audit import audit
from ops.finders import FINDERS, GOES_WITH, Finder
from ops.left import enabled_regions
from plan.rules.tags import STACK
from plan.settings import load
from plan.stack_file import ROOT, known
from tests.stacks.conftest import run_program

REAL = [stack for stack in known(ROOT) if load(stack).program != "embedded"]
CLUSTER = "aws:eks/cluster:Cluster"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from moto import mock_aws

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("BREAKEVEN_REGION", raising=False)
    monkeypatch.setattr(module, "enabled_regions", lambda session, ask: ["eu-west-1", "us-east-1"])
    with mock_aws():
        yield


def _audit(*arguments: str) -> Result:
    return CliRunner().invoke(audit, ["--stack", *arguments])


@pytest.fixture(scope="module")
def programs() -> dict[str, Mapping[tuple[str, str], Mapping[str, Any]]]:
    return {stack: run_program(load(stack)).resources for stack in REAL}


def test_every_kind_that_a_program_declares_is_looked_for(programs: dict[str, Any]) -> None:
    """By a finder of its own, or by that of the resource which it goes with."""
    found = {token for finder in FINDERS for token in finder.tokens}
    declared = {kind for resources in programs.values() for kind, _ in resources}
    cloud = {kind for kind in declared if not kind.startswith(("breakeven:", "pulumi:"))}
    answered = {kind: CLUSTER if kind.startswith("kubernetes:") else GOES_WITH.get(kind, kind) for kind in cloud}
    assert {kind for kind, by in answered.items() if by not in found} == set()


@pytest.mark.usefixtures("account")
def test_schedules_and_log_groups_have_names_that_their_finders_know(programs: dict[str, Any]) -> None:
    """They are found by name: another name would hide them, and one stack's name is the beginning of another's."""
    scheduler, logs = boto3.client("scheduler", "us-east-1"), boto3.client("logs", "us-east-1")
    target = {"Arn": "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances", "RoleArn": "arn:aws:iam::1:role/r"}
    made: dict[str, set[str]] = {stack: set() for stack in REAL}
    for stack, resources in programs.items():
        for (kind, name), inputs in resources.items():
            if kind == "aws:scheduler/schedule:Schedule":
                made[stack].add(f"{name}-1234567")  # as Pulumi names it
                scheduler.create_schedule(
                    Name=f"{name}-1234567",
                    ScheduleExpression="rate(1 day)",
                    FlexibleTimeWindow={"Mode": "OFF"},
                    Target=target,
                )
            elif kind == "aws:cloudwatch/logGroup:LogGroup":
                made[stack].add(inputs["name"])
                logs.create_log_group(logGroupName=inputs["name"])
    clients = {"scheduler": scheduler, "logs": logs}
    finders = [finder for finder in FINDERS if finder.kind in ("schedule", "log group")]
    assert {stack: {name for f in finders for name in f.find(clients.__getitem__, stack)} for stack in REAL} == made
    assert all(made.values())


def _vpc(stack: str) -> None:
    boto3.client("ec2", "eu-west-1").create_vpc(CidrBlock="10.42.0.0/16", TagSpecifications=_spec("vpc", stack))


def _address(stack: str) -> None:
    boto3.client("ec2", "us-east-1").allocate_address(TagSpecifications=_spec("elastic-ip", stack))


def _snapshot(stack: str) -> None:
    ec2 = boto3.client("ec2", "us-east-1")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    ec2.create_snapshot(VolumeId=volume, TagSpecifications=_spec("snapshot", stack))


def _nat_gateway(stack: str) -> None:
    ec2 = boto3.client("ec2", "us-east-1")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    ec2.create_nat_gateway(SubnetId=subnet, TagSpecifications=_spec("natgateway", stack))


def _profile(stack: str) -> None:
    name = f"{stack}-ray-head-1234567"
    boto3.client("iam").create_instance_profile(InstanceProfileName=name, Tags=[{"Key": STACK, "Value": stack}])


def _node_group(stack: str) -> None:
    eks, role = boto3.client("eks", "us-east-1"), "arn:aws:iam::123456789012:role/eks"
    eks.create_cluster(name=stack, roleArn=role, resourcesVpcConfig={})
    eks.create_nodegroup(
        clusterName=stack, nodegroupName=f"{stack}-nodes", subnets=["subnet-1"], nodeRole=role, tags={STACK: stack}
    )


def _bucket(stack: str) -> None:
    s3, name = boto3.client("s3", "us-east-1"), f"breakeven-{stack}-data-1234567"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": STACK, "Value": stack}]})


def _metadata(stack: str) -> None:
    s3, bucket = boto3.client("s3", "us-east-1"), "breakeven-base-working-1234567"
    s3.create_bucket(Bucket=bucket)
    name = f"{stack}-lithops-worker-even-380-0123456789"
    s3.put_object(Bucket=bucket, Key=f"lithops.runtimes/aws_lambda/3.8.0/us-east-1/{name}.meta.json", Body=b"{}")


def _topic(stack: str) -> None:
    boto3.client("sns", "us-east-1").create_topic(Name="of-no-program", Tags=[{"Key": STACK, "Value": stack}])


MADE = {
    _vpc: "eu-west-1  VPC: vpc-",
    _address: "us-east-1  address: eipalloc-",
    _snapshot: "us-east-1  snapshot: snap-",
    _nat_gateway: "us-east-1  NAT gateway: nat-",
    _profile: "global  instance profile: bench-128-ray-head-1234567",
    _node_group: "us-east-1  EKS node group: bench-128/bench-128-nodes",
    _bucket: "global  bucket: breakeven-bench-128-data-1234567",
    _metadata: "global  function's metadata: breakeven-base-working-1234567/lithops.runtimes",
    _topic: "us-east-1  other tagged resource: arn:aws:sns:us-east-1:123456789012:of-no-program",
}


@pytest.mark.usefixtures("account")
def test_what_is_there_fails_the_audit_of_its_stack_alone() -> None:
    for make in MADE:
        make("bench-128")
    found = _audit("bench-128")
    assert found.exit_code == 1, found.output
    assert [shown for shown in MADE.values() if shown not in found.output] == []
    assert f"{len(MADE)} resources of bench-128 are there" in found.output
    assert "make recover STACK=bench-128 TO=nothing" in found.output
    other = _audit("bench-128-4xlarge")
    assert other.exit_code == 0, other.output
    assert f"nothing of bench-128-4xlarge is there ({len(FINDERS)} kinds in eu-west-1, us-east-1)" in other.output


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("stack", "said"), [("bench-23", "did you mean"), ("dev", "make status STACK=dev"), ("Bench", "stack name")]
)
def test_a_stack_that_is_not_known_is_not_said_to_be_gone(stack: str, said: str) -> None:
    refused = _audit(stack)
    assert refused.exit_code != 0
    assert said in refused.output
    assert "nothing of" not in refused.output


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("finder", FINDERS, ids=lambda finder: finder.kind)
@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDenied", "Message": "denied"}}, "List"),
        EndpointConnectionError(endpoint_url="https://ec2.us-east-1.amazonaws.com"),
        ResponseParserError("Unable to parse response"),
    ],
    ids=["denied", "no network", "unreadable"],
)
def test_a_kind_that_cannot_be_seen_fails_closed(
    finder: Finder, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(client: Any, stack: str) -> Iterator[str]:
        raise error

    def found(client: Any, stack: str) -> Iterator[str]:
        yield from ()

    blinded = [
        Finder(one.kind, one.tokens, denied if one is finder else found, one.named, one.everywhere) for one in FINDERS
    ]
    monkeypatch.setattr("ops.left.FINDERS", blinded)
    seen = _audit("bench-32")
    assert seen.exit_code == 2
    assert f"could not look for: {finder.kind} in" in seen.output
    assert "nothing is known to be gone" in seen.output


def test_an_account_that_does_not_answer_is_not_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # the discard port: nothing listens
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "test")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    seen = _audit("bench-32")
    assert seen.exit_code == 2
    assert "nothing of bench-32 is known to be gone" in seen.output


@pytest.mark.usefixtures("account")
def test_every_region_that_the_account_may_use_is_asked_for() -> None:
    regions = enabled_regions(boto3.Session(), "us-east-1")
    assert {"us-east-1", "eu-central-1", "ap-southeast-1"} <= set(regions)
    assert regions[0] == "us-east-1", "what has no region is looked for by the first, and a deployer is held to one"


def test_a_stack_without_a_file_is_known_by_its_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, account: None
) -> None:
    engine = tmp_path / "pulumi"
    engine.write_text('#!/bin/sh\necho \'[{"name": "organization/breakeven/mine"}]\'\n')
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert _audit("mine").exit_code == 0
    assert _audit("yours").exit_code == 2


def _spec(kind: str, stack: str) -> Any:
    return [{"ResourceType": kind, "Tags": [{"Key": STACK, "Value": stack}]}]
