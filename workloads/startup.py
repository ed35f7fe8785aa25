"""Cluster loading (EXPERIMENTS A1, A2): how long from the create command until every worker has run a task?

For a number of workers, and for the same number in fewer, bigger nodes. Each engine's smoke test comes first.
"""

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from bench import budget, command, forecast, lifecycle, machine
from bench.attempt import attempt, line, raise_if_interrupted
from bench.budget import Guard
from bench.forecast import Asked
from bench.options import loading_options
from bench.parity import Unequal, check_seen
from bench.progress import Report, progress
from bench.rows import Billed, Failure, Workers
from bench.scaling_rows import Log
from bench.scaling_smoke import smoke
from bench.scaling_startup import PROBES, Loaded, load, of_pods
from bench.sessions.session import Session
from bench.table import printed
from bench.verdict import conclude, epilog
from plan.narrow import Fitted

SHARES = (("first", 0.0), ("half", 0.5), ("90", 0.9), ("all", 1.0))
IMAGES = {
    "local": "no image: local processes",
    "lambda": "set by the stack's function version",
    "ec2": "cold: new machines pull it at boot",
    "eks": "not told",  # until its pods' events do
    "own": "not known: a cluster of your own",
}


def numbers(context: click.Context, parameter: click.Parameter, text: str) -> list[int]:
    """Comma-separated positive whole numbers."""
    found = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if min(found) < 1:
        raise click.BadParameter(f"found {text!r}, wanted whole numbers above 0 such as 1,2,4")
    return found


@click.command(epilog=epilog("python workloads/startup.py --stack dev --engines ray,dask --workers 1,2,4 --repeats 3"))
@loading_options
@click.option("--workers", default="1,2,4,8,16", show_default=True, callback=numbers, help="Workers to load.")
@click.option("--slots", callback=numbers, default="1", show_default=True, help="Workers of a node; several: vertical.")
def startup(
    *,
    stack: str,
    engines: str | None,
    repeats: int,
    allow_unequal: bool,
    results: Path,
    estimate: bool,
    timeout_s: float,
    workers: list[int],
    slots: list[int],
) -> None:
    """Load clusters of several sizes from nothing; say when the first, half, 90 % and all workers had run a task."""
    asked = Asked(stack, "startup", engines, repeats, True, results, workers=tuple(workers))
    if odd := [f"{n} workers of {s}" for n in workers for s in slots if n % s]:
        raise click.UsageError(f"found {odd[0]} a node, wanted a multiple of --slots")
    if estimate:
        with command.told():
            return forecast.tell(asked)
    with command.told(), command.open_stack(stack, None, None) as sessions:
        log = Log(sessions, results, "startup")
        labels = command.asked(sessions, engines, list(PROBES))
        if any(sessions.platform(engine) == "local" for _, engine in labels):
            machine.check_room(max(workers), "--workers")
        guard = budget.begin(sessions, labels, asked)
        shapes = [(n, s) for n in workers for s in slots]
        loading = Loading(log, guard, timeout_s, allow_unequal)
        lifecycle.ended(sessions, labels, log.add)
        try:
            with progress(len(labels) * (1 + repeats * len(shapes))) as report:
                for label, engine in labels:
                    if not guard.over:
                        _engine(loading, label, engine, shapes * repeats, report)
        finally:
            lifecycle.started(sessions, labels, log.add)
            printed().print(Fitted(_table(log), lead=3))
            click.echo(f"rows: {log.path}", err=True)
        conclude(log.rows)


@dataclass(frozen=True)
class Loading:
    """What all loadings of a command share."""

    log: Log
    guard: Guard
    timeout_s: float
    allow_unequal: bool


def _engine(loading: Loading, label: str, engine: str, shapes: Sequence[tuple[int, int]], report: Report) -> None:
    """All loadings of one engine; its cluster is as declared afterwards, or a row says that it is not."""
    log, sessions, timeout_s = loading.log, loading.log.sessions, loading.timeout_s
    report.begin(f"{label} smoke test")
    report.end(smoke(log, engine, label, guard=loading.guard, timeout_s=timeout_s))
    # Functions have no nodes: one loading for each number.
    shapes = [(count, 1) for count, slots in shapes if slots == shapes[0][1]] if engine == "lithops" else shapes
    taken = Counter[tuple[int, int]]()
    try:
        for count, slots in shapes:
            if loading.guard.over:
                return
            report.begin(f"{label}: {count} workers, {slots} of a node")
            report.end(_sample(loading, label, engine, count, slots, taken[count, slots]))
            taken[count, slots] += 1
    finally:
        sessions.restore(engine)


def _sample(loading: Loading, label: str, engine: str, count: int, slots: int, repeat: int) -> str:
    log, sessions = loading.log, loading.log.sessions
    shape: dict[str, Any] = {"workers": count, "nodes": count // slots, "slots_per_node": slots}
    shape["image"] = IMAGES[sessions.platform(engine)]
    fields: dict[str, Any] = {"condition": "cold", "repeat": repeat}

    def work() -> str:
        (session,) = sessions.of(engine)
        if engine != "lithops":
            _to_zero(log, session, label)
        found = load(session, count // slots, slots, loading.timeout_s)
        fields["unequal"] = _unequal(loading, engine, found, slots)
        return _rows(log, session, label, found, shape, fields)

    done = attempt(sessions, loading.guard, engine, loading.timeout_s, work)
    if isinstance(done, Failure):
        log.add(engine, label, "startup_all_s", None, failure=done, parameters=shape, **fields)
        raise_if_interrupted(done)
        return f"{label}: {count} workers: {line(done)}"
    return done


def _unequal(loading: Loading, engine: str, found: Sequence[Loaded], slots: int) -> bool:
    """Whether workers report other memory than the stack declares. Raises Unequal, unless it was allowed."""
    try:
        check_seen(engine, [one.trace for one in found], loading.log.sessions.declared(engine), slots)
    except Unequal:
        if not loading.allow_unequal:
            raise
        return True
    return False


def _rows(
    log: Log, session: Session, label: str, found: Sequence[Loaded], shape: dict[str, Any], fields: dict[str, Any]
) -> str:
    sessions, count = log.sessions, len(found)
    for pod in getattr(session, "times", ()):
        facts = shape | pod.facts()
        log.add(session.engine, label, "pod_s", pod.took_s(), phases=pod.spans_s(), parameters=facts, **fields)
    out = sessions.outputs
    fields["workers"] = Workers(
        count=count, vcpu=out.worker_vcpu, declared_mib=out.worker_memory_mib, pids=[one.trace.pid for one in found]
    )
    held = lifecycle.machines(sessions, lifecycle.cluster_of(session.engine), found[-1].ran_s, count * found[-1].ran_s)
    shape = shape | sessions.boot_phases_s(session.engine) | of_pods(getattr(session, "times", ()))
    for name, share in SHARES:
        fields["billed"] = held if name == "all" else Billed()
        one = found[max(0, -(-int(share * 100) * len(found) // 100) - 1)]
        told = {"process_s": one.process_s, "joined_s": one.joined_s}
        log.add(
            session.engine, label, f"startup_{name}_s", one.ran_s, phases=one.phases,
            parameters=shape | {key: round(at, 3) for key, at in told.items() if at is not None}, **fields,
        )  # fmt: skip
    nodes = shape["nodes"]
    return f"{label}: {count} workers in {nodes} nodes: first {found[0].ran_s:.2f} s, all {found[-1].ran_s:.2f} s"


def _to_zero(log: Log, session: Session, label: str) -> None:
    """No worker nodes; the head stays, so that the next load has none to wait for."""
    began = time.perf_counter()
    session.scale(0)
    seconds = time.perf_counter() - began
    held = lifecycle.machines(log.sessions, lifecycle.cluster_of(session.engine), seconds)
    log.add(session.engine, label, "teardown_s", seconds, billed=held, parameters={"head": "stays"})


def _table(log: Log) -> Table:
    """Medians over the repeats."""
    drawn = Table(caption="seconds from the create command; median of the repeats", highlight=False)
    for name in ("engine", "workers", "nodes", "first", "half", "90 %", "all", "phases of the last worker"):
        drawn.add_column(name)
    held: dict[tuple[str, Any, Any], dict[str, list[float]]] = {}
    split: dict[tuple[str, Any, Any], dict[str, float]] = {}
    for row in log.rows:
        if row.metric.startswith("startup_") and row.metric != "startup_s" and row.value is not None:
            key = (row.label, row.parameters["workers"], row.parameters["nodes"])
            held.setdefault(key, {}).setdefault(row.metric, []).append(row.value)
            split[key] = row.phases
    for key, values in held.items():
        medians = [f"{statistics.median(values[f'startup_{name}_s']):.2f}" for name, _ in SHARES]
        told = ", ".join(f"{name} {seconds:.2f}" for name, seconds in split[key].items())
        drawn.add_row(key[0], str(key[1]), str(key[2]), *medians, told)
    return drawn


if __name__ == "__main__":
    startup()
