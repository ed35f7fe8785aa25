"""Whatever an engine raises becomes one of a row's failure kinds."""

import pytest

from bench.failures import Deadline, failure_of
from bench.parity import Unequal
from bench.sessions.session import WorkerLost
from tasks.objects import Access, EndpointFailed, ObjectChanged, ObjectGone
from tasks.records import BadData

NOWHERE = Access("http://127.0.0.1:9", "us-east-1", "/no/keys.json")


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


ENGINES_TEXT = """\x1b[36mray::ReadCSV->SplitBlocks(4)()\x1b[39m (pid=5748, ip=127.0.0.1)
  File "ray/data/_internal/util.py", line 1707, in iterate_with_retry
    raise e
ValueError: Failed to read CSV file: /data/a.csv. Please check the CSV file has correct format
Failed to read stream iteratively after 1/10 attempts (total backoff 0.0s).
"""


@pytest.mark.parametrize(
    ("error", "first_line"),
    [
        (RayTaskError(ValueError("Failed to read CSV file: /data/a.csv.\nFailed after 1/10 attempts")),
         "ValueError: Failed to read CSV file: /data/a.csv."),
        (RuntimeError(ENGINES_TEXT),  # where what the task raised could not be carried over
         "ValueError: Failed to read CSV file: /data/a.csv. Please check the CSV file has correct format"),
    ],
)  # fmt: skip
def test_the_cause_comes_first_and_names_the_file(error: BaseException, first_line: str) -> None:
    found = failure_of(error, Access(), None)
    assert found.kind == "bad-data"
    assert found.message.splitlines()[0] == first_line


def test_what_wrapped_a_cause_is_told_after_it() -> None:
    wrapper = RuntimeError("reading s3://b/k")
    wrapper.__cause__ = ObjectGone("it is gone")
    told = failure_of(wrapper, Access(), None).message
    assert told == "ObjectGone: it is gone; while RuntimeError: reading s3://b/k"


def test_a_long_message_is_cut_at_its_end_and_an_empty_one_says_so() -> None:
    assert failure_of(ValueError("cause " + "x" * 5000), Access(), None).message.startswith("ValueError: cause x")
    assert failure_of(ValueError(), Access(), None).message == "ValueError: it gave no message"


def test_what_was_only_being_handled_is_no_cause() -> None:
    error = ValueError("the engine's own")
    error.__context__ = StopIteration()
    assert failure_of(error, Access(), None).message.startswith("ValueError: the engine's own")
