"""What a host may do: a role, its policy and the profile that hands it to instances."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.role import bounded_role
from plan.rules.identity import ROLE_PATH

SESSION_MANAGER = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"


def allow(
    actions: Sequence[str], resources: Sequence[Any], condition: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """One statement of a policy; `resources` may be outputs."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return {**statement, "Condition": dict(condition)} if condition else statement


def policy(*statements: Mapping[str, Any]) -> pulumi.Output[str]:
    """A policy document as JSON from statements that may hold outputs."""
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return pulumi.Output.from_input(document).apply(lambda known: json.dumps(known, sort_keys=True))


def assumed_by(service: str) -> str:
    """The trust policy, as JSON, that lets one AWS service take a role."""
    who = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [who]})


def pull_images(repository_arns: Sequence[pulumi.Input[str]]) -> list[dict[str, Any]]:
    """Log in to the registry (an action that takes no resource and writes nothing) and pull from these repositories."""
    pull = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
    return [allow(["ecr:GetAuthorizationToken"], ["*"]), allow(pull, repository_arns)]


@dataclass(frozen=True)
class HostIdentityArgs:
    """`statements`: what its hosts may do besides being reached by Session Manager."""

    statements: Sequence[Mapping[str, Any]]


class HostIdentity(pulumi.ComponentResource):
    """A role for EC2 hosts with Session Manager's policy and one inline policy, and its instance profile.

    Why so: no keys on hosts and no SSH; each component has a role of its own, so that a Dask worker cannot read Ray's
    token. Costs nothing. Outputs: `profile_arn`, `role_arn`.
    """

    profile_arn: pulumi.Output[str]
    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: HostIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:HostIdentity", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = bounded_role(name, assumed_by("ec2.amazonaws.com"), child)
        reached = aws.iam.RolePolicyAttachment(name, role=role.name, policy_arn=SESSION_MANAGER, opts=child)
        allowed = aws.iam.RolePolicy(name, role=role.id, policy=policy(*args.statements), opts=child)
        # Last: whatever takes the profile is launched after its role may do what its boot does.
        ready = pulumi.ResourceOptions(parent=self, depends_on=[reached, allowed])
        profile = aws.iam.InstanceProfile(name, path=ROLE_PATH, role=role.name, opts=ready)
        self.profile_arn = profile.arn
        self.role_arn = role.arn
        self.register_outputs({"profileArn": self.profile_arn, "roleArn": self.role_arn})
