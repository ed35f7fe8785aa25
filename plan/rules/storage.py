"""Buckets are private, encrypted and spoken to over TLS; results and data cannot be destroyed by accident."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from plan.rules.identity import documents
from plan.rules.violation import Violation
from plan.rules.wire import UNKNOWN, Resource, at, items
from plan.settings import Settings

BUCKETS = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
LASTING = ("results", "data")
_BLOCK = ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",)
_ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",
)
_POLICY = ("aws:s3/bucketPolicy:BucketPolicy",)
_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def private_buckets(resources: Sequence[Resource], settings: Settings) -> Iterator[Violation]:
    """Each bucket has a public access block with all four set, default encryption, and a policy that denies plain HTTP.

    The three belong to a bucket by what they were made from, by its identifier or name, or by bearing the same name. A
    policy document that is not known yet is judged later; that there is one is judged now.
    """
    for bucket in (resource for resource in resources if resource.type in BUCKETS):
        beside = [resource for resource in resources if _belongs(resource, bucket)]
        if at(bucket.props, "acl") not in (None, "private", UNKNOWN):  # unknown: for the provider to fill in
            yield _refused(bucket, f"acl {at(bucket.props, 'acl')!r}", "no public acl", "remove acl")
        blocks = [resource for resource in beside if resource.type in _BLOCK]
        if not any(all(at(block.props, key) is True for key in _BLOCKS) for block in blocks):
            found = "no public access block" if not blocks else "a public access block that leaves something open"
            yield _refused(bucket, found, f"all of {', '.join(_BLOCKS)}: true", "declare a BucketPublicAccessBlock")
        if not (
            any(_encrypts(resource.props) for resource in beside if resource.type in _ENCRYPTION)
            or _encrypts(at(bucket.props, "serverSideEncryptionConfiguration"))
        ):
            fix = "declare a BucketServerSideEncryptionConfiguration"
            yield _refused(bucket, "no default encryption", "sseAlgorithm AES256 or aws:kms", fix)
        if not any(_denies_plain_http(resource) for resource in beside if resource.type in _POLICY):
            wanted = "a policy that denies s3:* where aws:SecureTransport is false"
            yield _refused(bucket, "no such policy", wanted, "declare a BucketPolicy")


def lasting_protected(resources: Sequence[Resource], settings: Settings) -> Iterator[Violation]:
    """`base` has a bucket for results and one for data, by their names, both protected and never emptied by `destroy`:
    rows cannot be made again, and data take hours."""
    if settings.program != "base":
        return
    for what in LASTING:
        kept = [resource for resource in resources if resource.type in BUCKETS and what in resource.name]
        if not kept:
            found, wanted = f"no bucket with `{what}` in its name", f"one for {what}, protected"
            yield Violation("lasting-protected", f"stack {settings.stack!r}", found, wanted, "declare it, protect=True")
        for bucket in kept:
            if not bucket.protect:
                fix = "give it ResourceOptions(protect=True)"
                yield Violation("lasting-protected", str(bucket), "no protection", "protect: true", fix)
            if at(bucket.props, "forceDestroy") not in (None, False):
                fix = "remove forceDestroy"
                yield Violation(
                    "lasting-protected", str(bucket), "forceDestroy", "a bucket that keeps its objects", fix
                )


def _belongs(resource: Resource, bucket: Resource) -> bool:
    if resource.type in BUCKETS or not resource.type.startswith("aws:s3/"):
        return False
    if bucket.name in resource.refs.get("bucket", ()):
        return True
    named = at(resource.props, "bucket")
    if named is UNKNOWN or named is None:
        return resource.name == bucket.name
    return named in (bucket.id, at(bucket.props, "bucket")) or (bucket.id is None and resource.name == bucket.name)


def _encrypts(configuration: Any) -> bool:
    rules = items(at(configuration, "rules")) or items(at(configuration, "rule"))
    return any(
        at(rule, "applyServerSideEncryptionByDefault", "sseAlgorithm") in ("AES256", "aws:kms", "aws:kms:dsse")
        for rule in rules
    )


def _denies_plain_http(policy: Resource) -> bool:
    if at(policy.props, "policy") is UNKNOWN:
        return True
    return any(
        _is_tls_denial(statement) for document in documents(policy) for statement in items(document.get("Statement"))
    )


def _is_tls_denial(statement: Mapping[str, Any]) -> bool:
    secure = at(statement, "Condition", "Bool", "aws:SecureTransport")
    everything = any(action in ("s3:*", "*") for action in items(statement.get("Action")))
    everyone = statement.get("Principal") in ("*", {"AWS": "*"})
    objects_too = any(str(target).endswith("/*") or target == "*" for target in items(statement.get("Resource")))
    denies = statement.get("Effect") == "Deny" and str(secure).lower() == "false"
    return denies and everything and everyone and objects_too


def _refused(bucket: Resource, found: str, wanted: str, fix: str) -> Violation:
    return Violation("private-buckets", str(bucket), found, wanted, fix)
