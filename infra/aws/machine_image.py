"""The machine image of every host."""

import pulumi
import pulumi_aws as aws

# The standard image, not the container one: it is sure to carry the AWS command line and Session Manager's agent, and
# Docker comes from the distribution's own mirror in S3, through the gateway endpoint, in seconds.
PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


def amazon_linux(parent: pulumi.Resource) -> pulumi.Output[str]:
    """The id of the newest Amazon Linux 2023 image. Users of it ignore later changes, so a stack keeps the first."""
    return aws.ssm.get_parameter_output(name=PARAMETER, opts=pulumi.InvokeOptions(parent=parent)).apply(
        # The answer is marked secret because parameters can be; an image id is public and belongs in a plan.
        lambda found: found.value
    )
