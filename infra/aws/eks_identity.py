"""What a service account of the cluster may do in AWS."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.host_identity import allow, policy
from infra.aws.role import bounded_role


@dataclass(frozen=True)
class PodIdentityArgs:
    """`statements`: what pods of `account` in `namespace` may do."""

    cluster: pulumi.Input[str]
    namespace: str
    account: str
    statements: Sequence[Mapping[str, Any]]


class PodIdentity(pulumi.ComponentResource):
    """A role with one inline policy, bound to a service account by EKS Pod Identity.

    Why so: it needs no identity provider and no annotation, works for pods without an API token, and a worker gets
    neither its node's role nor the driver's. Costs nothing. No outputs.
    """

    def __init__(self, name: str, args: PodIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:PodIdentity", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = bounded_role(name, _assumed_by_pods(), child)
        allowed = aws.iam.RolePolicy(name, role=role.id, policy=policy(*args.statements), opts=child)
        aws.eks.PodIdentityAssociation(
            name,
            cluster_name=args.cluster,
            namespace=args.namespace,
            service_account=args.account,
            role_arn=role.arn,
            # A pod that takes the role may do at once what its policy says.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed]),
        )
        self.register_outputs({})


def autoscaler_statements(cluster: str) -> list[dict[str, Any]]:
    """What cluster-autoscaler needs: to look at everything, and to move the groups that EKS has tagged as this
    cluster's (it tags the group of every managed node group so)."""
    ours = {"StringEquals": {f"aws:ResourceTag/k8s.io/cluster-autoscaler/{cluster}": "owned"}}
    look = [
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeAutoScalingInstances",
        "autoscaling:DescribeLaunchConfigurations",
        "autoscaling:DescribeScalingActivities",
        "autoscaling:DescribeTags",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:GetInstanceTypesFromInstanceRequirements",
        "eks:DescribeNodegroup",
    ]
    move = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
    return [allow(look, ["*"]), allow(move, ["*"], ours)]


def _assumed_by_pods() -> str:
    who = {"Service": "pods.eks.amazonaws.com"}
    statement = {"Effect": "Allow", "Principal": who, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
