"""The commands of AWS that messages and docs give a person to type: a deployer may, or an administrator is named."""

import re

import pytest

from tests.permissions.asked import Asked, ec2
from tests.permissions.declared import BUCKETS, ROOT
from tests.permissions.documents import deployer
from tests.permissions.evaluator import verdict
from tests.permissions.facts import ACCOUNT, REGION

OURS = {"breakeven:stack": "k8s-32"}
ADMINISTRATORS = {
    "budgets create-budget",
    "iam attach-role-policy",
    "iam create-policy",
    "kms create-alias",
    "kms create-key",
    "s3 mb",
    "s3api put-bucket-versioning",
    "service-quotas request-service-quota-increase",
}


def _at(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


DEPLOYERS: dict[str, list[Asked]] = {
    "ec2 get-console-output": [Asked("ec2:GetConsoleOutput", *ec2("instance", "i-0"), {}, OURS)],
    "eks describe-addon": [Asked("eks:DescribeAddon", _at("eks", "addon/k8s-32/vpc-cni/0"), "addon", {}, OURS)],
    "eks update-kubeconfig": [Asked("eks:DescribeCluster", _at("eks", "cluster/k8s-32"), "cluster", {}, OURS)],
    "lambda get-account-settings": [Asked("lambda:GetAccountSettings")],
    "lambda invoke": [Asked("lambda:InvokeFunction", _at("lambda", "function:breakeven-base-janitor"), "function")],
    "lambda list-functions": [Asked("lambda:ListFunctions")],
    "resourcegroupstaggingapi get-resources": [Asked("tag:GetResources")],
    "s3 rm": [
        Asked("s3:ListBucket", f"arn:aws:s3:::{BUCKETS['data']}", "bucket"),
        Asked("s3:DeleteObject", f"arn:aws:s3:::{BUCKETS['data']}/a.csv", "object"),
    ],
    "scheduler list-schedules": [Asked("scheduler:ListSchedules")],
    "service-quotas get-service-quota": [Asked("servicequotas:GetServiceQuota")],
    "ssm describe-instance-information": [Asked("ssm:DescribeInstanceInformation")],
    "ssm start-session": [
        Asked("ssm:StartSession", *ec2("instance", "i-0"), {}, OURS),
        Asked("ssm:StartSession", _at("ssm", "document/SSM-SessionManagerRunShell"), "document"),
    ],
    "sts get-caller-identity": [Asked("sts:GetCallerIdentity")],
}
_TYPED = re.compile(r"(?:^ {4,}|[`(] ?)aws ([a-z0-9]+(?:-[a-z]+)* [a-z0-9-]+)", re.MULTILINE)


def test_every_command_to_type_is_a_deployers_or_an_administrators() -> None:
    texts = [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    for folder in ("bench", "breakeven", "infra", "ops", "plan", "stacks"):
        texts += sorted((ROOT / folder).rglob("*.py"))
    typed = {command for path in texts if path.is_file() for command in _TYPED.findall(path.read_text())}
    assert typed == {*DEPLOYERS, *ADMINISTRATORS}


@pytest.mark.parametrize("command", DEPLOYERS)
def test_a_deployer_may_type_it(command: str) -> None:
    assert [asked.action for asked in DEPLOYERS[command] if verdict(asked.request(), deployer()) != "allowed"] == []


def test_who_types_what_a_deployer_may_not_is_said() -> None:
    for path in ("docs/aws.md", "docs/first-run.md"):
        sections = (ROOT / path).read_text().split("\n## ")
        asking = [part for part in sections if ADMINISTRATORS & set(_TYPED.findall(part))]
        assert asking, path
        assert [part[:30] for part in asking if "administrator" not in part] == []
