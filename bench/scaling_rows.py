"""Rows of the scaling experiments: one run's file, with what all its rows say alike."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine, rows
from bench.engines import Sessions
from bench.rows import Failure, Row
from bench.samples import Seen
from bench.scaling import Step, changes

SERIES = "workers_at"
"""The metric of a step: its value is the workers that were ready, its parameters the other counts and `at_s`."""


@dataclass
class Log:
    """One command's rows, appended as they come."""

    sessions: Sessions
    results: Path
    workload: str
    run_id: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}")
    rows: list[Row] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    """Workers that the command's smoke tests and samples have met."""

    @property
    def path(self) -> Path:
        return self.results / self.sessions.outputs.stack / f"{self.run_id}.jsonl"

    def add(self, engine: str, label: str, metric: str, value: float | None, **fields: Any) -> Row:
        """Append a row; a `failure` makes it a failed one."""
        failure: Failure | None = fields.get("failure")
        row = Row(
            **{
                "run_id": self.run_id,
                "at": datetime.now(UTC).isoformat(),
                "stack": self.sessions.outputs.stack,
                "platform": self.sessions.platform(engine),
                "workload": self.workload,
                "engine": engine,
                "label": label,
                "condition": "none",
                "repeat": 0,
                "metric": metric,
                "value": value,
                "status": "failed" if failure else "ok",
                "versions": machine.versions(),
                "commit": machine.commit(Path(__file__).parent),
                "machine": machine.machine(),
            }
            | fields
        )
        rows.append(self.path, row)
        self.rows.append(row)
        return row

    def series(self, engine: str, label: str, steps: Sequence[Step], **fields: Any) -> None:
        """A row per change of the counts."""
        for step in changes(steps):
            counts = {key: value for key, value in asdict(step).items() if key != "ready" and value is not None}
            counts["at_s"] = round(step.at_s, 3)
            parameters = fields.get("parameters", {}) | counts
            self.add(engine, label, SERIES, step.ready, **(fields | {"unit": "workers", "parameters": parameters}))
