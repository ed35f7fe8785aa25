"""What a Ray and a Dask cluster on EC2 have in common: two groups, an identity, a secret."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.aws.buckets import Buckets
from infra.aws.host_identity import HostIdentity, HostIdentityArgs, allow, pull_images
from infra.aws.kept_secret import KeptSecret, KeptSecretArgs
from infra.aws.node_group import NodeGroup, NodeGroupArgs
from infra.aws.user_data import user_data
from plan.settings import Autoscale


@dataclass(frozen=True)
class Site:
    """Where a stack's hosts live and what they may read; one per stack."""

    stack: str
    region: str
    subnet_id: pulumi.Input[str]
    image_id: pulumi.Input[str]
    buckets: Buckets
    cluster_image: pulumi.Input[str]
    repository_arn: pulumi.Input[str]
    tags: Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True)
class ClusterVmsArgs:
    """One cluster. `limit_mib`: what a worker is held to; `node_limit_mib`: what all workers of a node and the engine's
    own processes are held to together. `nodes`: how far the worker group may grow."""

    site: Site
    security_group_id: pulumi.Input[str]
    instance_type: str
    head_instance_type: str
    nodes: int
    slots_per_node: int
    vcpu_per_slot: int
    limit_mib: int
    node_limit_mib: int
    autoscale: Autoscale | None = None


class ClusterVms(pulumi.ComponentResource):
    """Base of RayVms and DaskVms: the secret, the role, the head's group of one and the workers' group, at zero.

    Why a group for the head too: at zero it costs nothing, and a cold start has a new head. Workers find the head by
    its group's name through DescribeInstances, so no address has to be reserved. Outputs: `head_group`, `group`,
    `secret_at`, `secret_arn`.
    """

    head_group: pulumi.Output[str]
    group: pulumi.Output[str]
    secret_at: pulumi.Output[str]
    secret_arn: pulumi.Output[str]

    def __init__(
        self,
        kind: str,
        name: str,
        args: ClusterVmsArgs,
        make_secret: Callable[[], str],
        boot: Mapping[str, str],
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        super().__init__(kind, name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        site = args.site
        groups = {"head": f"{name}-head", "workers": f"{name}-workers"}
        secret = KeptSecret(f"{name}-secret", KeptSecretArgs(f"breakeven/{name}", make_secret), opts=child)
        made: dict[str, NodeGroup] = {}
        for part, group in groups.items():
            scales = args.autoscale is not None and part == "head"
            identity = HostIdentity(
                group, HostIdentityArgs(statements(site, groups, secret.arn, part, scales)), opts=child
            )
            settings: dict[str, pulumi.Input[str]] = {
                "BREAKEVEN_BOOT": boot[part],
                "BREAKEVEN_STACK": site.stack,
                "BREAKEVEN_REGION": site.region,
                "BREAKEVEN_IMAGE": site.cluster_image,
                "BREAKEVEN_SECRET": secret.path,
                "BREAKEVEN_GROUP": group,
                "BREAKEVEN_HEAD_GROUP": groups["head"],
                "BREAKEVEN_WORKERS_GROUP": groups["workers"],
                "BREAKEVEN_SLOTS": str(args.slots_per_node),
                "BREAKEVEN_VCPU_PER_SLOT": str(args.vcpu_per_slot),
                "BREAKEVEN_LIMIT_MIB": str(args.limit_mib),
                "BREAKEVEN_WORKING_BUCKET": site.buckets.working,
                **({"BREAKEVEN_NODE_MEMORY_MIB": str(args.node_limit_mib)} if part == "workers" else {}),
                **_autoscale_settings(args),
            }
            made[part] = NodeGroup(
                group,
                NodeGroupArgs(
                    stack=site.stack,
                    group=group,
                    instance_type=args.head_instance_type if part == "head" else args.instance_type,
                    max_nodes=1 if part == "head" else args.nodes,
                    subnet_id=site.subnet_id,
                    security_group_id=args.security_group_id,
                    profile_arn=identity.profile_arn,
                    image_id=site.image_id,
                    user_data=user_data("cluster/boot-host.sh", settings),
                ),
                opts=child,
            )
        self.head_group, self.group = made["head"].name, made["workers"].name
        self.secret_at, self.secret_arn = secret.path, secret.arn
        self.register_outputs({"headGroup": self.head_group, "group": self.group, "secretAt": self.secret_at})


def statements(
    site: Site, groups: Mapping[str, str], secret_arn: pulumi.Input[str], part: str, scales: bool
) -> list[dict[str, Any]]:
    """What a host of the cluster may do: pull its image, read its secret and the data, write its boot log, find the
    head, and leave its own group; an autoscaled cluster's head may also move the workers' group."""
    ours = {"StringEquals": {"aws:ResourceTag/breakeven:stack": site.stack}}

    def group_arn(name: str) -> str:
        return f"arn:aws:autoscaling:{site.region}:*:autoScalingGroup:*:autoScalingGroupName/{name}"

    leave: Sequence[str] = ["autoscaling:TerminateInstanceInAutoScalingGroup"]
    found = [
        *pull_images([site.repository_arn]),
        allow(["secretsmanager:GetSecretValue"], [secret_arn]),
        *site.buckets.host(site.stack),
        allow(["ec2:DescribeInstances"], ["*"]),
        allow(leave, [group_arn(groups[part])], ours),
    ]
    if scales:
        grow = [*leave, "autoscaling:SetDesiredCapacity"]
        found += [
            allow(["autoscaling:DescribeAutoScalingGroups"], ["*"]),
            allow(grow, [group_arn(groups["workers"])], ours),
        ]
    return found


def _autoscale_settings(args: ClusterVmsArgs) -> dict[str, str]:
    if args.autoscale is None:
        return {}
    return {
        "BREAKEVEN_MIN_NODES": str(-(-args.autoscale.min_workers // args.slots_per_node)),
        "BREAKEVEN_MAX_NODES": str(args.nodes),
        "BREAKEVEN_IDLE_S": str(args.autoscale.idle_timeout_s),
    }
