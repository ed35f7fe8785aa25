"""The evaluator decides as the IAM user guide says: a table of statements, requests and verdicts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.permissions.evaluator import Request, arn_like, verdict

VPC = "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-1"
TAGGED = {"aws:ResourceTag/stack": "a"}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Statement": [{"Effect": "Allow", "Action": "ec2:DeleteVpc", "Resource": "*", **one} for one in statements]}


def when(**tests: Any) -> dict[str, Any]:
    return {"Condition": {name.replace("_", ":"): pairs for name, pairs in tests.items()}}


@pytest.mark.parametrize(
    ("statements", "context", "wanted"),
    [
        # actions: any case, wildcards, by exclusion
        ([{"Action": "EC2:deletevpc"}], {}, "allowed"),
        ([{"Action": ["s3:*", "ec2:Delete*"]}], {}, "allowed"),
        ([{"Action": "ec2:Delete"}], {}, "not allowed"),
        ([{"Action": "ec2:DeleteVp?"}], {}, "allowed"),
        # resources: whole ARNs, case matters, wildcards stay between colons
        ([{"Resource": VPC}], {}, "allowed"),
        ([{"Resource": VPC.upper()}], {}, "not allowed"),
        ([{"Resource": "arn:aws:ec2:*:*:vpc/*"}], {}, "allowed"),
        ([{"Resource": "arn:aws:ec2:*:vpc/*"}], {}, "not allowed"),
        ([{"Resource": "arn:aws:ec2:*:*:subnet/*"}], {}, "not allowed"),
        # a Deny beats every Allow, whatever their order
        ([{}, {"Effect": "Deny"}], {}, "denied"),
        ([{"Effect": "Deny", "Action": "ec2:CreateVpc"}, {}], {}, "allowed"),
        # an absent key: holds for nothing but a negation, IfExists, Null and ForAllValues
        ([when(StringEquals={"aws:ResourceTag/stack": "a"})], {}, "not allowed"),
        ([when(StringEquals={"aws:ResourceTag/stack": "a"})], TAGGED, "allowed"),
        ([when(StringEquals={"AWS:resourcetag/stack": ["b", "a"]})], TAGGED, "allowed"),
        ([when(StringEquals={"aws:ResourceTag/stack": "*"})], TAGGED, "not allowed"),
        ([when(StringLike={"aws:ResourceTag/stack": "?*"})], TAGGED, "allowed"),
        ([when(StringLike={"aws:ResourceTag/stack": "?*"})], {"aws:ResourceTag/stack": ""}, "not allowed"),
        ([when(StringNotEquals={"aws:ResourceTag/stack": "a"})], {}, "allowed"),
        ([when(StringNotEquals={"aws:ResourceTag/stack": ["b", "a"]})], TAGGED, "not allowed"),
        ([when(StringEqualsIfExists={"aws:ResourceTag/stack": "b"})], {}, "allowed"),
        ([when(StringEqualsIfExists={"aws:ResourceTag/stack": "b"})], TAGGED, "not allowed"),
        ([when(Null={"aws:ResourceTag/stack": "true"})], {}, "allowed"),
        ([when(Null={"aws:ResourceTag/stack": "true"})], TAGGED, "not allowed"),
        ([when(Null={"aws:ResourceTag/stack": "false"})], TAGGED, "allowed"),
        ([when(Bool={"aws:SecureTransport": "false"})], {"aws:SecureTransport": "false"}, "allowed"),
        ([when(ArnLike={"iam:PolicyARN": "arn:aws:iam::aws:policy/*"})], {"iam:PolicyARN": VPC}, "not allowed"),
        ([when(NumericLessThan={"s3:max-keys": "10"})], {"s3:max-keys": "9"}, "allowed"),
        # every pair of a condition must hold, and one of its values
        ([when(StringEquals={"aws:ResourceTag/stack": "a", "aws:ResourceTag/x": "y"})], TAGGED, "not allowed"),
        # keys of several values
        ([when(ForAllValues_StringEquals={"aws:TagKeys": ["a", "b"]})], {"aws:TagKeys": ["a"]}, "allowed"),
        ([when(ForAllValues_StringEquals={"aws:TagKeys": ["a"]})], {"aws:TagKeys": ["a", "b"]}, "not allowed"),
        ([when(ForAllValues_StringEquals={"aws:TagKeys": ["a"]})], {}, "allowed"),
        ([when(ForAnyValue_StringEquals={"aws:TagKeys": ["a"]})], {"aws:TagKeys": ["a", "b"]}, "allowed"),
        ([when(ForAnyValue_StringEquals={"aws:TagKeys": ["a"]})], {}, "not allowed"),
        # variables: filled in, or the statement does not apply
        ([when(StringEquals={"aws:ResourceTag/stack": "${aws:who}"})], {**TAGGED, "aws:who": "a"}, "allowed"),
        ([when(StringEquals={"aws:ResourceTag/stack": "${aws:who}"})], TAGGED, "not allowed"),
        ([when(StringEquals={"aws:ResourceTag/stack": "${aws:who, 'a'}"})], TAGGED, "allowed"),
        ([{"Resource": "arn:aws:ec2:*:*:vpc/vpc-${aws:n}"}], {"aws:n": "1"}, "allowed"),
        ([{"Resource": "arn:aws:ec2:*:*:vpc/vpc-${aws:n}"}], {}, "not allowed"),
        ([when(StringLike={"aws:ResourceTag/stack": "${*}"})], TAGGED, "not allowed"),
    ],
)
def test_a_statement_applies(statements: list[dict[str, Any]], context: dict[str, Any], wanted: str) -> None:
    assert verdict(Request("ec2:DeleteVpc", VPC, context), [document(*statements)]) == wanted


def test_what_is_excluded_does_not_apply() -> None:
    deny = {"Effect": "Deny", "NotAction": ["iam:*"], "Resource": "*"}
    elsewhere = {"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:ec2:*:*:vpc/*"}
    policies = [document({"Action": "*"}), {"Statement": [deny, elsewhere]}]
    assert verdict(Request("ec2:DeleteVpc", VPC), policies) == "denied"
    assert verdict(Request("iam:GetRole", "arn:aws:iam::1:role/r"), policies) == "denied"
    assert verdict(Request("iam:GetRole", VPC), policies) == "allowed"


def test_a_boundary_caps_and_gives_nothing() -> None:
    everything = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    request = Request("ec2:DeleteVpc", VPC)
    assert verdict(request, [everything], document({})) == "allowed"
    assert verdict(request, [everything], document({"Action": "s3:*"})) == "not allowed"
    assert verdict(request, [], everything) == "not allowed"
    assert verdict(request, [everything], document({}, {"Effect": "Deny"})) == "denied"


@pytest.mark.parametrize("statement", [{"Principal": "*"}, when(StringFancy={"a": "b"}), when(IpAddress={"a": "b"})])
def test_what_cannot_be_judged_does_not_pass(statement: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="found"):
        verdict(Request("ec2:DeleteVpc", VPC, {"a": "b"}), [document(statement)])


@given(st.lists(st.text("ab*?$/", max_size=4), min_size=6, max_size=6))
def test_an_arn_matches_itself_and_the_widest_pattern(parts: list[str]) -> None:
    arn = ":".join(parts)
    assert arn_like(arn.replace("?", "*"), arn.replace("*", "x").replace("?", "y"))
    assert arn_like(":".join("*" * 6), arn)
    assert not arn_like(":".join("*" * 5), arn)
