"""Writes down what IAM would be asked for every call that passes, and what of it is new.

    {"who": "bench-32", "action": "ec2:CreateSubnet", "resource": "arn:...:subnet/*", "request_tags": {...}, ...}

Names that an engine or AWS makes up are put into one form, so that two recordings of the same calls are the same.
"""

import json
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.engine.failing_proxy import FailingProxy
from tests.permissions.asked import Asked
from tests.permissions.calls import call_of
from tests.permissions.demands import demands
from tests.permissions.facts import Facts

FOLDER = Path(__file__).with_name("recorded")

_MADE_UP = (
    (re.compile(r"(?<=[-/])[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "00000000-0000-0000-0000-000000000000"),
    (re.compile(r"\b(ami|eipalloc|eni|i|igw|lt|rtb|sg|sgr|subnet|vol|vpc|vpce|acl)-[0-9a-f]{8,17}\b"), r"\1-0"),
    (re.compile(r"/a-[0-9a-z]{17}/"), "/a-0/"),
    (re.compile(r"(?<=secret:breakeven/)([\w/-]+)-\w{6}$"), r"\1-AbCdEf"),
    (re.compile(r"(lithops-worker-[\w-]*-)[0-9a-f]{10}"), r"\g<1>0123456789"),
    (re.compile(r"-(?!0{7}\b)[0-9a-f]{7}\b"), "-0000000"),
    (re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}"), "20260101T000000-000000"),
    (re.compile(r"(code/)?[0-9a-f]{64}"), r"\g<1>0"),
)
_TAGS = {"breakeven:expires-at": "2030-01-31T18:00:00Z", "breakeven:owner": "tester"}


class Recorder(FailingProxy):
    """A proxy before `target`. `lines`: what was asked, by whose access key. `errors`: calls that it cannot read."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.lines: set[str] = set()
        self.errors: set[str] = set()
        self._facts, self._one = Facts(target), threading.Lock()

    def note(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
        try:
            call = call_of(method, f"{self.target}{path}", headers, body)
            with self._one:
                for asked in demands(call, self._facts) if call is not None else []:
                    assert call is not None
                    self.lines.add(line(call.by, asked))
        except Exception as error:  # it passes on what it cannot read; a test fails by it
            self.errors.add(f"{method} {path:.80}: {type(error).__name__}: {error}")

    def end(self) -> None:
        super().end()
        self._facts.close()


def line(who: str, asked: Asked) -> str:
    """One question as a line of a recording."""
    fields = {"who": who, **plain(asked.line())}
    return json.dumps(fields, sort_keys=True)


def plain(value: Any) -> Any:
    """Without what differs from one recording to the next. Names of things (the tag Name) are left out."""
    if isinstance(value, str):
        for pattern, usual in _MADE_UP:
            value = pattern.sub(usual, value)
        return value
    if isinstance(value, Mapping):
        return {key: _TAGS.get(key, plain(item)) for key, item in value.items() if key != "Name"}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def read(path: Path) -> list[tuple[str, Asked]]:
    """The questions of a recording, each with who asked it."""
    return [parsed(text) for text in path.read_text().splitlines()]


def parsed(text: str) -> tuple[str, Asked]:
    """A line of a recording: who asked, and what."""
    fields = json.loads(text)
    return fields.pop("who"), Asked(**fields)
