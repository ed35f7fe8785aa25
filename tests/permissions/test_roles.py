"""Every role of every stack under the boundary: it caps nothing that a role needs, and all that a role should not have.

The roles are those that the programs declare, run without an engine.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from plan.rules.identity import BOUNDARY, ROLE_PATH
from tests.permissions import declared
from tests.permissions.documents import boundary, deployer
from tests.permissions.evaluator import Request, Values, verdict
from tests.permissions.facts import ACCOUNT
from tests.permissions.recorder import FOLDER
from tests.stacks.conftest import Ran

RECORDED = {path.stem for path in FOLDER.glob("*.jsonl")}


@pytest.fixture(params=declared.stacks())
def ran(request: pytest.FixtureRequest) -> Ran:
    return declared.ran(request.param)


def test_every_kind_that_a_stack_declares_was_recorded() -> None:
    """A new kind of resource wants a recording, and its permissions."""
    kinds = {stack: {kind for kind, _ in declared.ran(stack).resources} for stack in declared.stacks()}
    recorded = set().union(*(kinds[stack] for stack in RECORDED))
    assert {
        stack: found for stack, of in kinds.items() if (found := {k for k in of - recorded if k[:4] == "aws:"})
    } == {}


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
