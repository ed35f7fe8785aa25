"""One call of a stage's function, on either side: in the function, and in the cluster that takes its result."""

import pickle
import time
import traceback
from dataclasses import dataclass
from typing import Literal, NoReturn

from tasks.exchange import Exchange, Payload, hand_over
from tasks.trace import Trace, trace

Kind = Literal["raised", "out-of-memory", "lost", "deadline"]
_SHOWN = 120


class StageFailed(RuntimeError):
    """An input that a stage's function gave no result for. kind: what became of it. text: the function's traceback."""

    def __init__(self, function: str, index: int, item: str, kind: Kind, attempts: int, text: str):
        super().__init__(function, index, item, kind, attempts, text)
        self.function, self.index, self.item, self.kind, self.attempts, self.text = self.args

    def __str__(self) -> str:
        tried = f"{self.attempts} attempt{'s' if self.attempts > 1 else ''}"
        return f"{self.function}, input {self.index} ({self.item}): {self.kind} in {tried}\n{self.text}"


class FunctionOutOfMemory(StageFailed, MemoryError):
    """The function raised MemoryError, or its process was killed as the system kills for memory."""


class FunctionLost(StageFailed):
    """The function ended without a report, or never reported within its time."""


@dataclass(frozen=True)
class Report:
    """What a function says at its end: where its result is, or what it raised: as text, and pickled where it can be."""

    trace: Trace
    payload: Payload | None = None
    handed_over_s: float = 0.0
    kind: Kind = "raised"
    text: str = ""
    error: bytes | None = None


def call(function: bytes, item: bytes, exchange: Exchange) -> Report:
    """Run in the function. Whatever it raises is reported, so that nothing depends on whether an exception pickles."""
    began_at = time.time()
    try:
        value = pickle.loads(function)(pickle.loads(item))  # noqa: S301  the program's own function
        done = time.perf_counter()
        payload = hand_over(value, exchange)
        return Report(trace(began_at), payload, time.perf_counter() - done)
    except (Exception, SystemExit) as error:
        kind: Kind = "out-of-memory" if isinstance(error, MemoryError) else "raised"
        return Report(trace(began_at), kind=kind, text=_text(error), error=_pickled(error))


def fail(error: StageFailed) -> NoReturn:
    """Run in the cluster: a reference that raises when it is asked for."""
    raise error


def shown(item: object) -> str:
    """An input as it is named in an error; secrets are kept out by their own types' repr."""
    text = repr(item)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _text(error: BaseException) -> str:
    """The traceback from the function on, without the frames of this module."""
    inner = error.__traceback__.tb_next if error.__traceback__ else None
    return "".join(traceback.format_exception(type(error), error, inner)).rstrip()


def _pickled(error: BaseException) -> bytes | None:
    try:
        text = pickle.dumps(error)
        pickle.loads(text)  # noqa: S301  some pickle and then don't load
        return text
    except Exception:
        return None
