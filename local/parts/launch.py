"""What a part says of its process, and what is told of it once it runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

FactValue = str | int | float | bool | None
Facts = dict[str, FactValue]
"""Flat and JSON-able: kind, host, port, address, pid, secret_at, log_at, startup_s, memory and who enforces it."""


@dataclass(frozen=True)
class Launch:
    """How to start a part. An empty command is a part without a process.

    `ready` makes a real request and returns what it learnt as facts, or None while there is no answer. `cgroup_mib`
    asks for the process and its descendants to be held to that much memory where a cgroup can be made.
    """

    command: list[str]
    facts: Facts
    ready: Callable[[], Facts | None]
    env: Mapping[str, str] = field(default_factory=dict)
    deadline_s: float = 60.0
    cgroup_mib: int | None = None
