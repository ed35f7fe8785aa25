"""The small host inside the region that runs the experiment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.aws.cluster_vms import Site
from infra.aws.functions import call_functions
from infra.aws.host_identity import HostIdentity, HostIdentityArgs, allow, pull_images
from infra.aws.single_host import SingleHostArgs, single_host
from infra.aws.user_data import user_data
from plan.cost import VOLUME_GIB


@dataclass(frozen=True)
class DriverHostArgs:
    """`secret_arns`: of every part it opens a session on."""

    site: Site
    security_group_id: pulumi.Input[str]
    instance_type: str
    secret_arns: Sequence[pulumi.Input[str]]


class DriverHost(pulumi.ComponentResource):
    """An instance with the workers' image on it, where a session's driver process runs.

    Why so: timed from a laptop, an experiment would measure the laptop's line. It may scale this stack's groups (and
    no other's), call its functions, and read and write its buckets. Costs its type's price as long as the stack is
    up. Output: `instance_id`.
    """

    instance_id: pulumi.Output[str]

    def __init__(self, name: str, args: DriverHostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:DriverHost", name, {}, opts)
        identity = HostIdentity(name, HostIdentityArgs(statements(args)), opts=pulumi.ResourceOptions(parent=self))
        settings: dict[str, pulumi.Input[str]] = {
            "BREAKEVEN_BOOT": "none",
            "BREAKEVEN_STACK": args.site.stack,
            "BREAKEVEN_REGION": args.site.region,
            "BREAKEVEN_IMAGE": args.site.cluster_image,
            "BREAKEVEN_WORKING_BUCKET": args.site.buckets.working,
        }
        instance = single_host(
            name,
            SingleHostArgs(
                instance_type=args.instance_type,
                subnet_id=args.site.subnet_id,
                security_group_id=args.security_group_id,
                profile_arn=identity.profile_arn,
                image_id=args.site.image_id,
                user_data=user_data("cluster/boot-host.sh", settings),
                tags=args.site.tags,
                volume_gib=VOLUME_GIB,
            ),
            self,
        )
        self.instance_id = instance.id
        self.register_outputs({"instanceId": self.instance_id})


def statements(args: DriverHostArgs) -> list[dict[str, Any]]:
    """What a driver may do."""
    site = args.site
    ours = {"StringEquals": {"aws:ResourceTag/breakeven:stack": site.stack}}
    groups = f"arn:aws:autoscaling:{site.region}:*:autoScalingGroup:*:autoScalingGroupName/{site.stack}-*"
    secrets = [allow(["secretsmanager:GetSecretValue"], args.secret_arns)] if args.secret_arns else []
    return [
        *pull_images([site.repository_arn]),
        *site.buckets.driver(),
        site.buckets.boot_log(site.stack),
        *secrets,
        allow(["ec2:DescribeInstances", "autoscaling:DescribeAutoScalingGroups"], ["*"]),
        allow(["autoscaling:SetDesiredCapacity"], [groups], ours),
        call_functions(site.region, site.stack),
    ]
