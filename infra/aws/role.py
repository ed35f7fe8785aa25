"""The one way to make a role: below one path and under one permissions boundary."""

import pulumi
import pulumi_aws as aws

from plan.rules.identity import BOUNDARY, ROLE_PATH


def bounded_role(name: str, assume_role_policy: str, opts: pulumi.ResourceOptions) -> aws.iam.Role:
    """Declare a role that can never do more than the account's boundary says, whatever is attached to it.

    Why so: a deployer who may create roles, attach policies and pass roles is an administrator, unless each role
    carries a boundary that the deployer cannot write. The path gives these roles one ARN pattern in every stack.
    """
    caller = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=opts.parent))
    return aws.iam.Role(
        name,
        path=ROLE_PATH,
        permissions_boundary=caller.account_id.apply(lambda account: f"arn:aws:iam::{account}:policy/{BOUNDARY}"),
        assume_role_policy=assume_role_policy,
        # A policy that a broken-off deploy attached and does not know would keep the role.
        force_detach_policies=True,
        opts=opts,
    )
