"""When a stack ends: fixed when it is made, moved only by an explicit command, and enforced by a schedule."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.host_identity import allow, assumed_by, policy
from infra.aws.role import bounded_role
from plan.rules.tags import EXPIRY, STACK

STAMP = "%Y-%m-%dT%H:%M:%SZ"


def expires_after(hours: float, now: datetime | None = None) -> str:
    """The instant so many hours from now, in UTC, to the second."""
    return ((now or datetime.now(UTC)) + timedelta(hours=hours)).strftime(STAMP)


@dataclass(frozen=True)
class ExpiryArgs:
    """`ttl_h`: hours from the first `up`. `moved_to`: an instant set by explicit command, which goes before."""

    stack: str
    ttl_h: float
    moved_to: str | None
    tags: Mapping[str, str]


class Expiry(pulumi.ComponentResource):
    """The instant at which the stack ends, kept in state.

    Why so: computed anew on each `up` it would move with every deploy, and a forgotten stack that is deployed by a
    timer would never end. The first value stays, in a parameter that hosts and people can read, until `expiresAt` is
    set. Costs nothing. Output: `at` (UTC, ISO 8601).
    """

    at: pulumi.Output[str]

    def __init__(self, name: str, args: ExpiryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:Expiry", name, {}, opts)
        value = args.moved_to or expires_after(args.ttl_h)
        kept = [] if args.moved_to else ["insecureValue", f'tags["{EXPIRY}"]']
        parameter = aws.ssm.Parameter(
            name,
            name=f"/breakeven/{args.stack}/expires-at",
            type="String",
            insecure_value=value,  # an instant is no secret, and belongs in a plan
            tags={**args.tags, EXPIRY: value},
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=kept),
        )
        self.at = parameter.insecure_value.apply(lambda kept: kept or value)
        self.register_outputs({"at": self.at})


@dataclass(frozen=True)
class EndAtExpiryArgs:
    """What to end: `groups` are set to zero, `instances` terminated."""

    stack: str
    region: str
    at: pulumi.Input[str]
    groups: Mapping[str, pulumi.Input[str]]
    instances: Mapping[str, pulumi.Input[str]]


class EndAtExpiry(pulumi.ComponentResource):
    """One schedule per group and host that ends it at expiry, whatever has become of the person who started it.

    Why schedules: they need no running host and no deployer. Groups are set to zero rather than their instances
    ended, since a group replaces what ends itself, and to a maximum of zero, so that no autoscaler starts more. The
    engine does not know: `up --refresh` sees it and, where the stack's time was extended, brings maxima and hosts back.
    Costs nothing (one invocation each). No outputs.
    """

    def __init__(self, name: str, args: EndAtExpiryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:EndAtExpiry", name, {}, opts)
        ours = {"StringEquals": {f"aws:ResourceTag/{STACK}": args.stack}}
        groups = f"arn:aws:autoscaling:{args.region}:*:autoScalingGroup:*:autoScalingGroupName/{args.stack}-*"
        instances = f"arn:aws:ec2:{args.region}:*:instance/*"
        statements = [
            allow(["autoscaling:UpdateAutoScalingGroup"], [groups], ours),
            allow(["ec2:TerminateInstances"], [instances], ours),
        ]
        role, ready = schedule_role(name, statements, self)
        after = pulumi.ResourceOptions(parent=self, depends_on=[ready])
        for title, group in args.groups.items():
            body = pulumi.Output.from_input(group).apply(to_zero)
            request = ending(args.at, "autoscaling:updateAutoScalingGroup", role.arn, body)
            aws.scheduler.Schedule(f"{name}-group-{title}", **request, opts=after)
        for title, instance in args.instances.items():
            body = pulumi.Output.from_input(instance).apply(terminate)
            request = ending(args.at, "ec2:terminateInstances", role.arn, body)
            aws.scheduler.Schedule(f"{name}-host-{title}", **request, opts=after)
        self.register_outputs({})


def schedule_role(
    name: str, statements: Sequence[Mapping[str, Any]], parent: pulumi.Resource
) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
    """The role under which schedules make their requests, and its policy, which must be there before they are."""
    child = pulumi.ResourceOptions(parent=parent)
    role = bounded_role(name, assumed_by("scheduler.amazonaws.com"), child)
    return role, aws.iam.RolePolicy(name, role=role.id, policy=policy(*statements), opts=child)


def ending(at: pulumi.Input[str], action: str, role_arn: pulumi.Input[str], body: pulumi.Output[str]) -> dict[str, Any]:
    """Arguments of a schedule that makes one request at an instant: `action` as service:operation, `body` as JSON."""
    return {
        "schedule_expression": pulumi.Output.from_input(at).apply(lambda at: f"at({at.removesuffix('Z')})"),
        "schedule_expression_timezone": "UTC",
        "flexible_time_window": aws.scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
        "target": aws.scheduler.ScheduleTargetArgs(
            arn=f"arn:aws:scheduler:::aws-sdk:{action}",
            role_arn=role_arn,
            input=body,
            retry_policy=aws.scheduler.ScheduleTargetRetryPolicyArgs(
                maximum_retry_attempts=10, maximum_event_age_in_seconds=3600
            ),
        ),
    }


def to_zero(group: str) -> str:
    """The request, as JSON, that empties a group and keeps it from growing again."""
    return json.dumps({"AutoScalingGroupName": group, "MinSize": 0, "MaxSize": 0, "DesiredCapacity": 0})


def terminate(instance: str) -> str:
    """The request, as JSON, that ends one instance."""
    return json.dumps({"InstanceIds": [instance]})
