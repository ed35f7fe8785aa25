"""What IAM was asked in this session, judged, and compared with the recordings that `make test` judges.

Last of the folder that runs stacks, by its name's place in the alphabet or not: it judges what has been asked so far.
`make recordings` runs the long suite and writes the recordings anew.
"""

import json
import os

import pytest

from tests.permissions.documents import deployer
from tests.permissions.evaluator import verdict
from tests.permissions.recorder import FOLDER, Recorder, parsed

pytestmark = [pytest.mark.engine, pytest.mark.slow_engine]

LIVED = ("CreateVpc", "DeleteVpc"), ("CreateBucket", "DeleteBucket")
"""The first and the last of a bench stack's life and of base's: only a whole life is compared."""


def test_every_call_could_be_read_and_is_allowed(recorder: Recorder) -> None:
    assert recorder.errors == set()
    assert recorder.lines, "no stack has run in this session: run the whole folder"
    asked = [parsed(line)[1] for line in sorted(recorder.lines)]
    assert [json.dumps(one.line()) for one in asked if verdict(one.request(), deployer()) != "allowed"] == []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.jsonl")), ids=lambda path: path.stem)
def test_the_recording_is_what_was_asked(recorder: Recorder, path: os.PathLike[str]) -> None:
    stack = os.path.basename(path).removesuffix(".jsonl")
    lines = {line for line in recorder.lines if parsed(line)[0] == stack}
    if not any(all(any(f":{call}" in line for line in lines) for call in life) for life in LIVED):
        pytest.skip(f"{stack} has not lived from up to destroy in this session")
    if os.environ.get("BREAKEVEN_RECORD"):
        (FOLDER / f"{stack}.jsonl").write_text("\n".join(sorted(lines)) + "\n")
    recorded = set((FOLDER / f"{stack}.jsonl").read_text().splitlines())
    assert _essence(lines) == _essence(recorded), "make recordings"


def _essence(lines: set[str]) -> set[tuple[str, ...]]:
    """What must be the same. Reading depends on how long things take: its actions count, not what they looked at."""
    asked = [parsed(line)[1] for line in lines]
    return {
        (one.action, one.kind, json.dumps(one.line(), sort_keys=True) if _writes(one.action) else "") for one in asked
    }


def _writes(action: str) -> bool:
    return not action.partition(":")[2].startswith(("Describe", "Get", "List", "BatchGet"))
