"""The nodes of an EKS cluster end at expiry, with or without anybody there."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.expiry import to_zero
from infra.aws.host_identity import allow, assumed_by, policy
from infra.aws.role import bounded_role


@dataclass(frozen=True)
class EndNodesAtExpiryArgs:
    """`group`: the autoscaling group that EKS made for the node group, under a name of its own choice."""

    cluster: str
    region: str
    at: pulumi.Input[str]
    group: pulumi.Input[str]


class EndNodesAtExpiry(pulumi.ComponentResource):
    """A schedule that sets the node group's autoscaling group to zero, for good.

    Why the group and not the node group: EKS wants a maximum of one at least, and the cluster's autoscaler, pending
    with everything else, would have that one started again. EKS names and tags the group itself, so the role is bound
    to EKS's tag of this cluster and not to ours. Costs nothing. No outputs.
    """

    def __init__(self, name: str, args: EndNodesAtExpiryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:EndNodesAtExpiry", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = bounded_role(name, assumed_by("scheduler.amazonaws.com"), child)
        ours = {"StringEquals": {"aws:ResourceTag/eks:cluster-name": args.cluster}}
        groups = f"arn:aws:autoscaling:{args.region}:*:autoScalingGroup:*:autoScalingGroupName/eks-*"
        allowed = policy(allow(["autoscaling:UpdateAutoScalingGroup"], [groups], ours))
        ready = aws.iam.RolePolicy(name, role=role.id, policy=allowed, opts=child)
        aws.scheduler.Schedule(
            name,
            schedule_expression=pulumi.Output.from_input(args.at).apply(lambda at: f"at({at.removesuffix('Z')})"),
            schedule_expression_timezone="UTC",
            flexible_time_window=aws.scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
            target=aws.scheduler.ScheduleTargetArgs(
                arn="arn:aws:scheduler:::aws-sdk:autoscaling:updateAutoScalingGroup",
                role_arn=role.arn,
                input=pulumi.Output.from_input(args.group).apply(to_zero),
                retry_policy=aws.scheduler.ScheduleTargetRetryPolicyArgs(
                    maximum_retry_attempts=10, maximum_event_age_in_seconds=3600
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[ready]),
        )
        self.register_outputs({})
