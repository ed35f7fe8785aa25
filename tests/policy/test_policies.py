"""The rules as policies of the engine's SDK."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi_policy import (
    EnforcementLevel,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.policy import PolicyCustomTimeouts, PolicyResourceOptions
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from plan.rules import RESOURCE_RULES, STACK_RULES
from plan.settings import CONFIG_KEY
from policy.policies import policies

ROOT = Path(__file__).parents[2]
OPTIONS = PolicyResourceOptions(False, [], None, [], PolicyCustomTimeouts(0, 0, 0), [])


@pytest.fixture(autouse=True)
def stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack's config, as the engine hands it to a pack."""
    settings = yaml.safe_load((ROOT / "Pulumi.bench-32.yaml").read_text())["config"][CONFIG_KEY]
    monkeypatch.setattr(pulumi.Config, "require_object", lambda self, key: {"settings": settings}[key])
    monkeypatch.setattr(pulumi.Config, "get", lambda self, key: None)
    monkeypatch.setattr(pulumi, "get_stack", lambda: "bench-32")


def refused(name: str, *resources: tuple[str, str, dict[str, Any]]) -> list[str]:
    """What one policy reports of these resources, given as the SDK gives them."""
    said: list[str] = []

    def report(message: str, urn: str | None = None) -> None:
        said.append(message)

    _run(name, resources, report)
    return said


def _run(name: str, resources: tuple[tuple[str, str, dict[str, Any]], ...], report: ReportViolation) -> None:
    (policy,) = (policy for policy in policies() if policy.name == name)
    if isinstance(policy, ResourceValidationPolicy):
        for token, title, props in resources:
            proxy = unknown_checking_proxy(props)
            policy.validate(ResourceValidationArgs(token, proxy, "urn", title, OPTIONS, None), report)
    elif isinstance(policy, StackValidationPolicy):
        seen = [
            PolicyResource(token, unknown_checking_proxy(props), "urn", title, OPTIONS, None, None, [], {})
            for token, title, props in resources
        ]
        policy.validate(StackValidationArgs(seen), report)


def test_every_rule_is_a_mandatory_policy() -> None:
    """The SDK's own default is advisory, which stops nothing."""
    found = policies()
    assert {policy.enforcement_level for policy in found} == {EnforcementLevel.MANDATORY}
    assert len({policy.name for policy in found}) == len(found) == 1 + len(RESOURCE_RULES) + len(STACK_RULES)
    assert all(policy.description.endswith(".") for policy in found)


def test_a_resource_is_judged_by_what_the_engine_sends() -> None:
    open_ = {"ingress": [{"cidrBlocks": ["0.0.0.0/0"], "fromPort": 22.0}]}
    (said,) = refused("public-ingress", ("aws:ec2/securityGroup:SecurityGroup", "g", open_))
    assert said.startswith("SecurityGroup 'g': found cidrBlocks 0.0.0.0/0")


def test_an_unknown_value_does_not_turn_a_refusal_into_advice() -> None:
    unknown = {"ingress": [{"cidrBlocks": [UNKNOWN_STRING_VALUE]}]}
    assert refused("public-ingress", ("aws:ec2/securityGroup:SecurityGroup", "g", unknown))
    policy = {"policy": UNKNOWN_STRING_VALUE}
    assert refused("least-privilege", ("aws:iam/rolePolicy:RolePolicy", "p", policy)) == []


def test_the_stack_is_judged_as_a_whole() -> None:
    said = refused("private-buckets", ("aws:s3/bucket:Bucket", "b", {"acl": UNKNOWN_STRING_VALUE}))
    assert len(said) == 3
    tags = {"breakeven:owner": "a", "breakeven:stack": "b", "breakeven:expires-at": "c"}
    provider = ("pulumi:providers:aws", "default_7", {"defaultTags": json.dumps({"tags": tags})})
    assert refused("owned", provider, ("aws:sqs/queue:Queue", "q", {})) == []
    assert refused("owned", ("aws:sqs/queue:Queue", "q", {}))


def test_settings_are_judged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused("settings") == []
    monkeypatch.setattr(pulumi.Config, "require_object", lambda self, key: {"program": "bench"})
    assert any("set ttlH" in message for message in refused("settings"))
