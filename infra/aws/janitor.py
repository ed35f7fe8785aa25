"""The janitor: a function on a clock that ends what has outlived its expiry."""

from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from infra.aws.host_identity import allow, assumed_by, policy
from infra.aws.role import bounded_role
from plan.rules.tags import EXPIRY, STACK

CODE = Path(__file__).parents[2] / "ops" / "janitor.py"
LOG_DAYS = 30


@dataclass(frozen=True)
class JanitorArgs:
    """`every_min`: minutes between two rounds."""

    region: str
    every_min: int = 30


class Janitor(pulumi.ComponentResource):
    """A function that every half hour ends the groups, EKS node groups and hosts whose expiry has passed.

    Why so: a bench stack's own schedules end it; the janitor takes what they missed (a schedule that was deleted, a
    deploy that broke off before it). It may touch only what carries our tags. Costs about 0.01 USD a month.
    Output: `function_name`.
    """

    function_name: pulumi.Output[str]

    def __init__(self, name: str, args: JanitorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:Janitor", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        # The group that Lambda writes to by itself: made here, before the function, so that it has an end of retention.
        logs = aws.cloudwatch.LogGroup(name, name=f"/aws/lambda/{name}", retention_in_days=LOG_DAYS, opts=child)
        role = bounded_role(name, assumed_by("lambda.amazonaws.com"), child)
        expiring = {"Null": {f"aws:ResourceTag/{EXPIRY}": "false"}}
        of_a_stack = {"Null": {f"aws:ResourceTag/{STACK}": "false"}}
        node_groups = f"arn:aws:eks:{args.region}:*:nodegroup/*"
        groups = f"arn:aws:autoscaling:{args.region}:*:autoScalingGroup:*:autoScalingGroupName/*"
        allowed = policy(
            allow(["logs:CreateLogStream", "logs:PutLogEvents"], [pulumi.Output.concat(logs.arn, ":*")]),
            allow(["autoscaling:DescribeAutoScalingGroups", "ec2:DescribeInstances", "eks:ListClusters"], ["*"]),
            allow(["eks:ListNodegroups"], [f"arn:aws:eks:{args.region}:*:cluster/*"]),
            allow(["eks:DescribeNodegroup"], [node_groups]),
            allow(["ssm:GetParameter"], [f"arn:aws:ssm:{args.region}:*:parameter/breakeven/*/expires-at"]),
            allow(["autoscaling:UpdateAutoScalingGroup"], [groups], expiring),
            allow(["eks:DeleteNodegroup"], [node_groups], expiring),
            # A host has its expiry on itself or in its stack's parameter; what bears no stack is nobody's here.
            allow(["ec2:TerminateInstances"], [f"arn:aws:ec2:{args.region}:*:instance/*"], of_a_stack),
        )
        ready = aws.iam.RolePolicy(name, role=role.id, policy=allowed, opts=child)
        function = aws.lambda_.Function(
            name,
            name=name,
            runtime="python3.13",
            handler="janitor.handler",
            code=pulumi.AssetArchive({"janitor.py": pulumi.StringAsset(CODE.read_text())}),
            role=role.arn,
            timeout=120,
            memory_size=256,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[ready, logs]),
        )
        # A round that could not begin is the next one's business.
        aws.lambda_.FunctionEventInvokeConfig(
            name,
            function_name=function.name,
            maximum_retry_attempts=2,
            maximum_event_age_in_seconds=60 * args.every_min,
            opts=child,
        )
        clock = bounded_role(f"{name}-clock", assumed_by("scheduler.amazonaws.com"), child)
        may_call = aws.iam.RolePolicy(
            f"{name}-clock", role=clock.id, policy=policy(allow(["lambda:InvokeFunction"], [function.arn])), opts=child
        )
        aws.scheduler.Schedule(
            name,
            schedule_expression=f"rate({args.every_min} minutes)",
            flexible_time_window=aws.scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
            target=aws.scheduler.ScheduleTargetArgs(arn=function.arn, role_arn=clock.arn),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[may_call]),
        )
        self.function_name = function.name
        self.register_outputs({"functionName": self.function_name})
