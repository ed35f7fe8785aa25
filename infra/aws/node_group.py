"""A group of like instances at zero."""

import base64
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from plan.cost import VOLUME_GIB
from plan.rules.tags import STACK


@dataclass(frozen=True)
class NodeGroupArgs:
    """`group`: the group's own name, which hosts and sessions use. `stack`: what it launches bears it as a tag."""

    stack: str
    group: str
    instance_type: str
    max_nodes: int
    subnet_id: pulumi.Input[str]
    security_group_id: pulumi.Input[str]
    profile_arn: pulumi.Input[str]
    image_id: pulumi.Input[str]
    user_data: pulumi.Output[str]
    volume_gib: int = VOLUME_GIB


def launched(stack: str, name: str) -> list[aws.ec2.LaunchTemplateTagSpecificationArgs]:
    """Tags of what a template launches, which the provider's tags don't reach: the stack and a name.

    Neither owner nor expiry: they change during the stack's life, and a change here is a new version of the template,
    for which EKS replaces every node. Who owns a node and when it ends is read from its group.
    """
    tags = {STACK: stack, "Name": name}
    return [
        aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tags)
        for kind in ("instance", "volume", "network-interface")
    ]


class NodeGroup(pulumi.ComponentResource):
    """A launch template and an autoscaling group that starts at zero nodes and may grow to `max_nodes`.

    Why so: the program stays the same size for 2 and for 1,024 nodes, `destroy` knows every instance, and nobody pays
    before a session scales it. One zone: traffic between zones costs 0.01 USD per GB each way and adds latency to one
    engine's shuffles. Costs nothing at zero; then, per node, the type's price, 0.005 USD/h for its address and 0.08
    USD per GB and month for its volume. Output: `name` (the group's).
    """

    name: pulumi.Output[str]

    def __init__(self, name: str, args: NodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:NodeGroup", name, {}, opts)
        template = aws.ec2.LaunchTemplate(
            name,
            image_id=args.image_id,
            instance_type=args.instance_type,
            iam_instance_profile=aws.ec2.LaunchTemplateIamInstanceProfileArgs(arn=args.profile_arn),
            instance_initiated_shutdown_behavior="terminate",
            update_default_version=True,
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
            ),
            network_interfaces=[
                aws.ec2.LaunchTemplateNetworkInterfaceArgs(
                    associate_public_ip_address="true",
                    security_groups=[args.security_group_id],
                    delete_on_termination="true",
                )
            ],
            block_device_mappings=[
                aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name="/dev/xvda",
                    ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                        volume_size=args.volume_gib, volume_type="gp3", encrypted="true", delete_on_termination="true"
                    ),
                )
            ],
            tag_specifications=launched(args.stack, args.group),
            user_data=args.user_data.apply(lambda text: base64.b64encode(text.encode()).decode()),
            # A newer machine image in the middle of a comparison would make unequal nodes.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["imageId"]),
        )
        group = aws.autoscaling.Group(
            name,
            name=args.group,
            min_size=0,
            max_size=args.max_nodes,
            desired_capacity=0,
            vpc_zone_identifiers=[args.subnet_id],
            health_check_type="EC2",
            launch_template=aws.autoscaling.GroupLaunchTemplateArgs(id=template.id, version="$Latest"),
            # Sessions move it; a deploy in the middle of a run must not.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["desiredCapacity"]),
        )
        self.name = group.name
        self.register_outputs({"name": self.name})
