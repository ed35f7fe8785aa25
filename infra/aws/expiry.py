"""When a stack ends: fixed when it is made, moved only by an explicit command, and enforced by a schedule."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pulumi
import pulumi_aws as aws

from infra.aws.host_identity import allow, assumed_by, policy
from infra.aws.role import bounded_role

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
        kept = [] if args.moved_to else ["insecureValue", 'tags["breakeven:expires-at"]']
        parameter = aws.ssm.Parameter(
            name,
            name=f"/breakeven/{args.stack}/expires-at",
            type="String",
            insecure_value=value,  # an instant is no secret, and belongs in a plan
            tags={**args.tags, "breakeven:expires-at": value},
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
    ended, since a group replaces what ends itself. Costs nothing (one invocation each). No outputs.
    """

    def __init__(self, name: str, args: EndAtExpiryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:EndAtExpiry", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = bounded_role(name, assumed_by("scheduler.amazonaws.com"), child)
        ours = {"StringEquals": {"aws:ResourceTag/breakeven:stack": args.stack}}
        groups = f"arn:aws:autoscaling:{args.region}:*:autoScalingGroup:*:autoScalingGroupName/{args.stack}-*"
        instances = f"arn:aws:ec2:{args.region}:*:instance/*"
        allowed = policy(
            allow(["autoscaling:UpdateAutoScalingGroup"], [groups], ours),
            allow(["ec2:TerminateInstances"], [instances], ours),
        )
        ready = aws.iam.RolePolicy(name, role=role.id, policy=allowed, opts=child)
        after = pulumi.ResourceOptions(parent=self, depends_on=[ready])

        def schedule(title: str, target: str, body: pulumi.Output[str]) -> None:
            aws.scheduler.Schedule(
                f"{name}-{title}",
                schedule_expression=pulumi.Output.from_input(args.at).apply(lambda at: f"at({at.removesuffix('Z')})"),
                schedule_expression_timezone="UTC",
                flexible_time_window=aws.scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
                target=aws.scheduler.ScheduleTargetArgs(
                    arn=f"arn:aws:scheduler:::aws-sdk:{target}",
                    role_arn=role.arn,
                    input=body,
                    retry_policy=aws.scheduler.ScheduleTargetRetryPolicyArgs(
                        maximum_retry_attempts=10, maximum_event_age_in_seconds=3600
                    ),
                ),
                opts=after,
            )

        for title, group in args.groups.items():
            schedule(
                f"group-{title}", "autoscaling:updateAutoScalingGroup", pulumi.Output.from_input(group).apply(to_zero)
            )
        for title, instance in args.instances.items():
            schedule(f"host-{title}", "ec2:terminateInstances", pulumi.Output.from_input(instance).apply(terminate))
        self.register_outputs({})


def to_zero(group: str) -> str:
    """The request, as JSON, that empties a group and keeps it from growing again."""
    return json.dumps({"AutoScalingGroupName": group, "MinSize": 0, "MaxSize": 0, "DesiredCapacity": 0})


def terminate(instance: str) -> str:
    """The request, as JSON, that ends one instance."""
    return json.dumps({"InstanceIds": [instance]})


__all__ = ["EndAtExpiry", "EndAtExpiryArgs", "Expiry", "ExpiryArgs", "expires_after", "terminate", "to_zero"]
