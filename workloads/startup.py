"""Cluster loading (EXPERIMENTS A1, A2): how long from the create command until every worker has run a task?

For a number of workers, and for the same number in fewer, bigger nodes. Each engine's smoke test comes first.
"""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from bench import budget, command, forecast, lifecycle
from bench.budget import Guard
from bench.failures import failure_of
from bench.forecast import Asked
from bench.options import run_options
from bench.progress import Report, progress
from bench.rows import Billed, Workers
from bench.scaling_rows import Log
from bench.scaling_smoke import smoke
from bench.scaling_startup import Loaded, load, of_pods
from bench.sessions.session import Session
from bench.table import printed

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


@click.command(epilog="Example: python workloads/startup.py --stack dev --engines ray,dask --workers 1,2,4 --repeats 3")
@run_options
@click.option("--workers", default="1,2,4,8,16", show_default=True, callback=numbers, help="Workers to load.")
@click.option("--slots", callback=numbers, default="1", show_default=True, help="Workers of a node; several: vertical.")
def startup(
    *,
    stack: str,
    engines: str | None,
    repeats: int,
    ray_address: str | None,
    dask_address: str | None,
    results: Path,
    estimate: bool,
    timeout_s: float,
    workers: list[int],
    slots: list[int],
    **_: Any,
) -> None:
    """Load clusters of several sizes from nothing; say when the first, half, 90 % and all workers had run a task."""
    asked = Asked(stack, "startup", engines, repeats, True, results, workers=tuple(workers))
    if estimate:
        with command.told():
            return forecast.tell(asked)
    with command.told(), command.open_stack(stack, ray_address, dask_address) as sessions:
        log = Log(sessions, results, "startup")
        wanted = engines or ",".join(e for e in ("ray", "dask", "lithops") if e in sessions.available())
        shapes = [(n, s) for n in workers for s in slots if n % s == 0]
        labels = command.asked(sessions, wanted)
        guard = budget.begin(sessions, labels, asked)
        options: dict[str, Any] = {"repeats": repeats, "timeout_s": timeout_s}
        lifecycle.ended(sessions, labels, log.add)
        try:
            with progress(len(labels) * (1 + repeats * len(shapes))) as report:
                for label, engine in labels:
                    if not guard.over:
                        _engine(log, label, engine=engine, shapes=shapes, **options, report=report, guard=guard)
        finally:
            lifecycle.started(sessions, labels, log.add)
            printed().print(_table(log))
            click.echo(f"rows: {log.path}", err=True)
        if log.failed:
            raise SystemExit(1)


def _engine(
    log: Log,
    label: str,
    *,
    engine: str,
    shapes: Sequence[tuple[int, int]],
    repeats: int,
    timeout_s: float,
    report: Report,
    guard: Guard,
) -> None:
    sessions = log.sessions
    (session,) = sessions.of(engine)
    report.begin(f"{label} smoke test")
    report.end(smoke(log, session, label))
    declared = sessions.declared(engine)
    cluster = sessions.cluster(engine)
    try:
        # Functions have no nodes: one shape for each number.
        own = [(count, 1) for count in dict(shapes)] if engine == "lithops" else shapes
        for repeat in range(repeats):
            for count, slots in own:
                report.begin(f"{label}: {count} workers, {slots} of a node")
                shape = {"count": count, "slots": slots, "repeat": repeat}
                report.end(_sample(log, session, label, **shape, timeout_s=timeout_s, guard=guard))
                if guard.over:
                    return
    finally:
        if cluster:
            session.scale(cluster.nodes, cluster.slots_per_node)
        elif declared:
            session.scale(declared.workers)


def _sample(
    log: Log,
    session: Session,
    label: str,
    *,
    count: int,
    slots: int,
    repeat: int,
    timeout_s: float,
    guard: Guard,
) -> str:
    sessions = log.sessions
    nodes = count // slots
    shape: dict[str, Any] = {
        "workers": count,
        "nodes": nodes,
        "slots_per_node": slots,
        "image": IMAGES[session.platform],
    }
    fields: dict[str, Any] = {"condition": "cold", "repeat": repeat}
    try:
        with guard.watched(session.engine, timeout_s):
            if session.engine != "lithops":
                _to_zero(log, session, label)
            found = load(session, nodes, slots, timeout_s)
    except (Exception, KeyboardInterrupt) as error:
        failure = failure_of(error, sessions.access, sessions.outputs.working_bucket)
        log.add(session.engine, label, "startup_all_s", None, failure=failure, parameters=shape, **fields)
        if failure.kind == "interrupted":
            raise
        return f"{label}: {count} workers: {failure.kind}: {failure.message.splitlines()[0][:200]}"
    for pod in getattr(session, "times", ()):
        facts = shape | pod.facts()
        log.add(session.engine, label, "pod_s", pod.took_s(), phases=pod.spans_s(), parameters=facts, **fields)
    out = sessions.outputs
    fields["workers"] = Workers(
        count=count, vcpu=out.worker_vcpu, declared_mib=out.worker_memory_mib, pids=[_pid(one) for one in found]
    )
    held = lifecycle.machines(out, lifecycle.cluster_of(session.engine), found[-1].ran_s, count * found[-1].ran_s)
    shape |= sessions.boot_phases_s(session.engine) | of_pods(getattr(session, "times", ()))
    for name, share in SHARES:
        fields["billed"] = held if name == "all" else Billed()
        one = found[max(0, -(-int(share * 100) * len(found) // 100) - 1)]
        told = {"process_s": one.process_s, "joined_s": one.joined_s}
        log.add(
            session.engine, label, f"startup_{name}_s", one.ran_s, phases=one.phases,
            parameters=shape | {key: round(at, 3) for key, at in told.items() if at is not None}, **fields,
        )  # fmt: skip
    return f"{label}: {count} workers in {nodes} nodes: first {found[0].ran_s:.2f} s, all {found[-1].ran_s:.2f} s"


def _to_zero(log: Log, session: Session, label: str) -> None:
    """No worker nodes; the head stays, so that the next load has none to wait for."""
    began = time.perf_counter()
    session.scale(0)
    seconds = time.perf_counter() - began
    held = lifecycle.machines(log.sessions.outputs, lifecycle.cluster_of(session.engine), seconds)
    log.add(session.engine, label, "teardown_s", seconds, billed=held, parameters={"head": "stays"})


def _pid(one: Loaded) -> int:
    part = one.worker.split(":")
    return int(part[1]) if len(part) == 3 else 0


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
