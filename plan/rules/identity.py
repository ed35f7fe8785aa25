"""Least privilege: what a policy document may allow."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from plan.rules.violation import Violation
from plan.rules.wire import UNKNOWN, Resource, at, items
from plan.settings import Settings

BOUNDARY = "breakeven-boundary"
"""The managed policy that caps every role (docs/permissions/boundary.json); an administrator makes it, once."""

ROLE_PATH = "/breakeven/"
"""Where every role and instance profile lives, so that a deployer's policy can name them without the stacks' names."""

POLICIES = {
    "aws:iam/policy:Policy": "policy",
    "aws:iam/rolePolicy:RolePolicy": "policy",
    "aws:iam/userPolicy:UserPolicy": "policy",
    "aws:iam/groupPolicy:GroupPolicy": "policy",
    "aws:iam/role:Role": "assumeRolePolicy",
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
    "aws:sqs/queuePolicy:QueuePolicy": "policy",
    "aws:sns/topicPolicy:TopicPolicy": "policy",
    "aws:ecr/repositoryPolicy:RepositoryPolicy": "policy",
    "aws:secretsmanager/secretPolicy:SecretPolicy": "policy",
}
_ATTACHMENTS = ("aws:iam/rolePolicyAttachment:", "aws:iam/userPolicyAttachment:", "aws:iam/policyAttachment:")

_READS = re.compile(r"(Get|List|Describe|BatchGet|BatchCheck|Head|Query|Scan|Search|Lookup|Select|View)")
_TOO_WIDE = re.compile(r"policy/(.*/)?(AdministratorAccess|PowerUserAccess|IAMFullAccess|\w*FullAccess\w*)$")
_TAG_CONDITION = re.compile(r"^(aws|ec2|autoscaling|eks|lambda|s3|ssm|secretsmanager):(ResourceTag|RequestTag)/", re.I)

RESOURCELESS = frozenset(
    {
        # Session Manager's agent speaks of its own host only, and its actions take no resource (AWS service
        # authorization reference: Amazon Message Gateway Service, Systems Manager).
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
        "ssm:UpdateInstanceInformation",
    }
)
"""Writing actions for which AWS knows no resource to name: `*` is all that can be said."""


def least_privilege(resource: Resource, settings: Settings) -> Iterator[Violation]:
    """`*` in a writing statement only with a condition on tags; nobody unnamed as principal; no managed policy that
    gives everything. A document that is not known yet is judged later; one that is no JSON is refused."""
    if resource.type.startswith(_ATTACHMENTS):
        arn = resource.props.get("policyArn")
        if isinstance(arn, str) and _TOO_WIDE.search(arn):
            yield _refused(resource, arn, "a policy of what is needed", "write the statements")
        return
    for document in _documents(resource):
        if document is UNKNOWN:
            continue
        parsed = _parsed(document)
        if parsed is None:
            found = f"a policy that is no JSON object: {document!r:.60}"
            yield _refused(resource, found, "a policy document", "write it with json.dumps")
            continue
        for statement in items(parsed.get("Statement")):
            if isinstance(statement, Mapping) and statement.get("Effect") == "Allow":
                yield from _statement(resource, statement)


def bounded_role(resource: Resource, settings: Settings) -> Iterator[Violation]:
    """A role carries the boundary and lives below the path, or the deployer's policy would refuse it halfway through a
    deploy. The boundary's ARN holds the account, so it is judged once that is known."""
    if resource.type != "aws:iam/role:Role":
        return
    found = resource.props.get("permissionsBoundary")
    if found is not UNKNOWN and not str(found).endswith(f":policy/{BOUNDARY}"):
        yield _unbounded(resource, f"the permissions boundary {found}", f"the policy {BOUNDARY}")
    if resource.props.get("path") != ROLE_PATH:
        yield _unbounded(resource, f"the path {resource.props.get('path', '/')}", ROLE_PATH)


def documents(resource: Resource) -> list[Mapping[str, Any]]:
    """The policy documents of a resource that are known and readable."""
    return [p for d in _documents(resource) if d is not UNKNOWN and (p := _parsed(d)) is not None]


def _documents(resource: Resource) -> Iterator[Any]:
    if (key := POLICIES.get(resource.type)) is not None and (found := resource.props.get(key)) is not None:
        yield found
    if resource.type == "aws:iam/role:Role":
        for inline in items(resource.props.get("inlinePolicies")):
            yield at(inline, "policy")


def _parsed(document: Any) -> Mapping[str, Any] | None:
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except ValueError:
            return None
    return document if isinstance(document, Mapping) else None


def _statement(resource: Resource, statement: Mapping[str, Any]) -> Iterator[Violation]:
    conditions = _conditions(statement)
    if "NotAction" in statement or "NotResource" in statement or "NotPrincipal" in statement:
        yield _refused(resource, "an Allow by exclusion (Not...)", "what is allowed, named", "list it")
    if "*" in _principals(statement) and not conditions:
        yield _refused(resource, "an Allow for every principal", "a named principal", "name it, or deny instead")
    if "Principal" in statement:  # of a trust or resource policy: its resource is the one it is attached to
        return
    writes = [action for action in items(statement.get("Action")) if _writes(action)]
    everything = [action for action in writes if action.split(":")[-1] == "*" or action == "*"]
    tagged = any(_TAG_CONDITION.match(key) for key in conditions)
    if tagged:
        return
    wild = [target for target in items(statement.get("Resource")) if isinstance(target, str) and _any_resource(target)]
    bare = [action for action in writes if action not in RESOURCELESS]
    if everything:
        found = f"Action {', '.join(everything)}"
        yield _refused(resource, found, "named actions, or a condition on tags", "list the actions that are used")
    elif wild and bare:
        found = f"{', '.join(bare)} on {', '.join(wild)} without a condition on tags"
        wanted = "named resources, or a condition such as aws:ResourceTag/breakeven:stack"
        yield _refused(resource, found, wanted, "name the resources or add the condition")


def _writes(action: Any) -> bool:
    return isinstance(action, str) and not _READS.match(action.split(":")[-1])


def _any_resource(arn: str) -> bool:
    """Whether an ARN names no resource: `*`, or a type and `*` (instance/*, log-group:*), or every bucket."""
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return "*" in arn
    service, rest = parts[2], parts[5]
    return rest.startswith("*") or (service != "s3" and re.fullmatch(r"[\w-]+[/:]\*+", rest) is not None)


def _conditions(statement: Mapping[str, Any]) -> list[str]:
    """Keys of the conditions that restrict: equal or like something said, and no way round for an absent key."""
    return [
        str(key)
        for test, pairs in _mapping(statement.get("Condition")).items()
        if isinstance(pairs, Mapping) and "Not" not in test and not test.endswith("IfExists")
        for key, value in pairs.items()
        if "*" not in items(value)
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _principals(statement: Mapping[str, Any]) -> list[Any]:
    principal = statement.get("Principal")
    if isinstance(principal, Mapping):
        return [name for names in principal.values() for name in items(names)]
    return items(principal)


def _refused(resource: Resource, found: str, wanted: str, fix: str) -> Violation:
    return Violation("least-privilege", str(resource), found, wanted, fix)


def _unbounded(resource: Resource, found: str, wanted: str) -> Violation:
    return Violation("bounded-role", str(resource), found, wanted, "make it with infra.aws.role.bounded_role")
