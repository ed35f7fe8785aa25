"""Every role of every stack under the boundary: it caps nothing that a role needs, and all that a role should not have.

The roles are those that the programs declare, run without an engine.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from plan.rules import warnings
from plan.rules.identity import BOUNDARY, ROLE_PATH
from plan.rules.parts import EKS_PREFIX
from plan.settings import load
from tests.permissions import declared
from tests.permissions.asked import Asked, ec2
from tests.permissions.documents import boundary, deployer, shipped
from tests.permissions.evaluator import Request, Values, verdict
from tests.permissions.facts import ACCOUNT
from tests.stacks.conftest import Ran


@pytest.fixture(params=declared.stacks())
def ran(request: pytest.FixtureRequest) -> Ran:
    return declared.ran(request.param)


def test_a_stack_on_eks_is_named_as_the_policies_name_it() -> None:
    on_eks = {stack for stack in declared.stacks() if declared.ran(stack).of_type("aws:eks/cluster:Cluster")}
    assert on_eks
    assert {stack for stack in on_eks if not stack.startswith(EKS_PREFIX)} == set(), "docs/aws.md, Permissions: names"


def test_another_name_of_a_stack_on_eks_is_noted_before_a_policy_refuses_it() -> None:
    by_sid = {one["Sid"]: one for name in ("deployer-compute", "boundary") for one in shipped(name)["Statement"]}
    assert by_sid["TagClustersAsTheyAreMade"]["Resource"].endswith(f"/{EKS_PREFIX}*")
    scaled = by_sid["ScaleNodesOfOurClusters"]["Condition"]["StringLike"]
    assert scaled["aws:ResourceTag/eks:cluster-name"] == f"{EKS_PREFIX}*"
    settings = load("k8s-32", declared.ROOT)
    assert not any("EKS cluster named" in said for said in warnings(settings))
    renamed = settings.model_copy(update={"stack": "mixed"})
    assert any("EKS cluster named mixed, where docs/permissions allow k8s-*" in said for said in warnings(renamed))


def test_every_role_and_profile_is_below_the_path_and_under_the_boundary(ran: Ran) -> None:
    roles = ran.of_type(declared.ROLE)
    assert roles
    wanted = f"arn:aws:iam::{ACCOUNT}:policy/{BOUNDARY}"
    assert {name: (role["path"], role["permissionsBoundary"]) for name, role in roles.items()} == dict.fromkeys(
        roles, (ROLE_PATH, wanted)
    )
    assert {profile["path"] for profile in ran.of_type(declared.PROFILE).values()} <= {ROLE_PATH}


def test_the_boundary_caps_nothing_that_a_role_is_given(ran: Ran) -> None:
    """Or a statement added to a role would do nothing, and show only on an account."""
    capped = [
        f"{name}: {request.action} on {request.resource}"
        for name, inline in ran.of_type(declared.INLINE).items()
        for statement in json.loads(inline["policy"])["Statement"]
        for request in _asked(statement)
        if verdict(request, [{"Statement": statement}], boundary()) != "allowed"
    ]
    assert capped == []


def test_a_deployer_may_attach_each_policy_of_amazons_that_a_role_has(ran: Ran) -> None:
    for attached in ran.of_type(declared.ATTACHED).values():
        keys = {
            "iam:PolicyARN": attached["policyArn"],
            "iam:PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/{BOUNDARY}",
            "aws:PrincipalAccount": ACCOUNT,
            "aws:RequestedRegion": "us-east-1",
        }
        request = Request("iam:AttachRolePolicy", f"arn:aws:iam::{ACCOUNT}:role{ROLE_PATH}x", keys)
        assert verdict(request, deployer()) == "allowed", attached["policyArn"]


# What a service does with a role, by AWS's documentation: Lambda in a network, the network plugin, agents, pulls.
FUNCTION, NODES, CONTROL = ("multiprocessing", "multiprocessing-functions"), ("k8s-32", "k8s-32-eks-nodes"), "k8s-32"
OURS = {"breakeven:stack": "k8s-32"}
USED: list[tuple[str, str, Asked]] = [
    *(
        (*FUNCTION, asked)
        for asked in (
            Asked("ec2:CreateNetworkInterface", *ec2("network-interface")),
            Asked("ec2:CreateNetworkInterface", *ec2("subnet", "subnet-0"), {}, OURS),
            Asked("ec2:CreateNetworkInterface", *ec2("security-group", "sg-0"), {}, OURS),
            Asked("ec2:DeleteNetworkInterface", *ec2("network-interface", "eni-0")),
            Asked("ec2:DescribeNetworkInterfaces"),
            Asked("ec2:DescribeSubnets"),
        )
    ),
    *(
        (*NODES, asked)
        for asked in (
            Asked("ec2:CreateNetworkInterface", *ec2("network-interface"), OURS),
            Asked("ec2:CreateNetworkInterface", *ec2("subnet", "subnet-0"), {}, OURS),
            Asked("ec2:CreateNetworkInterface", *ec2("security-group", "sg-0"), {}, {"aws:eks:cluster-name": "k8s-32"}),
            Asked(
                "ec2:CreateTags",
                *ec2("network-interface"),
                OURS,
                keys={"ec2:CreateAction": "CreateNetworkInterface"},
            ),
            Asked("ec2:CreateTags", *ec2("network-interface", "eni-0"), {"Name": "x"}, OURS),
            Asked("ec2:AttachNetworkInterface", *ec2("network-interface", "eni-0"), {}, OURS),
            Asked("ec2:AttachNetworkInterface", *ec2("instance", "i-0"), {}, OURS),
            Asked("ec2:ModifyNetworkInterfaceAttribute", *ec2("network-interface", "eni-0"), {}, OURS),
            Asked("ec2:AssignPrivateIpAddresses", *ec2("network-interface", "eni-0"), {}, OURS),
            Asked("ec2:UnassignPrivateIpAddresses", *ec2("network-interface", "eni-0"), {}, OURS),
            Asked("ec2:DetachNetworkInterface", *ec2("network-interface", "eni-0"), {}, OURS),
            Asked("ec2:DeleteNetworkInterface", *ec2("network-interface", "eni-0"), {}, OURS),
            Asked("ec2:DescribeInstances"),
            Asked("ecr:GetAuthorizationToken"),
            Asked("ecr:BatchGetImage", "arn:aws:ecr:us-east-1:amazon:repository/eks/coredns", "repository"),
            Asked("ecr:GetDownloadUrlForLayer", "arn:aws:ecr:us-east-1:amazon:repository/eks/coredns", "repository"),
            Asked(
                "ecr:BatchGetImage", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/breakeven-base-cluster", "repository"
            ),
            Asked("eks:DescribeCluster", f"arn:aws:eks:us-east-1:{ACCOUNT}:cluster/k8s-32", "cluster", {}, OURS),
            Asked("eks-auth:AssumeRoleForPodIdentity", f"arn:aws:eks:us-east-1:{ACCOUNT}:cluster/k8s-32", "cluster"),
            Asked("ssmmessages:CreateControlChannel"),
        )
    ),
    *((CONTROL, "k8s-32-eks-control", Asked(f"ec2:Describe{what}")) for what in ("Instances", "Subnets", "Vpcs")),
    *(
        ("bench-32", "bench-32-driver", Asked(action))
        for action in ("ssmmessages:OpenDataChannel", "ec2messages:GetMessages", "ec2messages:SendReply")
    ),
]


@pytest.mark.parametrize(("stack", "role", "asked"), USED, ids=lambda part: getattr(part, "action", part))
def test_what_services_do_with_a_role_is_allowed(stack: str, role: str, asked: Asked) -> None:
    assert verdict(asked.request(), declared.policies_of(stack, role), boundary()) == "allowed"


def _asked(statement: Mapping[str, Any]) -> Iterator[Request]:
    """Requests that a statement of a role allows: each action on each resource, as its conditions want them."""
    context: dict[str, Values] = {"aws:PrincipalAccount": ACCOUNT, "aws:ResourceAccount": ACCOUNT}
    for test, pairs in statement.get("Condition", {}).items():
        for key, value in pairs.items():
            context[key] = "some" if test == "Null" else (value if isinstance(value, str) else value[0])
    if any(key.startswith("aws:ResourceTag/breakeven:") for key in context):
        context.setdefault("aws:ResourceTag/breakeven:stack", "some")  # no tag of ours comes without the stack's
    for action in statement["Action"]:
        for resource in statement["Resource"]:
            yield Request(action, resource if resource == "*" else _one_of(resource), context)


def _one_of(pattern: str) -> str:
    """An ARN that a pattern matches."""
    *place, account, rest = pattern.split(":", 5)
    return ":".join([*place, account.replace("*", ACCOUNT), rest.replace("*", "any")])
