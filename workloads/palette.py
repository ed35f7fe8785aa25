"""Autoscaling (EXPERIMENTS A4): how fast do clusters grow and shrink under image tasks, against functions?

Every engine extracts the same six colours of the same photographs, read from the bucket, and is watched meanwhile.
"""

import os
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from bench import autoscale, budget, command, forecast, images, lifecycle, machine, samples
from bench.attempt import attempt, line, raise_if_interrupted
from bench.autoscale import Bounds, Ran
from bench.budget import Guard
from bench.data_options import Address
from bench.dataset import DataError
from bench.engines import Sessions
from bench.forecast import Asked
from bench.options import Seconds, run_options
from bench.parity import Unequal, check_equal, check_seen
from bench.progress import progress
from bench.rows import Billed, Data, Failure, Row, Workers
from bench.scaling_rows import Log
from bench.scaling_smoke import smoke
from bench.sessions.session import Fleet, Session
from bench.table import answers, printed
from bench.truth import deadline_as_error
from bench.verdict import conclude, epilog
from plan.narrow import Fitted
from tasks.listing import shown
from tasks.objects import Access
from tasks.palette import Palette, checksum, extract_all

ENGINES = ("ray", "dask", "lithops")
ITEM_BYTES = 2048
"""What this program holds of each image: its address in a call, and its palette with a trace."""


@dataclass(frozen=True)
class Job:
    """What every engine does: `work` by reference, in calls of `chunk`, with the answer that is true."""

    access: Access
    found: images.Images
    work: list[str]
    truth: dict[str, Palette]
    chunk: dict[str, int]
    after: int
    settle_s: float
    timeout_s: float
    guard: Guard
    allow_unequal: bool

    @property
    def answer(self) -> str:
        """The checksum of all palettes in the order of the work."""
        return checksum([self.truth[uri] for uri in self.work])

    @property
    def data(self) -> Data:
        """As a row tells it: `files` distinct images, `size_bytes` read by all of the work."""
        return Data(
            uri=self.found.base, files=len(self.found.sizes), size_bytes=self.found.size_bytes(len(self.work)),
            rows=len(self.work),
        )  # fmt: skip


@click.command(epilog=epilog("python workloads/palette.py --stack dev-autoscale --count 1000 --repeats 1"))
@run_options
@click.option("--count", default=1000, show_default=True, type=click.IntRange(1), help="Images, by reference.")
@click.option("--images", "folder", type=Address(must_exist=True), help="A folder of your own photographs.")
@click.option("--chunk", default=1, show_default=True, type=click.IntRange(1), help="Images per task of a cluster.")
@click.option(
    "--function-chunk", default=1, show_default=True, type=click.IntRange(1), help="Images per function; said in rows."
)
@click.option(
    "--after",
    default=20,
    show_default=True,
    type=click.IntRange(0),
    help="More images when all are done, to provoke the shrinking.",
)
@click.option(
    "--settle",
    "settle_s",
    default=120.0,
    show_default=True,
    type=Seconds(or_none=True),
    help="Seconds to watch the workers go.",
)
def palette(
    *,
    stack: str,
    engines: str | None,
    repeats: int,
    cold: bool,
    ray_address: str | None,
    dask_address: str | None,
    results: Path,
    estimate: bool,
    timeout_s: float,
    count: int,
    folder: str | None,
    chunk: int,
    function_chunk: int,
    after: int,
    settle_s: float,
    allow_unequal: bool,
) -> None:
    """Extract palettes on every engine of a stack, and record its workers and images over time."""
    asked = Asked(stack, "palette", engines, repeats, cold, results, items=count)
    if estimate:
        with command.told():
            return forecast.tell(asked)
    with command.told(), command.open_stack(stack, ray_address, dask_address) as sessions:
        machine.check_memory(count * ITEM_BYTES, f"--count {count}", f"{ITEM_BYTES} bytes of each image")
        labels = command.asked(sessions, engines, ENGINES)
        guard = budget.begin(sessions, labels, asked)
        found = _uploaded(sessions, folder)
        truth = {one.uri: one for one in _truth(sessions, list(found.sizes), guard, timeout_s)}
        sizes = {"lithops": function_chunk}
        job = Job(
            sessions.access, found, found.work(count), truth, {engine: sizes.get(engine, chunk) for engine in ENGINES},
            after, settle_s, timeout_s, guard, allow_unequal,
        )  # fmt: skip
        log = Log(sessions, results, "palette")
        plan = sessions.one_at_a_time(samples.plan(labels, repeats, int(cold)))
        lifecycle.ended(sessions, labels, log.add)
        try:
            with progress(len(plan) + len(labels)) as report:
                for label, engine in labels:
                    report.begin(f"{label} smoke test")
                    report.end(smoke(log, engine, label, guard=guard, timeout_s=timeout_s))
                for sample in plan:
                    report.begin(f"{sample.label} {sample.condition} {sample.repeat + 1}")
                    report.end(take(log, job, sample))
                    if guard.over:
                        break
        finally:
            lifecycle.started(sessions, labels, log.add)
            guard.keep(log.rows, log.path)
            printed().print(Fitted(_table(log.rows), lead=2))
            click.echo(answer_lines(list(truth.values())))
            click.echo(f"rows: {log.path}", err=True)
        conclude(log.rows, plan)


def _uploaded(sessions: Sessions, folder: str | None) -> images.Images:
    """The photographs, in the stack's bucket. Raises DataError."""
    bucket = sessions.outputs.data_bucket
    if bucket is None:
        raise DataError(
            f"stack {sessions.outputs.stack!r} has no data bucket for the images: take a stack that has one"
        )
    if folder and folder.startswith("s3://"):
        raise DataError(f"found --images {folder}, wanted a folder: its photographs are put into the stack's bucket")
    sources = images.sources(Path(folder) if folder else None)
    click.echo(sources.told(), err=True)
    return images.upload(sessions.access, bucket, sources.files, Path(folder).name if folder else "shipped")


def take(log: Log, job: Job, sample: samples.Sample) -> str:
    """One sample and its rows; a failure is a row. Raises KeyboardInterrupt after its row."""
    engine, label = sample.engine, sample.label
    fields: dict[str, Any] = {"condition": sample.condition, "repeat": sample.repeat, "data": job.data}
    fields["parameters"] = {"images": len(job.work), "chunk": job.chunk[engine]}

    def work() -> str:
        (session,) = log.sessions.of(engine)
        if sample.condition == "cold" and session.keeps_workers:
            session.recycle()
        limits = autoscale.bounds(log.sessions.cluster(engine), session.fleet().workers)
        fields["unequal"] = _unequal(log, job, sample, session.fleet(), limits)
        calls = autoscale.chunks(job.work, job.chunk[engine])
        at = datetime.now(UTC)
        ran = autoscale.run(
            session, extract_all, job.access, calls, limits=limits,
            after=job.work[: job.after] if limits.moves else (), settle_s=job.settle_s,
        )  # fmt: skip
        return _rows(log, job, sample, session=session, limits=limits, ran=ran, at=at, fields=fields)

    done = attempt(log.sessions, job.guard, engine, job.timeout_s, work)
    if isinstance(done, Failure):
        log.add(engine, label, "run_s", None, failure=done, **fields)
        raise_if_interrupted(done)
        return f"{label}: {line(done)}"
    return done


def _unequal(log: Log, job: Job, sample: samples.Sample, found: Fleet, limits: Bounds) -> bool:
    """Whether workers differ from what the stack declares; their number is an autoscaler's where there is one. Raises
    Unequal, unless it was allowed."""
    declared = log.sessions.declared(sample.engine)
    if declared and limits.moves:
        declared = replace(declared, workers=found.workers)
    try:
        check_equal(sample.engine, found, declared)
    except Unequal:
        if not job.allow_unequal:
            raise
        return True
    return False


def _rows(
    log: Log, job: Job, sample: samples.Sample, *,
    session: Session, limits: Bounds, ran: Ran, at: datetime, fields: dict[str, Any],
) -> str:  # fmt: skip
    engine, label = sample.engine, sample.label
    fields["workers"] = _workers(log, ran, limits)
    answer = checksum(ran.results)
    failure: Failure | None = None
    if answer != job.answer:
        failure = Failure(kind="wrong-answer", message=f"found {answer}, wanted {job.answer}")
    else:
        failure = _seen(log, job, engine, ran, fields) or _not_cold(log, sample, session, ran)
    billed = _billed(session.engine, ran, log)
    job.guard.used(billed)
    began = {"at": at.isoformat(), "answer": answer, "billed": billed}
    status = "failed" if failure and failure.kind == "wrong-answer" else "dropped" if failure else "ok"
    log.add(engine, label, "run_s", ran.run_s, failure=failure, status=status, **began, **fields)
    for uri, times in Counter(one.uri for one in ran.results if one.failed).items():
        why = next(one.failed for one in ran.results if one.uri == uri and one.failed)
        log.add(
            engine, label, "failed_items", float(times), unit="images",
            failure=Failure(kind="bad-data", message=f"{uri}: {why}"), **fields,
        )  # fmt: skip
    if sample.condition == "none":
        return f"{label} untimed: {ran.run_s:.2f} s"
    if one := next((one for one in ran.results if one.colours), None):
        shown = {"image": one.uri.rpartition("/")[2], "colours": " ".join(f"#{bytes(c).hex()}" for c in one.colours)}
        told = fields | {"parameters": fields["parameters"] | shown}
        log.add(engine, label, "palette", float(len(one.colours)), unit="colours", **told)
    rate = len(ran.results) / ran.run_s
    log.add(engine, label, "images_per_s", rate, unit="1/s", **fields)
    log.add(engine, label, "under_worker_s", ran.under_worker_s, **fields)
    log.add(engine, label, "over_worker_s", ran.over_worker_s, **fields)
    log.series(engine, label, ran.steps, **fields)
    said = f"{label} {sample.condition}: {len(ran.results)} images in {ran.run_s:.2f} s, {rate:.1f} a second"
    return said + _scaled(log, sample, limits, ran, fields) if limits.moves else said


def _scaled(log: Log, sample: samples.Sample, limits: Bounds, ran: Ran, fields: dict[str, Any]) -> str:
    """Rows of growing and shrinking; what did not happen in time is a failed row of kind deadline."""
    most = max(step.ready for step in ran.steps)
    missed = f"{most} of {limits.most} workers were ready when the last image was done, after {ran.run_s:.1f} s"
    said = ""
    for metric, value, why in (
        ("first_extra_s", ran.times.first_extra_s, missed),
        ("to_max_s", ran.times.to_max_s, missed),
        ("to_min_s", ran.times.to_min_s if ran.settled else None, str(autoscale.unsettled(ran, limits))),
    ):
        failure = Failure(kind="deadline", message=why) if value is None else None
        log.add(sample.engine, sample.label, metric, value, failure=failure, **fields)
        said += f", {metric} " + (f"{value:.1f}" if value is not None else "never")
    return said


def _seen(log: Log, job: Job, engine: str, ran: Ran, fields: dict[str, Any]) -> Failure | None:
    """What is wrong with the workers by their own report, unless it was allowed; marks the rows."""
    sessions, traces = log.sessions, [one.trace for one in ran.done]
    try:
        check_seen(engine, traces, sessions.declared(engine), sessions.sharing(engine))
    except Unequal as error:
        fields["unequal"] = True
        return None if job.allow_unequal else Failure(kind="unequal", message=str(error))
    return None


def _not_cold(log: Log, sample: samples.Sample, session: Session, ran: Ran) -> Failure | None:
    """Why a cold sample was none. A warm one may well meet new workers, where an autoscaler brings them."""
    dropped = log.seen.judge(sample, {one.trace.worker for one in ran.done})
    return dropped if sample.condition == "cold" and session.keeps_workers else None


def _truth(sessions: Sessions, uris: Sequence[str], guard: Guard, timeout_s: float) -> list[Palette]:
    """By processes of this machine, within the deadline. Raises DataError when that is over."""
    pool = sessions.processes(min(4, os.cpu_count() or 1, len(uris)))
    calls = [(sessions.access, list(uris[at : at + 16])) for at in range(0, len(uris), 16)]
    try:
        with deadline_as_error("the images", guard, timeout_s), progress(len(calls)) as report:
            done = {}
            for one in pool.stream(extract_all, calls):
                done[one.index] = one.result
                report.end("palettes for the true answer")
    finally:
        pool.close()
    return [palette for index in sorted(done) for palette in done[index]]


def answer_lines(truth: Sequence[Palette]) -> str:
    """The true answer as a person reads it: the first palette, and each image that has none, with the reason."""
    failed = [f"{shown(one.uri.rpartition('/')[2])}: {one.failed}" for one in truth if one.failed]
    first = next((one for one in truth if one.colours), None)
    colours = " ".join(f"#{bytes(colour).hex()}" for colour in first.colours) if first else ""
    named = f", {shown(first.uri.rpartition('/')[2])} is {colours}" if first else ""
    told = [f"answer: palettes of {len(truth) - len(failed)} of {len(truth)} images{named}"]
    return "\n".join([*told, *(f"no palette of {one}" for one in failed[:10])])


def _workers(log: Log, ran: Ran, limits: Bounds) -> Workers:
    out = log.sessions.outputs
    held = min((one.trace for one in ran.done), key=lambda trace: trace.seen_mib)
    return Workers(
        count=limits.most, vcpu=out.worker_vcpu, declared_mib=out.worker_memory_mib, seen_mib=held.seen_mib,
        enforced_by=held.enforced_by, pids=sorted({one.trace.pid for one in ran.done}),
    )  # fmt: skip


def _billed(engine: str, ran: Ran, log: Log) -> Billed:
    """Workers for as long as they were there until the last image, functions for their own time."""
    if engine == "lithops":
        return lifecycle.functions(log.sessions.outputs, [one.trace for one in ran.done])
    there = zip(ran.steps, ran.steps[1:], strict=False)
    worker_s = sum(step.ready * max(0.0, min(after.at_s, ran.run_s) - step.at_s) for step, after in there)
    held = lifecycle.machines(log.sessions, lifecycle.cluster_of(engine), ran.run_s, worker_s)
    return held if held.worker_s else Billed(worker_s=worker_s)


def _table(rows: Sequence[Row]) -> Table:
    metrics = ("run_s", "images_per_s", "first_extra_s", "to_max_s", "to_min_s", "under_worker_s", "over_worker_s")
    drawn = Table(caption="median of the samples; worker-seconds under and over what was wanted", highlight=False)
    for name in ("engine", "condition", *metrics, "answer"):
        drawn.add_column(name)
    given = {row.answer for row in rows if row.metric == "run_s" and row.status == "ok" and row.answer}
    held: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.condition != "none":
            held.setdefault((row.label, row.condition), []).append(row)
    for key, group in held.items():
        counted = [row for row in group if row.status == "ok" and row.value is not None]
        values = {m: [row.value for row in counted if row.metric == m] for m in metrics}
        cells = [f"{statistics.median(values[m]):.2f}" if values[m] else "" for m in metrics]
        runs = [row for row in group if row.metric == "run_s"]
        drawn.add_row(*key, *cells, answers(runs, given))
    return drawn


if __name__ == "__main__":
    palette()
