"""The shipped policies of a deployer: enough for all that was recorded, too little for all that must not be."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from plan.rules.identity import BOUNDARY
from tests.permissions.asked import Asked, ec2
from tests.permissions.documents import SHIPPED, boundary, deployer
from tests.permissions.evaluator import verdict
from tests.permissions.facts import ACCOUNT
from tests.permissions.recorder import FOLDER, read

LIMIT = 6144
"""Characters of a managed policy, white space not counted (IAM user guide, quotas)."""

RECORDED = sorted(FOLDER.glob("*.jsonl"))
OURS, THEIRS = {"breakeven:stack": "bench-32"}, {"team": "billing"}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/breakeven/bench-32-driver-0000000"
CAPPED = {"iam:PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/{BOUNDARY}"}
DEPLOYER = f"arn:aws:iam::{ACCOUNT}:policy/breakeven-deployer-identity"


def at(service: str, rest: str) -> str:
    """An ARN in this account and region."""
    return f"arn:aws:{service}:us-east-1:{ACCOUNT}:{rest}"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.json")), ids=lambda path: path.stem)
def test_a_document_fits_into_a_managed_policy(path: Path) -> None:
    text = path.read_text()
    assert len(re.sub(r"\s", "", text)) <= LIMIT
    sids = [statement["Sid"] for statement in json.loads(text)["Statement"]]
    assert len(set(sids)) == len(sids)


def test_the_region_is_in_one_place() -> None:
    texts = [path.read_text() for path in sorted(SHIPPED.glob("*.json"))]
    assert sum(len(re.findall(r"\b[a-z]{2}-[a-z]+-\d\b", text)) for text in texts) == 1


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_was_recorded_is_allowed(path: Path) -> None:
    refused = [
        f"{verdict(asked.request(), deployer())}: {json.dumps(asked.line())}"
        for _, asked in read(path)
        if verdict(asked.request(), deployer()) != "allowed"
    ]
    assert refused == []


# What a deployer must not: made to look as near as can be to what it may.
FORBIDDEN: list[Asked] = [
    # launching without the tag, from a stranger's image, in a stranger's subnet, with a stranger's interface
    Asked("ec2:RunInstances", *ec2("instance")),
    Asked("ec2:RunInstances", *ec2("instance"), {"breakeven:stack": ""}),
    Asked("ec2:RunInstances", *ec2("volume"), {"Name": "x"}),
    Asked("ec2:RunInstances", "arn:aws:ec2:us-east-1::image/ami-0", "image", OURS, keys={"ec2:Owner": "999"}),
    Asked("ec2:RunInstances", *ec2("subnet", "subnet-0"), OURS, THEIRS),
    Asked("ec2:RunInstances", *ec2("network-interface", "eni-0"), keys={"ec2:NetworkInterfaceID": "eni-0"}),
    Asked("ec2:RunInstances", *ec2("launch-template", "lt-0"), OURS, THEIRS),
    # making in a stranger's network, or without the tag
    Asked("ec2:CreateVpc", *ec2("vpc")),
    Asked("ec2:CreateSubnet", *ec2("vpc", "vpc-0"), OURS, THEIRS),
    Asked("ec2:CreateRoute", *ec2("route-table", "rtb-0"), OURS, THEIRS),
    Asked("ec2:AuthorizeSecurityGroupIngress", *ec2("security-group", "sg-0"), OURS, THEIRS),
    Asked("autoscaling:CreateAutoScalingGroup", at("autoscaling", "autoScalingGroup:*:autoScalingGroupName/web")),
    # a tag that would make a stranger's resource ours
    Asked("ec2:CreateTags", *ec2("instance", "i-0"), OURS, THEIRS),
    Asked("ec2:CreateTags", *ec2("vpc", "vpc-0"), OURS),
    Asked(
        "autoscaling:CreateOrUpdateTags",
        at("autoscaling", "autoScalingGroup:*:autoScalingGroupName/web"),
        "autoScalingGroup",
        OURS,
        THEIRS,
    ),
    Asked("secretsmanager:TagResource", at("secretsmanager", "secret:billing-AbCdEf"), "Secret", OURS, THEIRS),
    Asked("eks:TagResource", at("eks", "cluster/production"), "cluster", OURS, THEIRS),
    Asked("lambda:TagResource", at("lambda", "function:billing"), "function", OURS, THEIRS),
    Asked("iam:TagRole", f"arn:aws:iam::{ACCOUNT}:role/billing", "role", OURS),
    # ending and changing what is a stranger's
    Asked("ec2:TerminateInstances", *ec2("instance", "i-0"), {}, THEIRS),
    Asked("ec2:ModifyInstanceAttribute", *ec2("instance", "i-0")),
    Asked("ec2:DetachNetworkInterface", *ec2("network-interface", "eni-0")),
    Asked("autoscaling:SetDesiredCapacity", at("autoscaling", "autoScalingGroup:*:autoScalingGroupName/web")),
    Asked("eks:DeleteCluster", at("eks", "cluster/k8s-32"), "cluster", {}, THEIRS),
    Asked("lambda:UpdateFunctionCode", at("lambda", "function:billing"), "function", {}, OURS),
    Asked("ssm:SendCommand", *ec2("instance", "i-0"), {}, THEIRS),
    Asked("ssm:SendCommand", "arn:aws:ssm:us-east-1::document/AWS-RunRemoteScript", "document"),
    Asked("ssm:GetParameter", at("ssm", "parameter/billing/password"), "parameter"),
    Asked("scheduler:UpdateSchedule", at("scheduler", "schedule/default/billing"), "schedule"),
    Asked("logs:DeleteLogGroup", at("logs", "log-group:/aws/lambda/billing"), "log-group"),
    Asked("ecr:BatchGetImage", at("ecr", "repository/billing"), "repository"),
    # a stranger's secret, whatever tag it has; one of ours whose tag is gone
    Asked("secretsmanager:GetSecretValue", at("secretsmanager", "secret:billing-AbCdEf"), "Secret", {}, OURS),
    Asked("secretsmanager:GetSecretValue", at("secretsmanager", "secret:breakeven/x-AbCdEf"), "Secret", {}, THEIRS),
    Asked("kms:Decrypt", at("kms", "key/0"), "key"),
    # buckets: another's; the state's and the results', which stay
    Asked("s3:GetObject", "arn:aws:s3:::billing/rows.csv", "object"),
    Asked("s3:ListBucket", "arn:aws:s3:::billing", "bucket"),
    Asked("s3:PutBucketPolicy", "arn:aws:s3:::billing", "bucket"),
    Asked("s3:DeleteBucket", "arn:aws:s3:::breakeven-state-ada", "bucket"),
    Asked("s3:PutBucketPolicy", "arn:aws:s3:::breakeven-state-ada", "bucket"),
    Asked("s3:DeleteBucket", "arn:aws:s3:::breakeven-base-results-0000000", "bucket"),
    Asked("s3:DeleteObjectVersion", "arn:aws:s3:::breakeven-base-results-0000000/rows/1", "object"),
    # a role without the boundary, or under another; outside the path; the boundary taken off or changed
    Asked("iam:CreateRole", ROLE, "role", OURS),
    Asked("iam:CreateRole", ROLE, "role", OURS, keys={"iam:PermissionsBoundary": DEPLOYER}),
    Asked("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/bench-32-driver", "role", OURS, keys=CAPPED),
    Asked("iam:PutRolePolicy", ROLE, "role"),
    Asked("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/billing", "role", keys=CAPPED),
    Asked("iam:DeleteRolePermissionsBoundary", ROLE, "role", keys=CAPPED),
    Asked("iam:PutRolePermissionsBoundary", ROLE, "role", keys=CAPPED),
    Asked("iam:UpdateAssumeRolePolicy", ROLE, "role", keys=CAPPED),
    Asked("iam:CreatePolicyVersion", CAPPED["iam:PermissionsBoundary"], "policy"),
    Asked("iam:DeletePolicy", CAPPED["iam:PermissionsBoundary"], "policy"),
    # its own policies, other principals
    Asked("iam:CreatePolicyVersion", DEPLOYER, "policy"),
    Asked("iam:CreatePolicy", f"arn:aws:iam::{ACCOUNT}:policy/more", "policy"),
    Asked("iam:AttachUserPolicy", f"arn:aws:iam::{ACCOUNT}:user/ada", "user"),
    Asked("iam:PutUserPolicy", f"arn:aws:iam::{ACCOUNT}:user/ada", "user"),
    Asked("iam:CreateAccessKey", f"arn:aws:iam::{ACCOUNT}:user/root-like", "user"),
    Asked("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/admin", "role"),
    *(
        Asked("iam:AttachRolePolicy", ROLE, "role", keys={**CAPPED, "iam:PolicyARN": f"arn:aws:iam::{policy}"})
        for policy in ("aws:policy/AdministratorAccess", "aws:policy/IAMFullAccess", f"{ACCOUNT}:policy/mine")
    ),
    Asked("iam:PassRole", ROLE, "role", keys={"iam:PassedToService": "ecs-tasks.amazonaws.com"}),
    Asked("iam:PassRole", ROLE, "role"),
    Asked(
        "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", "role", keys={"iam:PassedToService": "ec2.amazonaws.com"}
    ),
    Asked(
        "iam:CreateServiceLinkedRole",
        f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/x/x",
        "role",
        keys={"iam:AWSServiceName": "organizations.amazonaws.com"},
    ),
    # another region
    Asked("ec2:RunInstances", *ec2("instance"), OURS, region="eu-west-1"),
    Asked("ec2:CreateVpc", *ec2("vpc"), OURS, region="eu-west-1"),
    Asked("s3:CreateBucket", "arn:aws:s3:::breakeven-x", "bucket", region="eu-west-1"),
    Asked("lambda:InvokeFunction", at("lambda", "function:breakeven-x"), "function", region="eu-west-1"),
]


@pytest.mark.parametrize("asked", FORBIDDEN, ids=lambda asked: f"{asked.action} {asked.resource.split(':', 5)[-1]}")
def test_what_a_deployer_must_not(asked: Asked) -> None:
    assert verdict(asked.request(), deployer()) != "allowed"


# The same with what each lacks, so that it is refused for that and not by a slip of the table.
NEAR: list[Asked] = [
    # Gone since the expiry, so that it bears no tag: a refusal, instead of "not found", would end the destroy.
    Asked("eks:DeleteNodegroup", at("eks", "nodegroup/k8s-32/k8s-32-nodes/0"), "nodegroup"),
    Asked("ec2:RunInstances", *ec2("instance"), OURS),
    Asked("ec2:RunInstances", *ec2("subnet", "subnet-0"), {}, OURS),
    Asked("ec2:RunInstances", *ec2("network-interface")),
    Asked("ec2:CreateVpc", *ec2("vpc"), OURS),
    Asked("ec2:CreateTags", *ec2("instance", "i-0"), {"breakeven:owner": "ada"}, OURS),
    Asked("ec2:TerminateInstances", *ec2("instance", "i-0"), {}, OURS),
    Asked("ec2:DeleteNetworkInterface", *ec2("network-interface", "eni-0")),
    Asked("secretsmanager:GetSecretValue", at("secretsmanager", "secret:breakeven/x-AbCdEf"), "Secret", {}, OURS),
    Asked("kms:Decrypt", at("kms", "key/0"), "key", keys={"kms:ResourceAliases": ["alias/breakeven-state"]}),
    *(
        Asked(f"s3:{verb}Object", "arn:aws:s3:::breakeven-state-ada/.pulumi/x", "object")
        for verb in ("Get", "Put", "Delete")
    ),
    Asked("s3:ListBucket", "arn:aws:s3:::breakeven-state-ada", "bucket"),
    # a push, by Docker
    *(
        Asked(f"ecr:{action}", at("ecr", "repository/breakeven-base-cluster-0000000"), "repository")
        for action in ("BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload")
    ),
    Asked("iam:CreateRole", ROLE, "role", OURS, keys=CAPPED),
    Asked("iam:PutRolePolicy", ROLE, "role", keys=CAPPED),
    Asked("iam:PassRole", ROLE, "role", keys={"iam:PassedToService": "ec2.amazonaws.com"}),
    Asked("ec2:DescribeInstances", region="eu-west-1"),
    Asked("iam:CreateRole", ROLE, "role", OURS, keys=CAPPED, region="us-east-1"),
]


@pytest.mark.parametrize("asked", NEAR, ids=lambda asked: f"{asked.action} {asked.resource.split(':', 5)[-1]}")
def test_what_is_near_and_allowed(asked: Asked) -> None:
    assert verdict(asked.request(), deployer()) == "allowed"


# Whoever may write a role's policies has all that the boundary lets through: nothing here.
ADMINISTRATOR: dict[str, Any] = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
CAPPED_AWAY: list[Asked] = [
    Asked("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/x", "user"),
    Asked("iam:PutRolePolicy", ROLE, "role", keys=CAPPED),
    Asked("iam:PassRole", ROLE, "role", keys={"iam:PassedToService": "ec2.amazonaws.com"}),
    Asked("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/admin", "role"),
    Asked("ec2:RunInstances", *ec2("instance"), OURS),
    Asked("ec2:TerminateInstances", *ec2("instance", "i-0"), {}, THEIRS),
    Asked("ec2:CreateTags", *ec2("instance", "i-0"), OURS, THEIRS),
    Asked("ec2:AttachNetworkInterface", *ec2("instance", "i-0"), {}, THEIRS),
    Asked("lambda:InvokeFunction", at("lambda", "function:billing"), "function"),
    Asked("lambda:UpdateFunctionCode", at("lambda", "function:breakeven-base-janitor"), "function"),
    Asked("secretsmanager:GetSecretValue", at("secretsmanager", "secret:billing-AbCdEf"), "Secret", {}, OURS),
    Asked("s3:GetObject", "arn:aws:s3:::billing/rows.csv", "object"),
    Asked("s3:GetObject", "arn:aws:s3:::breakeven-state-ada/.pulumi/stacks/base.json", "object"),
    Asked("s3:DeleteBucket", "arn:aws:s3:::breakeven-base-data-0000000", "bucket"),
    Asked("s3:DeleteObjectVersion", "arn:aws:s3:::breakeven-base-results-0000000/rows/1", "object"),
    Asked("ssm:GetParameter", at("ssm", "parameter/billing/password"), "parameter"),
    Asked("ssm:SendCommand", *ec2("instance", "i-0"), {}, OURS),
    Asked("eks:DeleteNodegroup", at("eks", "nodegroup/production/a/0"), "nodegroup", {}, THEIRS),
]


@pytest.mark.parametrize("asked", CAPPED_AWAY, ids=lambda asked: f"{asked.action} {asked.resource.split(':', 5)[-1]}")
def test_what_no_role_can_be_given(asked: Asked) -> None:
    assert verdict(asked.request(), [ADMINISTRATOR]) == "allowed"
    assert verdict(asked.request(), [ADMINISTRATOR], boundary()) != "allowed"
