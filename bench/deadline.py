"""A deadline for what blocks: an alarm that raises in the main thread, again and again until it is heard."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bench.failures import Deadline

_AGAIN_S = 1.0


class _Alarm(BaseException):
    """Not an Exception: engines' own `except Exception` around a retry would take it for one of theirs."""


@contextmanager
def deadline(seconds: float, late: Deadline | None = None) -> Iterator[None]:
    """Raise `late` in the main thread when `seconds` are over; blocking calls are interrupted as by Ctrl-C.

    Where a library swallows the alarm, it comes again every second. A deadline inside another one stops the outer
    clock: what it bounds (bringing another cluster down) is not the sample's.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone hears alarms
        yield
        return
    rung = False

    def ring(number: int, frame: FrameType | None) -> None:
        nonlocal rung
        rung = True
        raise _Alarm

    before = signal.signal(signal.SIGALRM, ring)
    left_s, again_s = signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6), _AGAIN_S)
    try:
        yield
    except BaseException as error:
        _quiet()
        if rung and not isinstance(error, KeyboardInterrupt):
            raise late or Deadline(f"not done after {seconds:g} s") from _cause(error)
        raise
    finally:
        _quiet()
        signal.signal(signal.SIGALRM, before)
        if left_s:
            signal.setitimer(signal.ITIMER_REAL, left_s, again_s)


def _quiet() -> None:
    """End the alarm, also where it rings just now."""
    for _ in range(100):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
            return
        except _Alarm:
            time.sleep(0)


def _cause(error: BaseException) -> BaseException | None:
    return None if isinstance(error, _Alarm) else error
