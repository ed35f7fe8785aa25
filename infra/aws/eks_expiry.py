"""The nodes of an EKS cluster end at expiry, with or without anybody there."""

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.expiry import ending, schedule_role
from infra.aws.host_identity import allow
from plan.rules.tags import STACK


@dataclass(frozen=True)
class EndNodesAtExpiryArgs:
    """`cluster`: by the stack's name. `node_group`: EKS's name for it."""

    cluster: str
    region: str
    at: pulumi.Input[str]
    node_group: pulumi.Input[str]


class EndNodesAtExpiry(pulumi.ComponentResource):
    """A schedule that deletes the managed node group.

    Why the whole group: EKS accepts no maximum of zero, and whatever changes the autoscaling group behind EKS's back
    leaves the two at odds, which no `up` mends. A deleted group bears our tags until it goes, cannot grow again, and is
    made anew by `up --refresh` where the stack's time was extended. EKS drains its nodes for five minutes at most.
    Costs nothing. No outputs.
    """

    def __init__(self, name: str, args: EndNodesAtExpiryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:EndNodesAtExpiry", name, {}, opts)
        groups = f"arn:aws:eks:{args.region}:*:nodegroup/{args.cluster}/*"
        ours = {"StringEquals": {f"aws:ResourceTag/{STACK}": args.cluster}}
        role, ready = schedule_role(name, [allow(["eks:DeleteNodegroup"], [groups], ours)], self)
        body = pulumi.Output.all(args.cluster, args.node_group).apply(lambda known: delete_node_group(*known))
        after = pulumi.ResourceOptions(parent=self, depends_on=[ready])
        aws.scheduler.Schedule(name, **ending(args.at, "eks:deleteNodegroup", role.arn, body), opts=after)
        self.register_outputs({})


def delete_node_group(cluster: str, node_group: str) -> str:
    """The request, as JSON, that deletes a managed node group with its nodes."""
    return json.dumps({"ClusterName": cluster, "NodegroupName": node_group})
