"""One try at something an engine does: it gives a result or a typed failure, whatever was raised or hung."""

from collections.abc import Callable
from typing import Any, TypeVar

from bench.budget import Guard
from bench.engines import Sessions
from bench.failures import failure_of
from bench.rows import Failure

T = TypeVar("T")


def attempt(sessions: Sessions, guard: Guard, engine: str, timeout_s: float, work: Callable[[], T]) -> T | Failure:
    """What `work` returns, or why it did not. After a failure the engine's sessions are left, to be opened anew.

    All that can fail or hang belongs into `work`: opening, running, and judging the answer. Ctrl-C is a failure too,
    of kind `interrupted`: the caller writes its row, then raises KeyboardInterrupt.
    """
    try:
        with guard.watched(engine, timeout_s):
            return work()
    except BaseException as error:  # engines raise what is no Exception as well, such as asyncio's CancelledError
        failure = failure_of(error, sessions.access, sessions.outputs.working_bucket)
        sessions.drop(engine)
        return failure


def line(failure: Failure, status: str = "failed") -> str:
    """A failure in one line, for people: its kind and the first line of its message."""
    return f"{status}, {failure.kind}: {failure.message.splitlines()[0][:300]}"


def raise_if_interrupted(failure: Any) -> None:
    """Raise KeyboardInterrupt for a failure of that kind, once its row is written."""
    if isinstance(failure, Failure) and failure.kind == "interrupted":
        raise KeyboardInterrupt
