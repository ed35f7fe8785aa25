"""Spans add up, survive an error, and are split by workers' clocks only where those agree with the driver's."""

import pytest

from bench.spans import Spans
from tasks.trace import Trace


def trace(began_at: float, ended_at: float) -> Trace:
    return Trace("w", 1, began_at, ended_at, 1, "none")


def test_a_span_that_raises_is_timed() -> None:
    spans = Spans()
    with pytest.raises(KeyError), spans.span("read"):
        raise KeyError
    assert spans.seconds["read"] > 0


def test_split_keeps_the_sum() -> None:
    spans = Spans()
    spans.add("read", 10.0)
    spans.split("read", 100.0, [trace(102.0, 105.0), trace(103.0, 109.0)])
    assert spans.seconds == {"start": 2.0, "work": 7.0, "collect": 1.0}


@pytest.mark.parametrize("traces", [[trace(99.0, 105.0)], [trace(101.0, 111.0)]])
def test_clocks_that_disagree_leave_the_span_whole(traces: list[Trace]) -> None:
    spans = Spans()
    spans.add("read", 10.0)
    spans.split("read", 100.0, traces)
    assert spans.seconds == {"read": 10.0}
