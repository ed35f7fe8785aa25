"""The recordings are of the programs as they are: what each stack declares was seen being made."""

from tests.permissions import declared
from tests.permissions.recorder import FOLDER, read

RECORDED = {path.stem: {asked.action for _, asked in read(path)} for path in FOLDER.glob("*.jsonl")}
_SERVICES = {"cloudwatch": "logs", "vpc": "ec2"}
# Kinds that are made by another action than Create<kind>.
_MADE_BY = {
    "AccessPolicyAssociation": "AssociateAccessPolicy",
    "BucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "BucketObjectv2": "PutObject",
    "BucketPolicy": "PutBucketPolicy",
    "BucketPublicAccessBlock": "PutBucketPublicAccessBlock",
    "BucketServerSideEncryptionConfiguration": "PutEncryptionConfiguration",
    "BucketVersioning": "PutBucketVersioning",
    "FunctionEventInvokeConfig": "PutFunctionEventInvokeConfig",
    "Group": "CreateAutoScalingGroup",
    "Instance": "RunInstances",
    "LifecyclePolicy": "PutLifecyclePolicy",
    "NodeGroup": "CreateNodegroup",
    "Parameter": "PutParameter",
    "RolePolicy": "PutRolePolicy",
    "RolePolicyAttachment": "AttachRolePolicy",
    "RouteTableAssociation": "AssociateRouteTable",
    "SecretVersion": "PutSecretValue",
    "SecurityGroupEgressRule": "AuthorizeSecurityGroupEgress",
    "SecurityGroupIngressRule": "AuthorizeSecurityGroupIngress",
}


def _kinds(stack: str) -> set[str]:
    return {kind for kind, _ in declared.ran(stack).resources if kind.startswith("aws:")}


def _made_by(kind: str) -> str:
    module, name = kind.split(":")[1].partition("/")[0], kind.rpartition(":")[2]
    return f"{_SERVICES.get(module, module)}:{_MADE_BY.get(name, f'Create{name}')}"


def test_a_recorded_stack_was_seen_making_each_kind_that_it_declares() -> None:
    """A program that has moved on wants another recording: `make recordings`."""
    lacking = {
        stack: sorted(kind for kind in _kinds(stack) if _made_by(kind) not in actions)
        for stack, actions in RECORDED.items()
    }
    assert lacking == {stack: [] for stack in RECORDED}


def test_every_kind_that_a_stack_declares_was_recorded() -> None:
    """A new kind of resource wants a recording, and its permissions."""
    recorded = set().union(*map(_kinds, RECORDED))
    assert {stack: found for stack in declared.stacks() if (found := _kinds(stack) - recorded)} == {}
