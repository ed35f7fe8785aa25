"""What the engines' own autoscalers have in common as parts: each a process that starts and ends nodes."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from local.parts.launch import Facts, Launch
from local.parts.ready_file import read_ready
from local.state import Place

RUNNERS = Path(__file__).parents[1] / "runners"


class Bounds(Protocol):
    """An autoscaler's part."""

    @property
    def name(self) -> str: ...
    @property
    def min_nodes(self) -> int: ...
    @property
    def max_nodes(self) -> int: ...
    @property
    def idle_timeout_s(self) -> int: ...


def autoscaler_launch(
    place: Place, part: Bounds, *, runner: str, address: str, like: Any, env: Mapping[str, str]
) -> Launch:
    """Start `runner` with the supervisor's own interpreter; it makes nodes like `like` for the engine at `address`."""
    told = place.run(f"{part.name}.ready")
    command = [
        *(sys.executable, str(RUNNERS / runner), "--address", address, "--state-dir", str(place.root)),
        *("--like", json.dumps(asdict(like)), "--ready-file", str(told)),
        *("--min-nodes", str(part.min_nodes), "--max-nodes", str(part.max_nodes)),
        *("--idle-s", str(part.idle_timeout_s)),
    ]
    facts: Facts = {"address": address}
    return Launch(command, facts, lambda: read_ready(told), env=env)
