"""Readiness told by the part itself: our own runners ask their cluster, then write what they learnt as JSON."""

import json
from pathlib import Path

from local.parts.launch import Facts


def read_ready(path: Path) -> Facts | None:
    """What the runner wrote, as a whole or not at all; None before that."""
    try:
        facts: Facts = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return facts
