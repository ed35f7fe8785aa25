"""Why a run failed, from what an engine raised: one of the kinds a row may carry."""

from collections.abc import Iterator

from bench.engines import Unequal
from bench.rows import Failure, FailureKind
from bench.sessions.session import OutOfMemory, WorkerLost
from tasks.objects import Access, EndpointFailed, ObjectChanged, ObjectGone, s3_client
from tasks.records import BadData


class Deadline(Exception):
    """A run was not done within the time allowed."""


class OverBudget(Deadline):
    """A run was cancelled, because it had spent what was left of the stack's budget."""


_BY_TYPE: tuple[tuple[type[BaseException], FailureKind], ...] = (
    (KeyboardInterrupt, "interrupted"),
    (OverBudget, "over-budget"),
    (Deadline, "deadline"),
    (Unequal, "unequal"),
    (ObjectGone, "object-gone"),
    (ObjectChanged, "object-changed"),
    (EndpointFailed, "endpoint"),
    (BadData, "bad-data"),
    (WorkerLost, "worker-lost"),
    (MemoryError, "out-of-memory"),
    (OutOfMemory, "out-of-memory"),
)
# Engines' own errors by class name, so that none is imported for it.
_BY_NAME: dict[str, FailureKind] = {
    "OutOfMemoryError": "out-of-memory",
    "WorkerCrashedError": "worker-lost",
    "NodeDiedError": "worker-lost",
    "KilledWorker": "worker-lost",
    "CancelledError": "worker-lost",
    "EndpointConnectionError": "endpoint",
    "ConnectTimeoutError": "endpoint",
    "ReadTimeoutError": "endpoint",
    "ParserError": "bad-data",
    "ArrowInvalid": "bad-data",
}


def failure_of(error: BaseException, access: Access, bucket: str | None) -> Failure:
    """The kind of a failure, from the chain of causes; an endpoint that does not answer now explains all else."""
    message = f"{type(error).__name__}: {error}".strip()[-1500:]
    kind = next((kind for cause in _causes(error) if (kind := _known(cause))), None)
    if kind in (None, "worker-lost") and bucket and not _answers(access, bucket):
        kind = "endpoint"
    return Failure(kind=kind or "engine", message=message)


def _known(error: BaseException) -> FailureKind | None:
    by_type = next((kind for known, kind in _BY_TYPE if isinstance(error, known)), None)
    return by_type or _BY_NAME.get(type(error).__name__)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        # `cause` is where Ray keeps what its task raised.
        inner = getattr(error, "cause", None)
        error = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__


def _answers(access: Access, bucket: str) -> bool:
    """One real request, no more than a few seconds."""
    try:
        s3_client(access).head_bucket(Bucket=bucket)
    except Exception:
        return False
    return True
