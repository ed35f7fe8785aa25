"""Stack files as documents that a test may change."""

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from plan.person import Person
from plan.settings import CONFIG_KEY, Settings, parse

ROOT = Path(__file__).parents[2]
# Support dates pass with time: the rules are tested on a fixed day.
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GENEROUS = Person(
    "tester", "203.0.113.7/32", "us-east-1", vcpu_quota=512, lambda_concurrency=1000, lambda_memory_mib=10_240
)

Change = Callable[..., Settings]


def changed_document(stack: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A stack file's settings with some keys (dotted paths) set, or removed where the value is None."""
    text = (ROOT / f"Pulumi.{stack}.yaml").read_text()
    document = copy.deepcopy(yaml.safe_load(text)["config"][CONFIG_KEY])
    for path, value in changes.items():
        *above, key = path.split(".")
        place = document
        for part in above:
            place = place.setdefault(part, {})
        if value is None:
            del place[key]
        else:
            place[key] = value
    return dict(document)


def changed_stack(stack: str, changes: Mapping[str, Any]) -> Settings:
    """`changed_document`, parsed."""
    return parse(changed_document(stack, changes), stack)


@pytest.fixture
def changed() -> Change:
    return changed_stack


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def generous() -> Person:
    """A person whose quotas no stack file exceeds."""
    return GENEROUS
