"""What IAM was asked in this session, judged, and compared with the recordings that `make test` judges.

It judges what has been asked so far, so it wants to be run with the files that run stacks. `make recordings` runs the
long suite and adds what is new; delete a recording's file first, leaving an empty one, to be rid of what is old.
"""

import json
import os

import pytest

from tests.permissions.documents import deployer
from tests.permissions.evaluator import verdict
from tests.permissions.recorder import FOLDER, Recorder, parsed

pytestmark = [pytest.mark.engine, pytest.mark.slow_engine]


def test_every_call_could_be_read_and_is_allowed(recorder: Recorder) -> None:
    assert recorder.errors == set()
    assert recorder.lines, "no stack has run in this session: run the whole folder"
    asked = [parsed(line)[1] for line in sorted(recorder.lines)]
    assert [json.dumps(one.line()) for one in asked if verdict(one.request(), deployer()) != "allowed"] == []


def test_the_recordings_hold_all_that_was_asked(recorder: Recorder) -> None:
    """They may hold more: a session may run one stack only, or leave out the move of an expiry."""
    for stack in sorted({parsed(line)[0] for line in recorder.lines}):
        path = FOLDER / f"{stack}.jsonl"
        lines = {line for line in recorder.lines if parsed(line)[0] == stack}
        if os.environ.get("BREAKEVEN_RECORD") and path.exists():
            path.write_text("\n".join(sorted({*lines, *path.read_text().splitlines()})) + "\n")
        recorded = set(path.read_text().splitlines()) if path.exists() else lines
        assert _essence(lines) <= _essence(recorded), f"{path}: `make recordings` adds what is new"


def _essence(lines: set[str]) -> set[tuple[str, ...]]:
    """What must be the same. Reading depends on how long things take: its actions count, not what they looked at."""
    asked = [parsed(line)[1] for line in lines]
    return {
        (one.action, one.kind, json.dumps(one.line(), sort_keys=True) if _writes(one.action) else "") for one in asked
    }


def _writes(action: str) -> bool:
    return not action.partition(":")[2].startswith(("Describe", "Get", "List", "BatchGet"))
