"""Runs a stack's program without an engine and keeps what it declared."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks

from plan.person import Person
from plan.settings import Settings

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "0" * 64
ROLE = "arn:aws:iam::123456789012:role/tester"
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
BASE = {
    "region": "us-east-1",
    "dataBucket": "data",
    "workingBucket": "working",
    "resultsBucket": "results",
    "images": {name: f"{REGISTRY}/{name}@{DIGEST}" for name in ("cluster", "functions")},
}
# Of what roles are given by ARN; all other ARNs are made up.
ARNS = {
    "aws:cloudwatch/logGroup:LogGroup": "logs:us-east-1:123456789012:log-group:NAME",
    "aws:lambda/function:Function": "lambda:us-east-1:123456789012:function:NAME",
    "aws:secretsmanager/secret:Secret": "secretsmanager:us-east-1:123456789012:secret:NAME-AbCdEf",
}
PERSON = Person(
    "tester", "203.0.113.7/32", "us-east-1", vcpu_quota=512, lambda_concurrency=1000, lambda_memory_mib=10_240
)


@dataclass(frozen=True)
class Ran:
    """Outputs by wire name, and every registered resource's inputs by (type, name)."""

    outputs: Mapping[str, Any]
    resources: Mapping[tuple[str, str], Mapping[str, Any]]

    def of_type(self, token: str) -> dict[str, Mapping[str, Any]]:
        """Inputs by name of the resources of one type."""
        return {name: inputs for (kind, name), inputs in self.resources.items() if kind == token}


class _Recorder(mocks.Mocks):
    def __init__(self) -> None:
        self.resources: dict[tuple[str, str], Mapping[str, Any]] = {}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if args.typ == "pulumi:pulumi:StackReference":
            return args.name, {"name": args.name, "outputs": BASE}
        self.resources[args.typ, args.name] = args.inputs
        made_up = f"mock:us-east-1:123456789012:{args.typ.rpartition(':')[2]}/{args.name}"
        arn = "arn:aws:" + ARNS.get(args.typ, made_up).replace("NAME", str(args.inputs.get("name", args.name)))
        if args.typ == "aws:eks/cluster:Cluster":
            return args.name, {"endpoint": "https://eks", "certificateAuthority": {"data": "Q0E="}, **args.inputs}
        if args.typ == "aws:eks/nodeGroup:NodeGroup":
            return args.name, dict(args.inputs)
        made = {"arn": arn, "name": args.name, "repositoryUrl": f"{REGISTRY}/{args.name}", "digest": DIGEST}
        return f"{args.name}-id", {**made, "privateIp": "10.42.0.10", **args.inputs}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        answers: dict[str, dict[str, Any]] = {
            "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": {"locations": ["us-east-1b", "us-east-1a"]},
            "aws:index/getAvailabilityZones:getAvailabilityZones": {"names": ["us-east-1a", "us-east-1b"]},
            "aws:index/getCallerIdentity:getCallerIdentity": {"arn": ROLE, "accountId": "123456789012"},
            "aws:iam/getSessionContext:getSessionContext": {"issuerArn": ROLE},
            "aws:ssm/getParameter:getParameter": {"value": "ami-0123456789abcdef0"},
            "aws:ecr/getAuthorizationToken:getAuthorizationToken": {"userName": "AWS", "password": "x"},
        }
        return answers[args.token], []


def run_program(settings: Settings, person: Person = PERSON) -> Ran:
    """Run the settings' program under a recording monitor. Raises what the program raises."""
    recorder = _Recorder()
    pulumi.runtime.settings.set_root_resource(None)  # or the last program's transformation would judge this one's
    mocks.set_mocks(recorder, project="breakeven", stack=settings.stack, preview=False)
    program = importlib.import_module(f"stacks.{settings.program}").program
    outputs: dict[str, Any] = {}

    @mocks.test
    def ran() -> pulumi.Output[None]:
        return pulumi.Output.from_input(dict(program(settings, person))).apply(outputs.update)

    ran()
    return Ran(outputs, recorder.resources)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def run() -> Callable[..., Ran]:
    return run_program
