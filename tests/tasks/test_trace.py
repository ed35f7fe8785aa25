"""What a worker hands back beside its result: pickled where that is small, else as it is."""

import pickle

import numpy as np

from tasks.trace import Trace, packed


def test_a_small_result_and_its_trace_come_as_bytes() -> None:
    told = packed(abs, -3)
    assert isinstance(told, bytes)
    result, *fields = pickle.loads(told)
    assert result == 3
    assert Trace(*fields).ended_at >= Trace(*fields).began_at


def test_large_and_unpicklable_results_are_left_to_the_engine() -> None:
    for made in (lambda: np.zeros(100_000), lambda: "x" * 100_000, lambda: lambda: None):
        told = packed(made)
        assert isinstance(told, list)
        assert type(told[0]) is type(made())
