"""Where a run's time goes: named spans that do not overlap, on the driver's monotonic clock."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tasks.trace import Trace

# Spans in which the driver works by itself and no engine is asked anything.
_OWN = ("plan", "merge")


def own_share(phases: Mapping[str, float], wall_s: float) -> float:
    """Share of a run's wall time, 0 to 1, that is the harness's own: all but the spans in which the engine works."""
    return 1 - sum(seconds for name, seconds in phases.items() if name not in _OWN) / wall_s


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
