"""What every engine's session can do, so that a workload is written once."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tasks.trace import Trace

Args = tuple[Any, ...]
Cancelled = Callable[[], bool]
"""Whether what is going on is no longer wanted; asked every second or oftener by what waits."""
Ready = Callable[[Callable[[], "Fleet"]], None]
"""Given how an engine counts its workers: returns when they are all there, or raises SessionError."""


def never() -> bool:
    """Not cancelled."""
    return False


class Scaler(Protocol):
    """Brings a stack's cluster to so many nodes of so many slots (None: as declared). Raises ScalingCancelled."""

    def __call__(self, nodes: int, slots: int | None, cancelled: Cancelled = never) -> None: ...


class SessionError(RuntimeError):
    """An engine cannot be used; the message names engine and address and says what to do."""


class LeftRunning(SessionError):
    """Something that costs money could not be brought to zero; the message names it and says how to end it."""


class ScalingCancelled(SessionError):
    """A cluster was on its way to another size when that was no longer wanted; nothing goes on moving it."""


class WorkerLost(RuntimeError):
    """A worker died and the engine did not save the work."""


class OutOfMemory(RuntimeError):
    """A worker was ended for its memory, and so were those that tried again."""


@dataclass(frozen=True)
class Fleet:
    """Workers as the engine itself counts them. memory_mib: what one is held to; None where nothing holds it. hosts:
    the addresses of the nodes they are on, where the engine tells."""

    workers: int
    vcpu: float
    memory_mib: int | None
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Done:
    """One finished call: which item, what it returned, and who did it."""

    index: int
    result: Any
    trace: Trace


class Session(Protocol):
    """One engine, opened. A session is used by one thread."""

    engine: str
    platform: str
    keeps_workers: bool
    """Whether a second run meets the first's processes: not on Lithops's localhost backend, which forks per task."""

    def fleet(self) -> Fleet: ...

    def stream(self, function: Callable[..., Any], items: Sequence[Args]) -> Iterator[Done]:
        """Call `function(*item)` on every item; results come as they end. `function` lives in `tasks`."""

    def recycle(self) -> None:
        """Leave no worker process that ran anything, so that the next run is cold."""

    def scale(self, nodes: int, slots: int | None = None, cancelled: Cancelled = never) -> None:
        """Bring the cluster to `nodes` worker nodes, of `slots` slots each where the platform can choose; returns when
        the platform has them. Raises SessionError where it cannot, and ScalingCancelled."""

    def cancel(self) -> None:
        """Stop what runs for this session, after a failure, a deadline or Ctrl-C."""

    def close(self) -> None: ...


def linger(unfinished: int) -> None:
    """Before results are fetched, let others come too: a fetch takes some 10 ms whatever it brings. 0.25 ms for each
    item that is unfinished, 250 ms at most, so that the last are not waited for."""
    time.sleep(min(0.25, 2.5e-4 * unfinished))


def mapped(session: Session, function: Callable[..., Any], items: Sequence[Args]) -> list[Done]:
    """All results in the items' order."""
    return sorted(session.stream(function, items), key=lambda done: done.index)
