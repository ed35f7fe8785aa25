"""Whatever an engine raises becomes one of a row's failure kinds."""

import pytest

from bench.engines import Unequal
from bench.failures import Deadline, failure_of
from bench.sessions.session import WorkerLost
from tasks.objects import Access, EndpointFailed, ObjectChanged, ObjectGone
from tasks.records import BadData

NOWHERE = Access("http://127.0.0.1:9", "us-east-1", "a", "b")


class RayTaskError(Exception):
    """As Ray wraps what a task raised."""

    def __init__(self, cause: Exception):
        super().__init__("task failed")
        self.cause = cause


class KilledWorker(Exception):
    """As Dask names it."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (Deadline("late"), "deadline"),
        (Unequal("other"), "unequal"),
        (ObjectGone("gone"), "object-gone"),
        (ObjectChanged("other"), "object-changed"),
        (EndpointFailed("silent"), "endpoint"),
        (BadData("not a number", "s3://b/k", 3, "x"), "bad-data"),
        (WorkerLost("killed"), "worker-lost"),
        (KilledWorker("killed"), "worker-lost"),
        (MemoryError(), "out-of-memory"),
        (RayTaskError(ObjectGone("gone")), "object-gone"),
        (ValueError("anything else"), "engine"),
    ],
)
def test_kinds(error: BaseException, kind: str) -> None:
    assert failure_of(error, Access(), None).kind == kind


def test_a_cause_counts_more_than_its_wrapper() -> None:
    wrapper = RuntimeError("the engine's own words")
    wrapper.__cause__ = ObjectGone("gone")
    assert failure_of(wrapper, Access(), None).kind == "object-gone"


def test_an_endpoint_that_is_gone_explains_an_error_that_names_no_cause() -> None:
    assert failure_of(ValueError("broken pipe"), NOWHERE, "data").kind == "endpoint"
