"""One measurement, one row: the same typed, versioned schema whatever the engine or platform.

Rows are appended as JSON lines and never rewritten. USD is not in a row: it is derived from `billed` and dated prices
when rows are read, so that old rows can be priced again.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SCHEMA_VERSION = 1

FailureKind = Literal[
    "wrong-answer",  # finished, but the answer differs from the manifest's or the other engines'
    "bad-data",  # the input has a row, number or file that cannot be read
    "endpoint",  # the object store or cache did not answer within the bounded retries
    "object-gone",  # listed, then missing
    "object-changed",  # not the version that was listed
    "worker-lost",  # a worker died and the engine's own retry did not save the run
    "out-of-memory",  # a worker was ended for its memory
    "deadline",  # not done within the time allowed
    "over-budget",  # cancelled, because the money left of the stack's budget was spent
    "interrupted",  # Ctrl-C
    "not-cold",  # dropped: asked for cold, but a worker was not new
    "unequal",  # dropped: workers differ from what the stack declares
    "engine",  # anything else the engine raised
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Workers(_Part):
    """Workers of this sample in the three notions of memory; `seen` is read back from running workers."""

    count: int
    vcpu: float
    declared_mib: int
    limit_mib: int | None = None
    seen_mib: int | None = None
    enforced_by: Literal["nanny", "cgroup", "lambda", "pod", "none"] = "none"
    pids: list[int] = []


class Data(_Part):
    """What was read. `uri` never holds keys."""

    uri: str
    files: int
    size_bytes: int
    rows: int | None = None


class Billed(_Part):
    """Quantities a provider would bill for this sample; local samples carry them too, to be priced as modelled."""

    node_s: dict[str, float] = Field({}, description="instance type to node-seconds; 'local' where there is no type")
    worker_s: float = 0.0
    function_gb_s: float = 0.0
    function_s: float = 0.0
    function_requests: int = 0
    architecture: Literal["x86_64", "arm64"] = Field(
        "x86_64", description="of the functions, which decides their price"
    )
    s3_gets: int = 0
    s3_puts: int = 0
    bytes_read: int = 0
    bytes_written: int = 0


class Failure(_Part):
    """Why a sample has no time that counts."""

    kind: FailureKind
    message: str


class Task(_Part):
    """One call inside a worker. Seconds since the sample's clock started; `lane`: the worker's number in it, from 0."""

    lane: int
    began_s: float
    ended_s: float
    on_function: bool = False


class Row(_Part):
    """One measurement. Times in seconds, instants in UTC (ISO 8601), memory in MiB."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    at: str
    stack: str
    platform: str
    workload: str
    engine: str
    label: str = Field(description="the engine as asked for; `dask` and `dask#2` when it is compared with itself")
    reader: str | None = None
    condition: Literal["cold", "warm", "none"]
    repeat: int
    workers: Workers | None = None
    data: Data | None = None
    phases: dict[str, float] = Field({}, description="span name to seconds; spans of one row do not overlap")
    tasks: list[Task] = Field([], description="what workers did meanwhile, where engine and clocks tell")
    metric: str = "run_s"
    value: float | None = None
    unit: str = "s"
    billed: Billed = Billed()
    answer: str | None = Field(None, description="checksum of the canonical answer")
    status: Literal["ok", "failed", "dropped"] = "ok"
    failure: Failure | None = None
    unequal: bool = Field(False, description="run under --allow-unequal with workers that differ from the stack's")
    parameters: dict[str, str | int | float | bool | None] = {}
    versions: dict[str, str] = {}
    commit: str | None = None
    machine: dict[str, str | int | float] = {}


def append(path: Path, row: Row) -> None:
    """Add one row as one line, in one write, flushed to disk, so that Ctrl-C or a crash keeps all rows before it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = row.model_dump_json(exclude_defaults=False) + "\n"
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = "\n" + line  # a half-written line before ours stays alone, so only it is lost
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Unreadable(_Part):
    """A line that is not a row of this schema."""

    path: str
    line: int
    reason: str


def read(path: Path) -> Iterator[Row | Unreadable]:
    """Rows of one JSON-lines file in order; a line that cannot be read is reported in its place, never skipped."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield Row.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                reason = f"{where}: {first['msg']}" if where else first["msg"]
                yield Unreadable(path=str(path), line=number, reason=reason)
