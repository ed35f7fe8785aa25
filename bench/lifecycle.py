"""What machines are billed while they exist, and the rows of their start and end.

A cluster that a command scales up is its own from start to zero: both are rows of the command. A cluster that was up
before and stays up (embedded stacks) ends with its stack; `bench.teardown` leaves that row.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.engines import NEEDS, Sessions
from bench.rows import Billed, Failure
from plan import billing
from plan.outputs import Outputs
from tasks.trace import Trace

Add = Callable[..., Any]
"""add(engine, label, metric, value, **fields of a row)"""
CLUSTERS = ("ray", "dask")


def cluster_of(engine: str) -> str | None:
    """The cluster that an engine runs on, None for functions and baselines."""
    return next((name for name in NEEDS.get(engine, ()) if name in CLUSTERS), None)


def machines(sessions: Sessions, name: str | None, seconds: float, worker_s: float | None = None) -> Billed:
    """What a stack's cluster is billed for `seconds` at its declared size, with its head; on eks all the stack's nodes;
    nothing for a cluster of the user's own, of which nobody here knows what it costs.

    worker_s: of workers that were not all there all the time; then by these its nodes are counted.
    """
    outputs, cluster = sessions.outputs, sessions.cluster(name) if name else None
    if cluster is None:
        return Billed()
    workers = cluster.nodes * cluster.slots_per_node
    used_s = workers * seconds if worker_s is None else worker_s
    node_s = {cluster.instance_type or "local": used_s / cluster.slots_per_node}
    if cluster.platform == "eks" and outputs.kubernetes:
        node_s = {str(cluster.instance_type): outputs.kubernetes.nodes * seconds}
    if head := cluster.head_instance_type:
        node_s[head] = node_s.get(head, 0.0) + seconds
    return Billed(node_s=node_s, worker_s=used_s)


def functions(outputs: Outputs, traces: Iterable[Trace]) -> Billed:
    """What function calls are billed, each by its own time: the user's code, and what the platform runs around it."""
    traces, pool = list(traces), outputs.functions
    calls = [trace.billed_s for trace in traces]
    if not (calls and pool):
        return Billed()
    return Billed(
        function_s=sum(calls),
        function_code_s=sum(trace.busy_s for trace in traces),
        function_gb_s=float(billing.lambda_gb_s([round(call, 6) for call in calls], pool.memory_mib)),
        function_requests=len(calls),
        architecture=pool.architecture,
    )


def started(sessions: Sessions, labels: Sequence[tuple[str, str]], add: Add) -> None:
    """A row for each engine that was opened: the seconds its parts took to start and its session to open."""
    for label, engine in labels:
        needs, cluster = NEEDS[engine], cluster_of(engine)
        if any(name not in sessions.opened_s for name in needs):
            continue
        phases = {f"open {name}": sessions.opened_s[name] for name in needs} | sessions.started_s(needs)
        began_at = sessions.began_at(cluster)
        add(
            engine,
            label,
            "startup_s",
            sum(phases.values()),
            phases=phases,
            billed=machines(sessions, cluster, sum(phases.values())),
            parameters={**sessions.booted_s(needs), **({"up_at": began_at} if began_at else {})},
        )


def ended(sessions: Sessions, labels: Sequence[tuple[str, str]], add: Add) -> None:
    """From now on a row for each cluster that this command brings to zero, under the first label that used it."""

    def note(name: str, seconds: float, why: str | None) -> None:
        label, engine = next((pair for pair in labels if name in NEEDS[pair[1]]), (name, name))
        failed = {"status": "failed", "failure": Failure(kind="left-running", message=why)} if why else {}
        add(engine, label, "teardown_s", seconds, billed=machines(sessions, name, seconds), **failed)

    sessions.on_down = note
