"""What a killed deploy was making is taken into the state, by an identifier that moto's AWS has; against moto."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from ops.adopt import AGAIN, BY_LOOK, BY_NAME, BY_TAG, identity
from ops.recover import adopt, revoke_unknown
from plan.rules.tags import STACK
from plan.settings import load
from plan.stack_file import ROOT, known
from tests.stacks.conftest import run_program

REGION, NAME = "us-east-1", "bench-32"
VPC, TEMPLATE = "aws:ec2/vpc:Vpc", "aws:ec2/launchTemplate:LaunchTemplate"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from moto import mock_aws

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("ec2", REGION)


def test_every_kind_that_a_program_declares_is_adopted_or_made_again() -> None:
    """A kind without either is one whose second making fails, or stays behind."""
    stacks = [load(stack) for stack in ("base", "multiprocessing", "k8s-32") if stack in known(ROOT)]
    declared = {kind for settings in stacks for kind, _ in run_program(settings).resources}
    applied = ("breakeven:", "pulumi:", "kubernetes:")
    cloud = {kind for kind in declared if not kind.startswith(applied)}
    assert cloud - {*BY_NAME, *BY_TAG, *BY_LOOK, *AGAIN} == set()


def _client(service: str) -> Any:
    make: Any = boto3.client
    return make(service, region_name=REGION)


def _vpc(ec2: Any, **tags: str) -> str:
    spec = [{"ResourceType": "vpc", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]
    return str(ec2.create_vpc(CidrBlock="10.42.0.0/16", TagSpecifications=spec)["Vpc"]["VpcId"])


def test_what_has_no_name_is_found_by_its_tags_and_not_twice(ec2: Any) -> None:
    resource = {"type": VPC, "inputs": {"cidrBlock": "10.42.0.0/16", "tags": {"Name": NAME}}}
    assert identity(resource, NAME, set(), _client) is None
    _vpc(ec2, **{STACK: "bench-128", "Name": NAME})
    made = _vpc(ec2, **{STACK: NAME, "Name": NAME})
    assert identity(resource, NAME, set(), _client) == made
    assert identity(resource, NAME, {made}, _client) is None, "the state has that one already"


def test_a_rule_is_found_by_what_it_allows(ec2: Any) -> None:
    vpc = _vpc(ec2)
    group, peer = (
        ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"] for name in ("a", "b")
    )
    allowed = {"IpProtocol": "tcp", "FromPort": 6379, "ToPort": 6379, "UserIdGroupPairs": [{"GroupId": peer}]}
    made = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[allowed])["SecurityGroupRules"][0]
    inputs = {"securityGroupId": group, "referencedSecurityGroupId": peer, "fromPort": 6379.0, "toPort": 6379.0}
    for changed, found in (({}, made["SecurityGroupRuleId"]), ({"toPort": 6380.0}, None), ({"fromPort": 1.0}, None)):
        assert identity({"type": INGRESS, "inputs": {**inputs, **changed}}, NAME, set(), _client) == found


@pytest.mark.parametrize(
    ("kind", "inputs", "found"),
    [
        ("aws:scheduler/schedule:Schedule", {"name": "bench-32-end-1234567"}, "default/bench-32-end-1234567"),
        ("aws:eks/nodeGroup:NodeGroup", {"clusterName": "k8s", "nodeGroupName": "k8s-nodes"}, "k8s:k8s-nodes"),
        ("aws:iam/role:Role", {"name": "r", "__defaults": ["name"]}, "r"),
        ("aws:iam/role:Role", {}, None),
        (TEMPLATE, {"name": "of-no-one"}, None),
        ("aws:secretsmanager/secret:Secret", {"name": "breakeven/none"}, None),
        ("aws:iam/rolePolicy:RolePolicy", {"name": "p", "role": "r"}, None),
    ],
)
def test_an_identifier_is_as_the_provider_reads_it(ec2: Any, kind: str, inputs: Any, found: str | None) -> None:
    assert identity({"type": kind, "inputs": inputs}, NAME, set(), _client) == found


def _state(*pending: dict[str, Any]) -> dict[str, Any]:
    provider = {"urn": "u::aws", "type": "pulumi:providers:aws", "id": "p", "inputs": {"region": REGION}}
    return {"deployment": {"resources": [provider], "pending_operations": list(pending)}}


def test_a_state_takes_in_what_was_made_and_forgets_what_was_not(ec2: Any) -> None:
    made = _vpc(ec2, **{STACK: NAME, "Name": NAME})
    inputs = {"tags": {"Name": NAME}}
    vpc = {"urn": "u::vpc", "type": VPC, "custom": True, "inputs": inputs}
    unmade = {"urn": "u::template", "type": TEMPLATE, "custom": True, "inputs": {"name": "of-no-one"}}
    deleting = {"urn": "u::other", "type": VPC, "custom": True, "id": "vpc-1"}
    state = _state(
        {"type": "creating", "resource": vpc},
        {"type": "creating", "resource": unmade},
        {"type": "deleting", "resource": deleting},
    )
    assert adopt(state, NAME, boto3.Session()) == {"u::vpc": made, "u::template": None}
    assert state["deployment"]["resources"][1:] == [{**vpc, "id": made, "outputs": {}}]
    assert "pending_operations" not in state["deployment"]
    assert adopt(state, NAME, boto3.Session()) is None, "a second recovery has nothing to take in"


def test_what_was_being_made_anew_leaves_the_old_to_be_deleted(ec2: Any) -> None:
    made = _vpc(ec2, **{STACK: NAME, "Name": NAME})
    vpc = {"urn": "u::vpc", "type": VPC, "custom": True, "inputs": {"tags": {"Name": NAME}}}
    state = _state({"type": "creating", "resource": vpc})
    state["deployment"]["resources"].append({**vpc, "id": "vpc-old"})
    adopt(state, NAME, boto3.Session())
    old, new = state["deployment"]["resources"][1:]
    assert (old["id"], old["delete"]) == ("vpc-old", True)
    assert (new["id"], "delete" in new) == (made, False)


def test_a_rule_that_no_state_knows_is_revoked_and_only_that(ec2: Any) -> None:
    """Or every `up` ends with InvalidPermission.Duplicate."""
    group = ec2.create_security_group(GroupName="a", Description="a", VpcId=_vpc(ec2))["GroupId"]
    tags = [{"ResourceType": "security-group-rule", "Tags": [{"Key": STACK, "Value": NAME}]}]
    made = {}
    for port in (1, 2):
        allowed = [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "10.42.0.0/16"}]}]
        for ask in (ec2.authorize_security_group_ingress, ec2.authorize_security_group_egress):
            answer = ask(GroupId=group, IpPermissions=allowed, TagSpecifications=tags if port == 1 else [])
            made[ask.__name__, port] = answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    ingress, egress = (made[f"authorize_security_group_{way}", 1] for way in ("ingress", "egress"))
    state = _state()
    state["deployment"]["resources"].append({"urn": "u::rule", "type": INGRESS, "id": ingress})
    assert revoke_unknown(state, NAME, boto3.Session()) == [egress]
    left = {rule["SecurityGroupRuleId"] for rule in ec2.describe_security_group_rules()["SecurityGroupRules"]}
    assert {ingress, made["authorize_security_group_egress", 2]} <= left
    assert egress not in left
    assert revoke_unknown(state, "bench-128", boto3.Session()) == []
