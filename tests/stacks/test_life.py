"""What changes during a stack's life (expiry, owner, address, quotas, budget) replaces and restarts nothing."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.aws.expiry import expires_after
from plan.rules import plain
from plan.settings import CONFIG_KEY, load
from tests.stacks.conftest import PERSON

ROOT = Path(__file__).parents[2]
COLLEAGUE = replace(
    PERSON,
    owner="colleague",
    client_cidr="198.51.100.7/32",
    vcpu_quota=1024,
    lambda_concurrency=2000,
    lambda_memory_mib=6016,
)

# Kind and input -> why a change of it ends and restarts nothing that runs. Tags come on top, for every kind: AWS
# changes them by a call of their own.
IN_PLACE = {
    ("aws:ec2/instance:Instance", "volumeTags"): "CreateTags on the volume",
    ("aws:eks/cluster:Cluster", "vpcConfig"): "only the public endpoint's client, which the test asserts",
    ("aws:scheduler/schedule:Schedule", "scheduleExpression"): "UpdateSchedule",
    ("aws:ssm/parameter:Parameter", "insecureValue"): "PutParameter",
    ("aws:secretsmanager/secretVersion:SecretVersion", "secretString"): "ignored: the first value stays",
    ("kubernetes:batch/v1:CronJob", "spec"): "only the schedule, which the test asserts",
}
DETAIL = {"vpcConfig": {"publicAccessCidrs"}, "spec": {"schedule"}}


def _stacks() -> Iterator[str]:
    for path in sorted(ROOT.glob("Pulumi.*.yaml")):
        if yaml.safe_load(path.read_text())["config"][CONFIG_KEY]["program"] != "embedded":
            yield path.name.removeprefix("Pulumi.").removesuffix(".yaml")


@pytest.fixture(scope="module", params=_stacks())
def declared(request: pytest.FixtureRequest, run: Callable[..., Any]) -> tuple[str, Mapping[tuple[str, str], Any]]:
    """A stack and what its program declares for the first owner."""
    return request.param, run(load(request.param, ROOT)).resources


def test_another_owner_expiry_and_budget_replace_nothing(declared: tuple[str, Any], run: Callable[..., Any]) -> None:
    """A new launch template version has EKS drain and replace every node in the middle of a run."""
    stack, before = declared
    settings = load(stack, ROOT)
    richer = settings.model_copy(update={"budget_usd": 2 * settings.budget_usd} if settings.budget_usd else {})
    colleague = replace(COLLEAGUE, expires_at=expires_after(0.5))
    after = run(richer, colleague).resources
    assert set(before) == set(after)
    for (kind, name), inputs in before.items():
        changed = set(_differing(inputs, after[kind, name])) - {"tags"}
        assert {(kind, key) for key in changed} <= set(IN_PLACE), f"{name}: {changed}"
        for key in changed & set(DETAIL):
            assert set(_differing(inputs[key], after[kind, name][key])) <= DETAIL[key], name


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*one, *other}):
        if plain({key: one.get(key)}) != plain({key: other.get(key)}):
            yield key


def test_no_rule_is_declared_twice_or_beside_rules_in_line(declared: tuple[str, Any]) -> None:
    """EC2 refuses the second of two equal rules; a group with rules in line takes those apart from it away."""
    resources = declared[1]
    rules = [
        (kind, i["securityGroupId"], i["fromPort"], i["toPort"], i.get("cidrIpv4"), i.get("referencedSecurityGroupId"))
        for (kind, _), i in resources.items()
        if kind.startswith("aws:vpc/securityGroup")
    ]
    assert len(rules) == len(set(rules))
    groups = [i for (kind, _), i in resources.items() if kind == "aws:ec2/securityGroup:SecurityGroup"]
    assert not [group for group in groups if "ingress" in group or "egress" in group]
