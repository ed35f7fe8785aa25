"""The Lambda function that Lithops calls, under the very name that Lithops calls it by."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.buckets import Buckets
from infra.aws.host_identity import allow, assumed_by, policy
from infra.aws.role import bounded_role
from infra.aws.user_data import RUNTIMES
from plan.rules.tags import STACK

LOG_DAYS = 14
LEAST_EVENT_AGE_S = 60
"""Lambda's own bound. A call that is throttled waits for at most as long as it may run: by default it would be tried
for six hours, also when its run was cancelled long before."""

USER_ID = "breakeven"
"""Given to Lithops as `user_id`: by default it takes part of the caller's own id into the function's name, so that
each colleague would call another function."""


def runtime_name(image: str) -> str:
    """What Lithops is told to be its runtime: the image and its digest, in the letters that Lithops allows (no `@`)."""
    return image.replace("@sha256:", ":sha256-")


def function_name(namespace: str, runtime: str, memory_mib: int, lithops_version: str) -> str:
    """The name Lithops 3.8 calls for this runtime and memory; a test compares it with Lithops' own method."""
    digest = hashlib.sha1(f"{runtime}-{memory_mib}-{lithops_version}".encode(), usedforsecurity=False).hexdigest()[:10]
    return f"{namespace}-lithops-worker-{USER_ID[-4:]}-{lithops_version.replace('.', '')}-{digest}"


def metadata_key(name: str, region: str, lithops_version: str) -> str:
    """Where in its bucket Lithops looks for a runtime's metadata before it would deploy one."""
    return f"lithops.runtimes/aws_lambda/{lithops_version}/{region}/{name}.meta.json"


def runtime_metadata(lithops_version: str, timeout_s: int) -> str:
    """The metadata object as JSON: what Lithops would get by calling the function once."""
    known = json.loads((RUNTIMES / "functions/metadata.json").read_text())
    return json.dumps({**known, "lithops_version": lithops_version, "runtime_timeout": timeout_s}, sort_keys=True)


def call_functions(region: str, stack: str) -> dict[str, Any]:
    """What a driver may do with the stack's functions: call them, and change their configuration, since a cold sample
    needs new sandboxes."""
    functions = f"arn:aws:lambda:{region}:*:function:{stack}-lithops-worker-*"
    ours = {"StringEquals": {f"aws:ResourceTag/{STACK}": stack}}
    return allow(
        ["lambda:InvokeFunction", "lambda:GetFunction", "lambda:UpdateFunctionConfiguration"], [functions], ours
    )


@dataclass(frozen=True)
class FunctionsArgs:
    """`image`: URL@digest. In the VPC when `subnet_ids` are given."""

    stack: str
    region: str
    image: pulumi.Input[str]
    memory_mib: int
    timeout_s: int
    architecture: str
    buckets: Buckets
    subnet_ids: Sequence[pulumi.Input[str]] = ()
    security_group_ids: Sequence[pulumi.Input[str]] = ()


class LithopsFunctions(pulumi.ComponentResource):
    """A function from the functions image, its role, its log group, and the metadata object that spares Lithops the
    deploy.

    Why so: an executor made from the outputs creates, updates and publishes nothing, so that what is measured is what
    was declared and checked. Not retried by Lambda: a second try would hide a failure and bill it twice. Costs nothing
    until called; then 0.0000166667 USD per GB-second and 0.20 USD per million calls. In a VPC it reaches S3 by the
    gateway endpoint and the cache, and nothing else; its interfaces take AWS 20 to 45 minutes to delete.
    Outputs: `name`, `runtime`, `role_arn`.
    """

    name: pulumi.Output[str]
    runtime: pulumi.Output[str]
    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: FunctionsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:LithopsFunctions", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        lithops = version("lithops")
        called = pulumi.Output.from_input(args.image).apply(
            lambda image: function_name(args.stack, runtime_name(image), args.memory_mib, lithops)
        )
        logs = aws.cloudwatch.LogGroup(
            name, name=called.apply(lambda known: f"/aws/lambda/{known}"), retention_in_days=LOG_DAYS, opts=child
        )
        role = bounded_role(name, assumed_by("lambda.amazonaws.com"), child)
        statements = [
            allow(["logs:CreateLogStream", "logs:PutLogEvents"], [pulumi.Output.concat(logs.arn, ":*")]),
            *args.buckets.function(),
        ]
        ready = [aws.iam.RolePolicy(name, role=role.id, policy=policy(*statements), opts=child), logs]
        if args.subnet_ids:
            managed = "arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
            ready.append(aws.iam.RolePolicyAttachment(name, role=role.name, policy_arn=managed, opts=child))
        function = aws.lambda_.Function(
            name,
            name=called,
            package_type="Image",
            image_uri=args.image,
            role=role.arn,
            memory_size=args.memory_mib,
            timeout=args.timeout_s,
            architectures=[args.architecture],
            vpc_config=aws.lambda_.FunctionVpcConfigArgs(
                subnet_ids=list(args.subnet_ids), security_group_ids=list(args.security_group_ids)
            )
            if args.subnet_ids
            else None,
            # Sessions set a variable for cold samples; a deploy in the middle of a run must not take it away.
            opts=pulumi.ResourceOptions(parent=self, depends_on=ready, ignore_changes=["environment"]),
        )
        aws.lambda_.FunctionEventInvokeConfig(
            name,
            function_name=function.name,
            maximum_retry_attempts=0,
            maximum_event_age_in_seconds=max(LEAST_EVENT_AGE_S, args.timeout_s),
            opts=child,
        )
        aws.s3.BucketObjectv2(
            name,
            bucket=args.buckets.working,
            key=called.apply(lambda known: metadata_key(known, args.region, lithops)),
            content=runtime_metadata(lithops, args.timeout_s),
            content_type="application/json",
            opts=child,
        )
        self.name = function.name
        self.runtime = pulumi.Output.from_input(args.image).apply(runtime_name)
        self.role_arn = role.arn
        self.register_outputs({"name": self.name, "runtime": self.runtime, "roleArn": self.role_arn})
