"""Hosts, groups and functions: what settings promised of their type, size and number, and how they are reached."""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from catalog.instances import UnknownInstanceTypeError, instance
from plan import sizing
from plan.rules.bounds import LAMBDA_MEMORY_MIB, LAMBDA_TIMEOUT_S
from plan.rules.machines import named_types
from plan.rules.violation import Violation
from plan.rules.wire import UNKNOWN, Resource, at, items
from plan.settings import Settings

INSTANCE = "aws:ec2/instance:Instance"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
GROUP = "aws:autoscaling/group:Group"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
FUNCTION = "aws:lambda/function:Function"
BUILT = "docker-build:index:Image"

LITHOPS_WORKER = "lithops-worker"
"""In the name that Lithops calls, behind the stack's name: what bears it is a worker, and has the worker's size."""

LAMBDA_DEFAULTS = {"memorySize": 128, "timeout": 3}
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_FROM = re.compile(r"^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE | re.MULTILINE)
# Registry host, path, and an optional tag or digest: what a boot script would pull.
_REGISTRY_IMAGE = re.compile(
    r"\b\d{12}\.dkr\.ecr\.[\w-]+\.amazonaws\.com(?:\.cn)?/[\w./-]+(?:[:@][\w.:-]+)?|public\.ecr\.aws/\S+"
)


def metadata_v2(resource: Resource, settings: Settings) -> Iterator[Violation]:
    """Hosts answer metadata requests with a token only, so that a forged request cannot fetch their role. Plain."""
    if resource.type == "aws:ec2/launchConfiguration:LaunchConfiguration":
        fix = "declare a LaunchTemplate"
        yield Violation("metadata-v2", str(resource), "a launch configuration", "a launch template", fix)
    if resource.type not in (INSTANCE, TEMPLATE):
        return
    if resource.type == INSTANCE and at(resource.props, "launchTemplate") is not None:
        return  # the template is judged itself
    tokens = at(resource.props, "metadataOptions", "httpTokens")
    if tokens != "required":
        found = f"metadataOptions.httpTokens {tokens!r}"
        yield Violation("metadata-v2", str(resource), found, "'required'", 'set http_tokens="required"')


def instance_declared(resource: Resource, settings: Settings) -> Iterator[Violation]:
    """A host's type is in the catalog and is one that the stack's settings name. Plain."""
    if resource.type not in (INSTANCE, TEMPLATE, NODE_GROUP):
        return
    key = "instanceTypes" if resource.type == NODE_GROUP else "instanceType"
    declared = declared_types(settings)
    for kind in items(at(resource.props, key)):
        if kind is UNKNOWN:
            fix = "take it from the settings"
            yield Violation("instance-declared", str(resource), f"{key} {UNKNOWN!r}", "a plain type", fix)
            continue
        try:
            instance(str(kind))
        except UnknownInstanceTypeError as error:
            wanted = "a type of catalog/instances.csv"
            yield Violation("instance-declared", str(resource), f"{key} {kind!r}", wanted, str(error))
            continue
        if kind not in declared:
            wanted = f"one that the settings declare ({', '.join(sorted(declared)) or 'none'})"
            fix = "declare it there, where memory, cost and quota are reckoned"
            yield Violation("instance-declared", str(resource), f"{key} {kind!r}", wanted, fix)


def group_bounded(resource: Resource, settings: Settings) -> Iterator[Violation]:
    """A group can't grow past what the settings declare, with which cost and quota are reckoned. Plain."""
    if resource.type == GROUP:
        nodes = [cluster.nodes or 0 for cluster in settings.clusters.values() if cluster.platform == "ec2"]
        yield from _bounded(resource, "maxSize", at(resource.props, "maxSize"), max(nodes, default=0))
    elif resource.type == NODE_GROUP and (kubernetes := settings.kubernetes) is not None:
        most = max(kubernetes.nodes, kubernetes.max_nodes or 0)
        yield from _bounded(resource, "scalingConfig.maxSize", at(resource.props, "scalingConfig", "maxSize"), most)


def function_size(resource: Resource, settings: Settings) -> Iterator[Violation]:
    """Memory and time-out within Lambda's range; a worker function has the size that settings give a worker. Plain."""
    if resource.type != FUNCTION:
        return
    for key, (least, most) in (("memorySize", LAMBDA_MEMORY_MIB), ("timeout", LAMBDA_TIMEOUT_S)):
        value = at(resource.props, key)
        value = LAMBDA_DEFAULTS[key] if value is None else value
        if value is UNKNOWN or not isinstance(value, int | float) or not least <= value <= most:
            wanted = f"a plain number from {least} to {most}"
            yield Violation("function-size", str(resource), f"{key} {value!r}", wanted, "take it from the settings")
    name = at(resource.props, "name")
    worker = LITHOPS_WORKER in resource.name or (isinstance(name, str) and LITHOPS_WORKER in name)
    if not worker or settings.functions is None:
        return
    sizes = sizing.sizes(settings)[sizing.FUNCTIONS]
    for key, wanted_value in (("memorySize", sizes.limit_mib), ("timeout", settings.functions.timeout_s)):
        if at(resource.props, key) != wanted_value:
            found, fix = f"{key} {at(resource.props, key)!r}", "take it from plan.sizing and the settings"
            yield Violation("function-size", str(resource), found, f"{wanted_value}, the declared worker's", fix)


def image_by_digest(resource: Resource, settings: Settings) -> Iterator[Violation]:
    """What runs, and what it is built from, is named by digest: a tag can be moved under a comparison. An unknown image
    is judged later; a Dockerfile is plain."""
    if resource.type == BUILT:
        text = at(resource.props, "dockerfile", "inline")
        if not isinstance(text, str):
            found = f"dockerfile.inline {text!r}"
            yield Violation("image-by-digest", str(resource), found, "its text", "pass it inline")
        stages = _FROM.findall(text) if isinstance(text, str) else []
        for base in {base for base, _ in stages} - {name for _, name in stages} - {"scratch"}:
            if not _DIGEST.search(base):
                yield _by_digest(resource, f"FROM {base}")
    if resource.type == FUNCTION:
        uri = at(resource.props, "imageUri")
        if uri is None and at(resource.props, "packageType") == "Image":
            yield _by_digest(resource, "imageUri None")
        if isinstance(uri, str) and not _DIGEST.search(uri):
            yield _by_digest(resource, f"imageUri {uri!r}")
    if resource.type in (INSTANCE, TEMPLATE):
        for image in _REGISTRY_IMAGE.findall(_user_data(resource)):
            if not _DIGEST.search(image):
                yield _by_digest(resource, f"{image!r} in user data")


def digest(image: str) -> bool:
    """Whether an image reference ends in a SHA-256 digest."""
    return _DIGEST.search(image) is not None


def declared_types(settings: Settings) -> set[str]:
    """Every instance type that the settings name."""
    return set(named_types(settings).values())


def _bounded(resource: Resource, key: str, found: Any, most: int) -> Iterator[Violation]:
    if not isinstance(found, int | float) or found > most:
        wanted = f"a plain number of at most {most}, what the settings declare"
        yield Violation("group-bounded", str(resource), f"{key} {found!r}", wanted, "take it from the settings")


def _by_digest(resource: Resource, found: str) -> Violation:
    return Violation(
        "image-by-digest", str(resource), found, "an image ending in @sha256:<64 digits>", "use its digest"
    )


def _user_data(resource: Resource) -> str:
    for key in ("userData", "userDataBase64"):
        text = at(resource.props, key)
        if isinstance(text, str):
            try:
                return base64.b64decode(text, validate=True).decode(errors="replace")
            except (binascii.Error, ValueError):
                return text
    return ""
