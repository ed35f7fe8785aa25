"""Why a run failed, from what an engine raised: one of the kinds a row may carry."""

import re
from collections.abc import Iterator, Sequence

from bench.parity import Unequal
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
    "ActorDiedError": "worker-lost",
    "OwnerDiedError": "worker-lost",
    "ObjectLostError": "worker-lost",
    "KilledWorker": "worker-lost",
    "CancelledError": "worker-lost",
    "EndpointConnectionError": "endpoint",
    "ConnectTimeoutError": "endpoint",
    "ReadTimeoutError": "endpoint",
    "ParserError": "bad-data",
    "ArrowInvalid": "bad-data",
    "UnicodeDecodeError": "bad-data",
}
# What an engine raises as an error of no type of its own.
_BY_TEXT: dict[str, FailureKind] = {
    "Failed to read CSV file": "bad-data",  # Ray Data, for Arrow's error of a parser, which it drops
}
_MESSAGE_CHARACTERS = 1500
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ERROR_LINE = re.compile(r"^(?:\w+\.)*[A-Z]\w+: .+", re.MULTILINE)


def failure_of(error: BaseException, access: Access, bucket: str | None) -> Failure:
    """The kind of a failure, from the chain of causes; an endpoint that does not answer now explains all else.

    The message begins with the cause, whose first line is what people see; what wrapped it follows.
    """
    causes = [cause for cause in _causes(error) if not isinstance(getattr(cause, "cause", None), BaseException)]
    named = ((cause, kind) for cause in causes if (kind := _known(cause)))
    cause, kind = next(named, (_innermost(causes), None))
    if kind in (None, "worker-lost") and bucket and not _answers(access, bucket):
        kind = "endpoint"
    return Failure(kind=kind or "engine", message=_message(cause, causes))


def _known(error: BaseException) -> FailureKind | None:
    by_type = next((kind for known, kind in _BY_TYPE if isinstance(error, known)), None)
    text = str(error)
    return by_type or _BY_NAME.get(type(error).__name__) or next((k for t, k in _BY_TEXT.items() if t in text), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        # `cause` is where Ray keeps what its task raised; its own text is then the whole traceback.
        inner = getattr(error, "cause", None)
        handled = None if error.__suppress_context__ else error.__context__
        error = inner if isinstance(inner, BaseException) else error.__cause__ or handled


def _innermost(causes: Sequence[BaseException]) -> BaseException:
    """The cause that says most: the last of the chain that was raised for the one before it."""
    explained = [causes[0]]
    for cause in causes[1:]:
        if explained[-1].__cause__ is not cause:
            break  # it was only being handled when the other came
        explained.append(cause)
    return explained[-1]


def _message(cause: BaseException, causes: Sequence[BaseException]) -> str:
    """The cause, then the first line of what wrapped it where that says more, such as the file."""
    said = [_said(cause)]
    for other in reversed(causes):
        line = _said(other).splitlines()[0]
        if other is not cause and not any(line.partition(": ")[2] in text for text in said):
            said.append(line)
    return ("; while ".join([said[0].strip(), *said[1:]]))[:_MESSAGE_CHARACTERS]


def _said(error: BaseException) -> str:
    """Class and text; of a worker's traceback that came as text, its last error."""
    text = "".join(c for c in _COLOUR.sub("", str(error)) if c.isprintable() or c in "\n\t").strip()
    if "  File " in text and (errors := _ERROR_LINE.findall(text)):
        return str(errors[-1])
    return f"{type(error).__name__}: {text or _no_text(error)}"


def _no_text(error: BaseException) -> str:
    """Lithops makes some errors anew without their text; their arguments may still be there."""
    return ", ".join(str(part)[:200] for part in error.args) or "it gave no message"


def _answers(access: Access, bucket: str) -> bool:
    """One real request, no more than a few seconds."""
    try:
        s3_client(access).head_bucket(Bucket=bucket)
    except Exception:
        return False
    return True
