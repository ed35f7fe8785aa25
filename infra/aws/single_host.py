"""One EC2 instance, as the cache and the driver are."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True)
class SingleHostArgs:
    """An instance that is up as long as its stack. `tags` reach its volume, too."""

    instance_type: str
    subnet_id: pulumi.Input[str]
    security_group_id: pulumi.Input[str]
    profile_arn: pulumi.Input[str]
    image_id: pulumi.Input[str]
    user_data: pulumi.Output[str]
    tags: Mapping[str, pulumi.Input[str]]
    volume_gib: int


def single_host(name: str, args: SingleHostArgs, parent: pulumi.Resource) -> aws.ec2.Instance:
    """Declare the instance: metadata v2 only, an encrypted volume, no key, replaced when its boot script changes."""
    # The instance wants the profile's name; its ARN is what the identity gives, because templates want that.
    profile = pulumi.Output.from_input(args.profile_arn).apply(lambda arn: arn.rsplit("/", 1)[-1])
    return aws.ec2.Instance(
        name,
        ami=args.image_id,
        instance_type=args.instance_type,
        subnet_id=args.subnet_id,
        vpc_security_group_ids=[args.security_group_id],
        iam_instance_profile=profile,
        associate_public_ip_address=True,
        # At expiry the guard terminates it; a shutdown from inside does the same.
        instance_initiated_shutdown_behavior="terminate",
        metadata_options=aws.ec2.InstanceMetadataOptionsArgs(
            http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
        ),
        root_block_device=aws.ec2.InstanceRootBlockDeviceArgs(
            volume_size=args.volume_gib,
            volume_type="gp3",
            encrypted=True,
            delete_on_termination=True,
        ),
        # Given to the call that launches; tags of the root device would be put on the volume by a call of their own,
        # which a deployer may make only for what bears the stack's tag already.
        volume_tags={**args.tags, "Name": name},
        user_data=args.user_data,
        user_data_replace_on_change=True,
        tags={"Name": name},
        opts=pulumi.ResourceOptions(parent=parent, ignore_changes=["ami"]),
    )
