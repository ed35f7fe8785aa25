"""Who may read and write what in a stack's buckets: one table, by role."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.aws.host_identity import allow

# What each role writes below the working bucket. Nobody writes `driver/` but who deploys, and the driver below its own
# `driver/runs/`: what lies there is run by a role that may do more than those that work.
BY_FUNCTIONS = ("lithops.jobs/", "stage/", "hybrid/")
BY_DRIVER = (*BY_FUNCTIONS, "driver/runs/")

# Where `generate` has its files written in the data bucket (tasks.manifest.base_of), by whatever runs its tasks.
GENERATED = ("store_sales/",)


@dataclass(frozen=True)
class Buckets:
    """The buckets of `base` that a stack uses. `also_read`: names of a user's own, whose objects its parts may read."""

    data: pulumi.Input[str]
    working: pulumi.Input[str]
    results: pulumi.Input[str]
    also_read: Sequence[str] = ()

    def host(self, stack: str) -> list[dict[str, Any]]:
        """A cluster's host works, and writes its boot log."""
        return [*self.worker(), self.boot_log(stack)]

    def worker(self) -> list[dict[str, Any]]:
        """What runs tasks reads data and what is handed over, and writes generated data."""
        return [*self._data_of_users(), *read(self.data), write(self.data, GENERATED), *read(self.working)]

    def function(self) -> list[dict[str, Any]]:
        """A function also writes its status, its results, and what it hands over."""
        return [*self.worker(), write(self.working, BY_FUNCTIONS)]

    def driver(self) -> list[dict[str, Any]]:
        """A driver makes data, keeps rows, says how it goes, and removes what functions left."""
        return [
            *self._data_of_users(),
            *read(self.data),
            write(self.data),
            *read(self.working),
            write(self.working, BY_DRIVER),
            *read(self.results),
            write(self.results),
            # A killed run leaves parts of an upload, which cost as much as objects: they are looked for and ended.
            allow(["s3:ListBucketMultipartUploads"], [_arn(self.data), _arn(self.working)]),
        ]

    def boot_log(self, stack: str) -> dict[str, Any]:
        """A host leaves its boot log where sessions look for it, and reads none."""
        return allow(["s3:PutObject"], [pulumi.Output.concat(_arn(self.working), f"/boot/{stack}/*")])

    def _data_of_users(self) -> list[dict[str, Any]]:
        return [statement for bucket in self.also_read for statement in read(bucket)]


def read(bucket: pulumi.Input[str]) -> list[dict[str, Any]]:
    """List a bucket and read its objects."""
    arn = _arn(bucket)
    objects = pulumi.Output.concat(arn, "/*")
    return [allow(["s3:ListBucket", "s3:GetBucketLocation"], [arn]), allow(["s3:GetObject"], [objects])]


def write(bucket: pulumi.Input[str], prefixes: Sequence[str] = ("",)) -> dict[str, Any]:
    """Write and delete objects below `prefixes` (all of them by default)."""
    below = [pulumi.Output.concat(_arn(bucket), f"/{prefix}*") for prefix in prefixes]
    return allow(["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], below)


def _arn(bucket: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.concat("arn:aws:s3:::", bucket)
