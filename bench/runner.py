"""Takes samples: cold first, interleaved, each checked against the true answer, each a row as soon as it ends."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import lifecycle, machine, rows, samples
from bench.attempt import attempt, line, raise_if_interrupted
from bench.budget import Guard
from bench.deadline import deadline
from bench.engines import BASELINES, NEEDS, Sessions
from bench.parity import Unequal, check_equal, check_seen
from bench.progress import Report
from bench.readers.ingest import Ingest, Outcome, Read
from bench.rows import Billed, Data, Failure, Row, Task, Workers
from bench.sessions.session import Session
from bench.spans import Spans
from tasks.answer import Answer
from tasks.trace import peak_mib

# A thousand objects go by one request: this is for an endpoint that no longer answers.
_CLEAR_S = 60.0


@dataclass
class Run:
    """One command's samples: what is run, where its rows go, and what was learnt on the way."""

    sessions: Sessions
    job: Ingest
    truth: Answer
    readers: Mapping[str, Read]
    reader: str
    labels: Sequence[tuple[str, str]]
    results: Path
    allow_unequal: bool
    timeout_s: float
    workload: str
    guard: Guard = field(default_factory=Guard)
    run_id: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}")
    seen: samples.Seen = field(default_factory=samples.Seen)
    rows: list[Row] = field(default_factory=list)
    unequal: set[str] = field(default_factory=set)
    _warmed: dict[str, tuple[bool, object]] = field(default_factory=dict)
    """By label: whether its last sample went well, and in which openings of its sessions."""

    @property
    def path(self) -> Path:
        return self.results / self.sessions.outputs.stack / f"{self.run_id}.jsonl"

    def take(self, plan: Sequence[samples.Sample], report: Report) -> None:
        """Take all samples. A failure is a row and the next engine still runs; Ctrl-C, or a budget spent, is a row and
        ends it."""
        lifecycle.ended(self.sessions, self.labels, self._edge)
        current = None
        try:
            for current in plan:
                for sample in [*self._again(current), current]:
                    report.begin(f"{sample.label} {_condition(sample)}")
                    row = self._cleared(self._sample(sample))
                    self.add(row)
                    self._warmed[sample.label] = row.status != "failed", self.sessions.openings(sample.engine)
                    raise_if_interrupted(row.failure)
                    if self.guard.over:
                        break
                report.end(_line(row))
                if self.guard.over:
                    return
        except KeyboardInterrupt:
            last = self.rows[-1].failure if self.rows else None
            if current and not (last and last.kind == "interrupted"):  # it came between two samples
                failure = Failure(kind="interrupted", message="between two samples")
                self.add(self._row(current, status="failed", failure=failure))
            raise

    def _again(self, sample: samples.Sample) -> list[samples.Sample]:
        """Untimed runs anew, where another engine's failure ended the workers that this one had warmed."""
        fine, opened = self._warmed.get(sample.label, (False, None))
        lost = fine and opened != self.sessions.openings(sample.engine)
        return samples.untimed(sample.label, sample.engine) if lost and sample.condition == "warm" else []

    def add(self, row: Row) -> None:
        """Append one row to the file, and keep it for the table."""
        rows.append(self.path, row)
        self.rows.append(row)

    def finish(self) -> None:
        """Rows of start-up, and of the estimates beside what was measured; those of ends follow when clusters go."""
        lifecycle.started(self.sessions, self.labels, self._edge)
        self.pods()
        self.guard.keep(self.rows, self.path)

    def _edge(self, engine: str, label: str, metric: str, value: float, **fields: Any) -> None:
        row = self._row(samples.Sample(label, engine, "none", 0), metric=metric, value=value)
        self.add(replace_row(row, **fields | {"parameters": row.parameters | fields.get("parameters", {})}))

    def pods(self) -> None:
        """One row per worker pod: seconds from its creation until its worker was counted, by step."""
        for label, engine in self.labels:
            for pod in (pod for name in NEEDS[engine] for pod in self.sessions.pods.get(name, ())):
                row = self._row(samples.Sample(label, engine, "none", 0), metric="pod_s", value=pod.took_s())
                self.add(replace_row(row, phases=pod.spans_s(), parameters=row.parameters | pod.facts()))

    def _sample(self, sample: samples.Sample) -> Row:
        row, spans = self._row(sample, at=datetime.now(UTC)), Spans()

        def work() -> Row:
            opened = self._ready(sample)
            at, began = datetime.now(UTC), time.perf_counter()
            outcome = self.readers[sample.engine](opened, self.job, spans)
            value = time.perf_counter() - began
            timed = replace_row(row, at=at.isoformat(), value=value, phases=spans.seconds)
            return self._judged(sample, timed, outcome, opened)

        done = attempt(self.sessions, self.guard, sample.engine, self.timeout_s, work)
        if isinstance(done, Failure):
            return replace_row(row, status="failed", failure=done, phases=spans.seconds)
        self.guard.used(done.billed)
        return done

    def _cleared(self, row: Row) -> Row:
        """The row of a sample when what it left in the bucket is gone; a note on it where that failed."""
        try:
            with deadline(_CLEAR_S):
                self.job.clear()
        except Exception as error:
            return replace_row(
                row, parameters=row.parameters | {"not_cleared": f"{type(error).__name__}: {error}"[:300]}
            )
        return row

    def _ready(self, sample: samples.Sample) -> list[Session]:
        """Sessions opened, equal to what is declared, and recycled for a cold sample. None of it is timed."""
        opened = self.sessions.of(sample.engine)
        for name, session in zip(NEEDS[sample.engine], opened, strict=True):
            if sample.condition == "cold":
                session.recycle()
            try:
                check_equal(name, session.fleet(), self.sessions.declared(name))
            except Unequal:
                if not self.allow_unequal:
                    raise
                self.unequal.add(sample.label)
        return opened

    def _judged(self, sample: samples.Sample, row: Row, outcome: Outcome, opened: Sequence[Session]) -> Row:
        value = row.value or 0.0
        notes = {
            **outcome.notes,
            "harness_s": round(value - sum(row.phases.values()), 6),
            "driver_peak_mib": peak_mib(),
        }
        notes["worker_peak_mib"] = max((trace.peak_mib for trace in outcome.traces), default=0.0)
        if any(trace.enforced_by == "cgroup" for trace in outcome.traces):
            notes["memory_shared_by"] = self.sessions.sharing(NEEDS[sample.engine][0])
        forked = not all(session.keeps_workers for session in opened)
        if forked:
            notes["function_processes"] = "forked in every run, from a runtime that is warm after its first"
        row = replace_row(
            row,
            answer=outcome.answer.checksum(),
            parameters=row.parameters | notes,
            workers=self._workers(sample, outcome, opened[0]),
            tasks=_tasks(outcome, datetime.fromisoformat(row.at).timestamp(), value),
            billed=self._billed(sample, outcome, opened, value),
            unequal=sample.label in self.unequal,
        )
        # The answer first: a wrong one must not pass as a sample that merely had other resources.
        if outcome.answer != self.truth:
            message = f"found {outcome.answer}, wanted {self.truth}"
            return replace_row(row, status="failed", failure=Failure(kind="wrong-answer", message=message))
        try:
            for name in NEEDS[sample.engine]:
                own = [t for t in outcome.traces if (t in outcome.functions) == (name == "lithops")]
                check_seen(name, own, self.sessions.declared(name), self.sessions.sharing(name))
        except Unequal as error:
            row = replace_row(row, unequal=True)
            if not self.allow_unequal:
                return replace_row(row, status="dropped", failure=Failure(kind="unequal", message=str(error)))
        functions = {trace.worker for trace in outcome.functions} if forked else set()
        dropped = self.seen.judge(sample, {trace.worker for trace in outcome.traces} - functions)
        return replace_row(row, status="dropped", failure=dropped) if dropped else row

    def _workers(self, sample: samples.Sample, outcome: Outcome, session: Session) -> Workers:
        fleet, out = session.fleet(), self.sessions.outputs
        name = NEEDS[sample.engine][0]
        declared = self.sessions.declared(name)
        own = [trace for trace in outcome.traces if trace not in outcome.functions] or outcome.functions
        held = min(own, key=lambda trace: trace.seen_mib)
        return Workers(
            count=fleet.workers,
            vcpu=fleet.vcpu,
            declared_mib=out.worker_memory_mib,
            limit_mib=declared.memory_mib if declared else None,
            seen_mib=held.seen_mib,
            enforced_by=held.enforced_by,
            pids=sorted({trace.pid for trace in outcome.traces}),
        )

    def _billed(self, sample: samples.Sample, outcome: Outcome, opened: Sequence[Session], value: float) -> Billed:
        """What a provider would bill: all workers of a cluster for the whole run, functions for their own time."""
        called = lifecycle.functions(self.sessions.outputs, outcome.functions)
        held = lifecycle.machines(self.sessions, lifecycle.cluster_of(sample.engine), value)
        clusters = [s.fleet() for s in opened if s.engine != "lithops"]
        if clusters and (self.sessions.platform(sample.engine) == "own" or not held.worker_s):
            held = Billed(node_s={"local": value})
        # One process with a pool of threads occupies as many worker slots as the machine has processors.
        worker_s = sum(value * (f.vcpu if sample.engine == "arrow" else f.workers) for f in clusters)
        read = int(outcome.notes.get("bytes_read") or self.job.data.size_bytes)
        told = {"node_s": held.node_s, "worker_s": worker_s, "s3_gets": outcome.s3_gets, "bytes_read": read}
        return called.model_copy(update=told)

    def _row(self, sample: samples.Sample, at: datetime | None = None, **fields: object) -> Row:
        out, data = self.sessions.outputs, self.job.data
        baseline = sample.engine in BASELINES
        return Row(
            run_id=self.run_id,
            at=(at or datetime.now(UTC)).isoformat(),
            stack=out.stack,
            platform=self.sessions.platform(sample.engine),
            workload=self.workload,
            engine=sample.engine,
            label=sample.label,
            reader="native" if baseline else self.reader,
            condition=sample.condition,
            repeat=sample.repeat,
            data=Data(uri=data.uri, files=len(data.objects), size_bytes=data.size_bytes, rows=self.truth.rows),
            parameters={"column": data.query.column, "above": data.query.above, "largest": data.query.largest},
            versions=machine.versions(),
            commit=machine.commit(Path(__file__).parent),
            machine=machine.machine(),
            **fields,
        )


def replace_row(row: Row, **fields: object) -> Row:
    """The row with other fields, checked again."""
    return Row.model_validate({**dict(row), **fields})


def _tasks(outcome: Outcome, began_at: float, value: float) -> list[Task]:
    """Calls that began within the run, by the workers' clocks: those of a clock that is far off are left out."""
    functions = {(trace.worker, trace.began_at) for trace in outcome.functions}
    lanes: dict[str, int] = {}
    return [
        Task(
            lane=lanes.setdefault(trace.worker, len(lanes)),
            began_s=round(trace.began_at - began_at, 4),
            ended_s=round(trace.ended_at - began_at, 4),
            on_function=(trace.worker, trace.began_at) in functions,
        )
        for trace in sorted(outcome.traces, key=lambda trace: trace.began_at)
        if 0 <= trace.began_at - began_at < value
    ]


def _condition(sample: samples.Sample) -> str:
    return {"cold": "cold", "warm": "warm", "none": "untimed"}[sample.condition] + f" {sample.repeat + 1}"


def _line(row: Row) -> str:
    condition = _condition(samples.Sample(row.label, row.engine, row.condition, row.repeat))
    if row.failure:
        return f"{row.label} {condition}: {line(row.failure, row.status)}"
    return f"{row.label} {condition}: {row.value:.2f} s"
