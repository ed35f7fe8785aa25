"""Where a run's time goes: named spans that do not overlap, on the driver's monotonic clock."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tasks.trace import Trace


class Spans:
    """Seconds by name. Spans don't nest; time outside any span is the harness's own."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Time what is inside, also when it raises."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - began)

    def add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def split(self, name: str, began_at: float, traces: Sequence[Trace]) -> None:
        """Split span `name`, begun at `began_at` (epoch), by the workers' own clocks.

        start: until the first worker begins. work: until the last one ends. collect: until the driver has all. Where a
        worker's clock is so far off that one of them would be negative, the span stays whole.
        """
        whole = self.seconds[name]
        start = min(trace.began_at for trace in traces) - began_at
        work = max(trace.ended_at for trace in traces) - began_at - start
        if min(start, work, whole - start - work) >= 0:
            del self.seconds[name]
            self.add("start", start)
            self.add("work", work)
            self.add("collect", whole - start - work)
