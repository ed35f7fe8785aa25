"""The buckets: data, Lithops' working bucket, results."""

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True)
class StorageArgs:
    """`working_days`: after how many days what a run left in the working bucket expires."""

    working_days: int = 7


def tls_only(bucket_arn: str) -> str:
    """A bucket policy, as JSON, that refuses every request not made over TLS."""
    refuse = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket_arn, f"{bucket_arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [refuse]})


class Storage(pulumi.ComponentResource):
    """Three private, encrypted, TLS-only buckets.

    Why so: *data* took hours to generate or upload, so it is protected, and `destroy` deletes it only when it has been
    emptied by hand; *working* holds what Lithops and hybrid runs pass between processes and expires by a lifecycle
    rule, so `destroy` empties it; *results* holds rows, which nothing can bring back, so it is versioned, protected,
    and kept even when the stack goes. Costs 0.023 USD per GB and month; 50 GB of data are 1.15 USD a month. Outputs:
    `data`, `working`, `results` (bucket names).
    """

    data: pulumi.Output[str]
    working: pulumi.Output[str]
    results: pulumi.Output[str]

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:Storage", name, {}, opts)
        self.data = self._bucket(f"{name}-data", expire_days=None, protect=True)
        self.working = self._bucket(f"{name}-working", expire_days=args.working_days)
        self.results = self._kept(f"{name}-results")
        self.register_outputs({"data": self.data, "working": self.working, "results": self.results})

    def _bucket(self, name: str, expire_days: int | None, *, protect: bool = False) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        kept = pulumi.ResourceOptions(parent=self, protect=protect)
        bucket = aws.s3.Bucket(name, force_destroy=not protect, opts=kept)
        self._close(name, bucket, child)
        expire = aws.s3.BucketLifecycleConfigurationRuleExpirationArgs
        rule = aws.s3.BucketLifecycleConfigurationRuleArgs(
            id="left-over",
            status="Enabled",
            filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
            # Parts of an upload that was broken off cost as much as objects and show in no listing.
            abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=1
            ),
            expiration=expire(days=expire_days) if expire_days else None,
        )
        aws.s3.BucketLifecycleConfiguration(name, bucket=bucket.id, rules=[rule], opts=child)
        return bucket.id

    def _kept(self, name: str) -> pulumi.Output[str]:
        kept = pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True)
        bucket = aws.s3.Bucket(name, opts=kept)
        self._close(name, bucket, pulumi.ResourceOptions(parent=self, retain_on_delete=True))
        aws.s3.BucketVersioning(
            name,
            bucket=bucket.id,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        return bucket.id

    def _close(self, name: str, bucket: aws.s3.Bucket, opts: pulumi.ResourceOptions) -> None:
        closed = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=opts,
        )
        default = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.id,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=default(sse_algorithm="AES256")
                )
            ],
            opts=opts,
        )
        # S3 refuses two changes of a bucket's policy settings at once with a conflict.
        after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[closed]))
        aws.s3.BucketPolicy(name, bucket=bucket.id, policy=bucket.arn.apply(tls_only), opts=after)
