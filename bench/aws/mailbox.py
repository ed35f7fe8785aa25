"""What a remote run says, in order, as small objects below one prefix; and the one thing it can be told: stop.

Chunks are numbered: `00000012/log` is more of what it printed, `00000013/results/bench-32/x.jsonl` more of that file,
and `.../exit` the last, its exit code. Append only, so that a reader who comes late or again misses nothing.
"""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

LOG, RESULTS, EXIT = "log", "results", "exit"


class Mailbox:
    """`prefix` ends with a slash. One writer, any number of readers."""

    def __init__(self, s3: Any, bucket: str, prefix: str):
        self._s3, self._bucket, self._prefix = s3, bucket, prefix
        self._written, self._last = 0, f"{prefix}0"

    def send(self, name: str, body: bytes) -> None:
        """Add more of `name`."""
        self._s3.put_object(Bucket=self._bucket, Key=f"{self._prefix}{self._written:08}/{name}", Body=body)
        self._written += 1

    def begun(self) -> tuple[bool, bool]:
        """For a new writer, which goes on after the one before: whether there was one, and whether it ended."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=f"{self._prefix}0")
        keys = [found["Key"].removeprefix(self._prefix) for page in pages for found in page.get("Contents", [])]
        if keys:
            self._written = int(keys[-1].partition("/")[0]) + 1
        return bool(keys), any(key.partition("/")[2] == EXIT for key in keys)

    def receive(self) -> Iterator[tuple[str, bytes]]:
        """What has come since the last call: (name, more of it)."""
        pages = self._s3.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=f"{self._prefix}0", StartAfter=self._last):
            for found in page.get("Contents", []):
                body = self._s3.get_object(Bucket=self._bucket, Key=found["Key"])["Body"].read()
                self._last = found["Key"]
                yield found["Key"].removeprefix(self._prefix).partition("/")[2], body

    def stop(self) -> None:
        """Ask the run to end in order."""
        self._s3.put_object(Bucket=self._bucket, Key=f"{self._prefix}stop", Body=b"")

    def stopped(self) -> bool:
        """Whether it is asked to."""
        try:
            self._s3.head_object(Bucket=self._bucket, Key=f"{self._prefix}stop")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
        return True
