"""By which action of IAM an operation of a service's API is judged."""

from collections.abc import Mapping

from tests.permissions.calls import Call

# Operations whose action has another name; all others are <service>:<operation>.
_ACTIONS: Mapping[tuple[str, str], str] = {
    ("lambda", "Invoke"): "lambda:InvokeFunction",
    **{
        ("s3", operation): f"s3:{action}"
        for operation, action in {
            "AbortMultipartUpload": "AbortMultipartUpload",
            "CompleteMultipartUpload": "PutObject",
            "CopyObject": "PutObject",
            "CreateMultipartUpload": "PutObject",
            "DeleteBucketEncryption": "PutEncryptionConfiguration",
            "DeleteBucketLifecycle": "PutLifecycleConfiguration",
            "DeleteBucketTagging": "PutBucketTagging",
            "DeleteObjects": "DeleteObject",
            "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
            "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
            "GetBucketCors": "GetBucketCORS",
            "GetBucketEncryption": "GetEncryptionConfiguration",
            "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
            "GetBucketNotificationConfiguration": "GetBucketNotification",
            "GetBucketReplication": "GetReplicationConfiguration",
            "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
            "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
            "HeadBucket": "ListBucket",
            "HeadObject": "GetObject",
            "ListBuckets": "ListAllMyBuckets",
            "ListMultipartUploads": "ListBucketMultipartUploads",
            "ListObjectVersions": "ListBucketVersions",
            "ListObjects": "ListBucket",
            "ListObjectsV2": "ListBucket",
            "PutBucketEncryption": "PutEncryptionConfiguration",
            "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
            "PutBucketNotificationConfiguration": "PutBucketNotification",
            "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
            "UploadPart": "PutObject",
        }.items()
    },
}


def action_of(call: Call) -> str:
    """The action that a call is judged by."""
    service = {"tagging": "tag"}.get(call.service, call.service)
    return _ACTIONS.get((call.service, call.operation), f"{service}:{call.operation}")
