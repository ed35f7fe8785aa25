"""One measurement, one row: the same typed, versioned schema whatever the engine or platform.

Rows are appended as JSON lines and never rewritten. USD is not in a row: it is derived from `billed` and dated prices
when rows are read, so that old rows can be priced again.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from plan.redaction import redacted

SCHEMA_VERSION = 1
READERS = ("native", "ranges")
"""How engines read CSV: each by its own documented way, or all by ranges."""
NUMBERS = frozenset(
    {
        *("images", "workers", "nodes", "slots_per_node", "bad_rows", "driver_peak_mib", "worker_peak_mib"),
        *("up_at", "at_s", "wanted", "busy", "done", "starting", "leaving"),
        *("invoked", "retried", "cancelled", "handed_over_s"),
        *("actual_s", "estimate_low_s", "estimate_high_s", "calibrated_rows"),
    }
)
"""Parameters that readers of rows count with: numbers of at least 0, or null."""

NEEDED = {"workers_at": ("at_s", "wanted", "busy", "done"), "palette": ("image", "colours")}
"""Parameters without which a row of the metric says nothing."""

# No second, byte, request or worker of a benchmark is beyond these: what is would overflow a sum or a float.
Real = Annotated[float, Field(ge=-1e15, le=1e15)]
Amount = Annotated[float, Field(ge=0, le=1e15)]
Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]
Count = Annotated[int, Field(ge=0, le=2**53)]

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
    "left-running",  # what was scaled up could not be brought to zero again
    "unequal",  # dropped: workers differ from what the stack declares
    "engine",  # anything else the engine raised
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Workers(_Part):
    """Workers of this sample in the three notions of memory; `seen` is read back from running workers."""

    count: Count
    vcpu: Annotated[float, Field(ge=0, le=1e6)]
    declared_mib: Annotated[int, Field(ge=128, le=2**53)]
    limit_mib: Count | None = None
    seen_mib: Count | None = None
    enforced_by: Literal["nanny", "cgroup", "lambda", "pod", "none"] = "none"
    pids: list[Count] = []


class Data(_Part):
    """What was read. `uri` never holds keys."""

    uri: str
    files: Count
    size_bytes: Count
    rows: Count | None = None


class Billed(_Part):
    """Quantities a provider would bill for this sample; local samples carry them too, to be priced as modelled."""

    node_s: dict[str, Amount] = Field({}, description="instance type to node-seconds; 'local' where there is no type")
    worker_s: Amount = 0.0
    function_gb_s: Amount = 0.0
    function_s: Amount = Field(0.0, description="of all calls, with handler and start of the sandbox")
    function_code_s: Amount | None = Field(
        None, description="of these in the user's code; None in rows of before, whose `function_s` is that alone"
    )
    function_requests: Count = 0
    architecture: Literal["x86_64", "arm64"] = Field(
        "x86_64", description="of the functions, which decides their price"
    )
    s3_gets: Count = 0
    s3_puts: Count = 0
    bytes_read: Count = 0
    bytes_written: Count = 0


class Failure(_Part):
    """Why a sample has no time that counts."""

    kind: FailureKind
    message: str

    @field_validator("message")
    @classmethod
    def _without_secrets(cls, message: str) -> str:
        return redacted(message)


class Task(_Part):
    """One call inside a worker. Seconds since the sample's clock started; `lane`: the worker's number in it, from 0."""

    lane: Count
    began_s: Real
    ended_s: Real
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
    repeat: Count
    workers: Workers | None = None
    data: Data | None = None
    phases: dict[str, Amount] = Field({}, description="span name to seconds; spans of one row do not overlap")
    tasks: list[Task] = Field([], description="what workers did meanwhile, where engine and clocks tell")
    metric: str = "run_s"
    value: Real | None = None
    unit: str = "s"
    billed: Billed = Billed()
    answer: str | None = Field(None, description="checksum of the canonical answer")
    status: Literal["ok", "failed", "dropped"] = "ok"
    failure: Failure | None = None
    unequal: bool = Field(False, description="run under --allow-unequal with workers that differ from the stack's")
    parameters: dict[str, str | Whole | Real | bool | None] = {}
    versions: dict[str, str] = {}
    commit: str | None = None
    machine: dict[str, str | Whole | Real] = {}

    @field_validator("at")
    @classmethod
    def _instant(cls, at: str) -> str:
        """The same instant in UTC, so that instants compare as their texts do."""
        instant = datetime.fromisoformat(at)
        if instant.tzinfo is None:
            raise ValueError(f"found {at!r} without its zone, wanted an instant such as 2026-11-20T09:00:00+00:00")
        if not 1970 <= instant.year < 2200:
            raise ValueError(f"found {at!r}, wanted an instant between the years 1970 and 2200")
        return instant.astimezone(UTC).isoformat()

    @field_validator("parameters")
    @classmethod
    def _numbers(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        for name, found in parameters.items():
            counted = name in NUMBERS or name.startswith("bytes_by_")
            if counted and found is not None and (isinstance(found, bool | str) or found < 0):
                raise ValueError(f"found {name} {found!r}, wanted a number of at least 0")
        return parameters


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
    """A line that is no row of this schema, or no sample of its own; line 0: the file cannot be read."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


def read(path: Path) -> Iterator[Row | Unreadable]:
    """Rows of one JSON-lines file in order; a line that cannot be read is reported in its place, never skipped."""
    for _, found in numbered(path):
        yield found


def numbered(path: Path) -> Iterator[tuple[int, Row | Unreadable]]:
    """As `read`, each with its line, counted from 1."""
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, _parsed(path, number, line)
    except OSError as error:
        yield 0, Unreadable(path=str(path), line=0, reason=error.strerror or str(error))


def _parsed(path: Path, number: int, line: bytes) -> Row | Unreadable:
    try:
        version = json.loads(line.strip(), object_pairs_hook=_unique).get("schema_version")
        if type(version) is not int or version != SCHEMA_VERSION:
            raise ValueError(f"found schema_version {version!r}, wanted {SCHEMA_VERSION}: another program wrote it")
        row = Row.model_validate_json(line, strict=True)
        if row.metric == "run_s" and row.status == "ok" and not (row.value and row.value > 0):
            raise ValueError(f"found a run that is ok with value {row.value}, wanted seconds above 0")
        if missing := [name for name in NEEDED.get(row.metric, ()) if row.parameters.get(name) is None]:
            raise ValueError(f"found {row.metric} without {', '.join(missing)} among its parameters")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"{where}: {first['msg']}" if where else first["msg"]
    except (ValueError, AttributeError, RecursionError) as error:
        reason = f"no row: {error}" if isinstance(error, AttributeError | RecursionError) else str(error)
    else:
        return row
    return Unreadable(path=str(path), line=number, reason=reason)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"found {twice!r} twice in one object, wanted it once")
    return found
