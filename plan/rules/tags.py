"""Every resource says whose it is, of which stack, and until when; what a group launches says it too."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from plan.rules.compute import GROUP, INSTANCE, TEMPLATE
from plan.rules.violation import Violation
from plan.rules.wire import UNKNOWN, Resource, at, items
from plan.settings import Settings

OWNER = "breakeven:owner"
STACK = "breakeven:stack"
EXPIRY = "breakeven:expires-at"

_PROVIDER = "pulumi:providers:aws"
_LAUNCHED = ("instance", "volume", "network-interface")
_TAGGABLE_KINDS = {
    "batch": ("ComputeEnvironment", "JobDefinition", "JobQueue"),
    "cloudwatch": ("EventRule", "LogGroup", "MetricAlarm"),
    "dynamodb": ("Table",),
    "ebs": ("Volume",),
    "ec2": (
        *("DefaultSecurityGroup", "Eip", "Instance", "InternetGateway", "LaunchTemplate", "NatGateway"),
        *("NetworkInterface", "PlacementGroup", "RouteTable", "SecurityGroup", "Subnet", "Vpc", "VpcEndpoint"),
    ),
    "ecr": ("Repository",),
    "eks": ("AccessEntry", "Addon", "Cluster", "NodeGroup", "PodIdentityAssociation"),
    "iam": ("InstanceProfile", "OpenIdConnectProvider", "Policy", "Role"),
    "kms": ("Key",),
    "lambda": ("Function",),
    "lb": ("LoadBalancer", "TargetGroup"),
    "s3": ("Bucket", "BucketV2"),
    "scheduler": ("ScheduleGroup",),
    "secretsmanager": ("Secret",),
    "sfn": ("StateMachine",),
    "sns": ("Topic",),
    "sqs": ("Queue",),
    "ssm": ("Parameter",),
    "vpc": ("SecurityGroupEgressRule", "SecurityGroupIngressRule"),
}
TAGGABLE = frozenset(
    f"aws:{module}/{kind[0].lower()}{kind[1:]}:{kind}" for module, kinds in _TAGGABLE_KINDS.items() for kind in kinds
)
"""Tokens of the resources that carry tags; tests compare them with the provider's own classes."""


def required_tags(settings: Settings) -> tuple[str, ...]:
    """The tag keys that every resource of this stack bears. `base` is long-lived, so it has no expiry."""
    return (OWNER, STACK) if settings.program == "base" else (OWNER, STACK, EXPIRY)


def launch_tags(resource: Resource, settings: Settings) -> Iterator[Violation]:
    """What the provider's default tags don't reach: instances, volumes and interfaces of a launch template, root
    volumes of a single host, and an autoscaling group itself. Keys are plain, values may be outputs.

    A launch template names the stack and nothing that changes during its life: another owner or expiry would make a new
    version of it, for which EKS replaces every node. Both are then read from the group.
    """
    required = (STACK,) if resource.type == TEMPLATE else required_tags(settings)
    for where, tags in _launched(resource):
        if lacking := _lacking(tags, required):
            wanted = f"all of {', '.join(required)}, as plain keys"
            yield Violation("launch-tags", str(resource), f"{where} {lacking}", wanted, f"add them to {where}")
        if resource.type == TEMPLATE and (moving := sorted({OWNER, EXPIRY} & set(_pairs(tags)))):
            found = f"{where} with {', '.join(moving)}"
            wanted = "no tag that changes during the stack's life: EKS replaces every node for a changed template"
            yield Violation("launch-tags", str(resource), found, wanted, f"tag the group, and leave only {STACK} here")


def owned(resources: Sequence[Resource], settings: Settings) -> Iterator[Violation]:
    """Each taggable resource bears the required tags, by itself or by its provider's default tags.

    Default tags that contain an output are one unknown text in a preview: then they are judged later.
    """
    defaults = {resource.name: _default_tags(resource) for resource in resources if resource.type == _PROVIDER}
    for resource in resources:
        if resource.type not in TAGGABLE:
            continue
        inherited = _inherited(resource, defaults)
        own = at(resource.props, "tags")
        if own is UNKNOWN or inherited is UNKNOWN:
            continue
        given = {**_pairs(inherited), **_pairs(own)}
        if lacking := _lacking(given, required_tags(settings)):
            fix = "set them as the provider's default tags, or on the resource"
            wanted = f"all of {', '.join(required_tags(settings))}"
            yield Violation("owned", str(resource), f"tags {lacking}", wanted, fix)


def _launched(resource: Resource) -> Iterator[tuple[str, Any]]:
    if resource.type == TEMPLATE:
        given = {str(at(s, "resourceType")): at(s, "tags") for s in items(at(resource.props, "tagSpecifications"))}
        for kind in _LAUNCHED:
            yield f"tagSpecifications for {kind}", given.get(kind)
    elif resource.type == INSTANCE and at(resource.props, "launchTemplate") is None:
        whole = at(resource.props, "volumeTags")
        yield "volumeTags", at(resource.props, "rootBlockDevice", "tags") if whole is None else whole
    elif resource.type == GROUP:
        yield "tags of the group", {str(at(tag, "key")): at(tag, "value") for tag in items(at(resource.props, "tags"))}


def _inherited(resource: Resource, defaults: Mapping[str, Any]) -> Any:
    if resource.provider is not None:
        return defaults.get(resource.provider)
    return next((tags for name, tags in defaults.items() if name.startswith("default")), None)


def _default_tags(provider: Resource) -> Any:
    found = provider.props.get("defaultTags")
    if isinstance(found, str):  # a provider's own inputs travel as JSON texts
        found = json.loads(found)
    return at(found, "tags")


def _lacking(tags: Any, required: Sequence[str]) -> str | None:
    if tags is UNKNOWN:
        return "whose keys are unknown"
    given = _pairs(tags)
    missing = [key for key in required if given.get(key) in ("", None)]
    return f"without {', '.join(missing)}" if missing else None


def _pairs(tags: Any) -> Mapping[str, Any]:
    return tags if isinstance(tags, Mapping) else {}
