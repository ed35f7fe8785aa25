"""The model of one run as phases, in closed form; `queueing` takes over where workers come late or queue for a server.

start (machine, image, joining) -> run (dispatch, reading and computing per worker, what all share, stragglers) -> end.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from catalog.instances import instance
from plan.estimate import queueing
from plan.sizing import Size

MB_PER_GB = 1024  # as the published data sets are sized
PIECES_PER_WORKER = 4  # tasks/ranges.py: a slow worker is made up for by the others
TIMEOUT_SHARE = 0.8  # of a function's timeout that one call may be planned for
WORKERS = "the workers themselves"
DISPATCH = "dispatch of tasks"
# A shared server that is busy for this share of the workers' time makes tasks queue: then the run is simulated.
QUEUES_FROM = 0.3


class Values(Protocol):
    """Parameters by name; raises plan.estimate.parameters.ParameterMissing."""

    def __getitem__(self, name: str) -> float: ...


@dataclass(frozen=True)
class Work:
    """What is done. gb are of 1,024 MB; items cost `item_core_s` of one core each, on at most `threads` cores.

    pieces: tasks it is cut in, None for the project's own rule. prefixes: key prefixes over which objects are spread.
    kept: share of the bytes that a sort has to sort; None where nothing is sorted. request: what S3 bills them as.
    """

    name: str
    gb: float = 0.0
    items: int = 0
    item_core_s: float = 0.0
    threads: int = 1
    pieces: int | None = None
    prefixes: int = 1
    kept: float | None = None
    request: str = "s3:get"


@dataclass(frozen=True)
class Phase:
    """Seconds with `nodes` worker machines, `heads` and `functions` billed."""

    name: str
    seconds: float
    nodes: int = 0
    heads: int = 0
    function_s: float = 0.0
    calls: int = 0


@dataclass(frozen=True)
class Run:
    """The timed part. loads: seconds for which each server is busy, the workers among them; the longest decides.

    task_s is what one task needs, task_mean_s what it takes while all wait for what they share: that is billed.
    """

    seconds: float
    tasks: int
    task_s: float
    task_mean_s: float
    loads: Mapping[str, float]
    closed_s: float

    @property
    def simulated(self) -> bool:
        return self.seconds != self.closed_s

    @property
    def saturates(self) -> str:
        """What is busy longest, then the next one with its share of the first."""
        (first, most), *others = sorted(self.loads.items(), key=lambda load: -load[1])
        second = f"; next {others[0][0]} at {others[0][1] / most:.0%} of that" if others and most else ""
        return first + second


def startup(size: Size, p: Values) -> list[Phase]:
    """From the command to all workers ready, on machines billed from the start."""
    if size.platform == "lambda" or size.engine == "lithops":
        return []
    if size.platform == "local":
        return [Phase("head and workers", p["head_start_s"], nodes=size.nodes)]
    if size.platform == "eks":
        nodes_s = p["nodes_start_s"] if size.min_workers < size.workers else 0.0
        return [Phase("nodes and pods", nodes_s + p["pods_start_s"], nodes=size.nodes)]
    late = " (held up by the rate at which EC2 launches)" if size.nodes > p["launch_burst"] else ""
    return [
        Phase("head", p["head_start_s"], heads=1),
        Phase(f"workers{late}", workers_start_s(size.nodes, p), nodes=size.nodes, heads=1),
    ]


def workers_start_s(nodes: int, p: Values) -> float:
    """Seconds until the last of `nodes` machines has joined: grows with doublings past 4, and by the launch rate."""
    own = p["workers_start_s"] + p["workers_start_per_doubling_s"] * max(0.0, math.log2(nodes / 4))
    return own + max(0.0, nodes - p["launch_burst"]) / p["launch_per_s"]


def run(size: Size, work: Work, p: Values, timeout_s: float = math.inf, *, simulate: bool = True) -> Run:
    """Reading and computing on ready workers; `call_s` and `join_s` of functions are within."""
    megabytes = work.gb * MB_PER_GB
    rate = min(p["read_mb_s"], p["stream_mb_s"])
    item_s = work.item_core_s / min(work.threads, size.vcpu_per_worker) if work.items else 0.0
    busy_s = megabytes / rate + work.items * item_s
    tasks = _tasks(size, work, busy_s, timeout_s)
    task_s = busy_s / tasks
    waves = math.ceil(tasks / size.workers)
    slowest = straggle(min(tasks, size.workers), p)
    loads = {WORKERS: waves * task_s * slowest, DISPATCH: tasks / p["tasks_per_s"]}
    if megabytes:
        loads["requests of one prefix"] = megabytes / p["request_mb"] / p["gets_per_s"] / work.prefixes
        loads["bandwidth that all workers share"] = work.gb / p["shared_gb_s"]
        if (network := _network_s(size, megabytes, loads[WORKERS], p)) is not None:
            loads["network of a node"] = network
    calls_s = p["call_s"] + p["join_s"] if size.engine == "lithops" else 0.0
    closed_s = seconds = max(loads.values())
    if simulate and (late := _late(size, loads, p)) is not None:
        servers = [loads[DISPATCH] / tasks, *([loads["requests of one prefix"] / tasks] if megabytes else [])]
        seconds = max(queueing.makespan_s(late, tasks, task_s * slowest, servers), *loads.values())
    shared_s = max((load for name, load in loads.items() if name not in (WORKERS, DISPATCH)), default=0.0)
    return Run(seconds + calls_s, tasks, task_s, max(task_s, shared_s / waves), loads, closed_s + calls_s)


def straggle(workers: int, p: Values) -> float:
    """How much longer the slowest of `workers` takes than the mean: the expected maximum of normal deviates."""
    return 1 + p["straggler_sigma"] * math.sqrt(2 * math.log(max(1, workers)))


def sort_s(size: Size, work: Work, p: Values) -> float:
    """Sorting the kept rows: each worker sorts its part, then sends and receives it once."""
    megabytes = work.gb * MB_PER_GB * (work.kept or 0.0) / size.workers
    return megabytes / p["sort_mb_s"] + 2 * megabytes / p["stream_mb_s"]


def _tasks(size: Size, work: Work, busy_s: float, timeout_s: float) -> int:
    if work.pieces is not None:
        return work.pieces
    if work.items:
        return work.items
    if size.engine != "lithops":
        return PIECES_PER_WORKER * size.workers
    return size.workers * max(1, math.ceil(busy_s / size.workers / (TIMEOUT_SHARE * timeout_s)))


def _network_s(size: Size, megabytes: float, unlimited_s: float, p: Values) -> float | None:
    """Seconds a node's network is busy: at its peak rate within the burst, at its baseline after it."""
    if size.instance_type is None or not (node := instance(size.instance_type)).network_gbps_baseline:
        return None
    per_node, baseline = megabytes / size.nodes, node.network_gbps_baseline * 1000 / 8
    peak = (node.network_gbps_peak or node.network_gbps_baseline) * 1000 / 8
    in_burst = min(per_node, per_node * p["burst_s"] / unlimited_s, peak * p["burst_s"])
    burst_s = p["burst_s"] if in_burst < per_node else in_burst / peak
    return burst_s + (per_node - in_burst) / baseline


def _late(size: Size, loads: Mapping[str, float], p: Values) -> list[float] | None:
    """When each worker is there, where that or a shared server makes the closed form wrong; None where it is right."""
    if size.engine == "lithops" and size.workers > p["concurrency_burst"]:
        return queueing.arrivals_s(size.workers, int(p["concurrency_burst"]), p["concurrency_per_s"])
    if size.min_workers < size.workers and size.engine != "lithops":
        added = size.workers - size.min_workers
        after = p["pods_start_s"] if size.platform == "eks" else workers_start_s(size.nodes, p)
        return [0.0] * size.min_workers + [after] * added
    shared = max(seconds for name, seconds in loads.items() if name != WORKERS)
    return [0.0] * size.workers if shared > QUEUES_FROM * loads[WORKERS] else None
