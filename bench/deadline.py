"""A deadline for what blocks: an alarm that raises in the main thread."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bench.failures import Deadline


@contextmanager
def deadline(seconds: float, late: Deadline | None = None) -> Iterator[None]:
    """Raise `late` in the main thread when `seconds` are over; blocking calls are interrupted as by Ctrl-C."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise late or Deadline(f"not done after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
