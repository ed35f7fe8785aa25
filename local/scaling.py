"""More or fewer nodes in a running local cluster, for sessions that scale."""

import re
import threading
import time
from collections.abc import Collection
from concurrent.futures import ALL_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from local import processes, state
from local.parts import DaskNode, Facts, RayNode, part_of
from local.state import Place
from local.supervisor import Say, _silent, first_error, interruptible, start, stop, uninterrupted

Node = TypeVar("Node", bound=RayNode | DaskNode)


def nodes_of(cluster: str, state_dir: Path | str) -> list[RayNode | DaskNode]:
    """The nodes that were started for the head or scheduler named `cluster`, in the order of their numbers."""
    parts = [part_of(record.part) for record in state.read(Place.of(state_dir)).values()]
    nodes = [part for part in parts if isinstance(part, RayNode | DaskNode) and cluster in part.needs]
    return sorted(nodes, key=lambda node: _number(node.name))


def add_nodes(like: RayNode | DaskNode, count: int, state_dir: Path | str, say: Say = _silent) -> dict[str, Facts]:
    """Starts `count` nodes like the one given, at the same time, under the next free numbers; facts by name.

    On a failure, or SIGINT or SIGTERM, those that this call started are ended again.
    """
    nodes = numbered(like, count, state_dir)
    cancel = threading.Event()
    with interruptible(), ThreadPoolExecutor(max(1, count)) as pool:
        try:
            futures = {node.name: pool.submit(start, node, state_dir, say, cancel.is_set) for node in nodes}
            first_error(futures)
            return {name: future.result() for name, future in futures.items()}
        except BaseException:
            with uninterrupted():
                cancel.set()
                wait(futures.values(), return_when=ALL_COMPLETED)
                list(pool.map(lambda node: stop(node, state_dir, say, grace_s=0), nodes))
            raise


def end_lost(cluster: str, state_dir: Path | str, spared: Collection[str] = ()) -> list[str]:
    """Ends what is left of nodes whose process is gone, all but the `spared`; their names. An autoscaler then asks for
    others."""
    records = state.read(Place.of(state_dir))
    names = [node.name for node in nodes_of(cluster, state_dir) if node.name in records and node.name not in spared]
    lost = [name for name in names if processes.find(records[name].identity) is None]
    for name in lost:
        stop(name, state_dir, grace_s=0)
    return lost


def await_nodes(cluster: str, count: int, state_dir: Path | str, deadline_s: float = 60.0) -> None:
    """Returns when `count` nodes have been started by someone else, as `up` does beside the autoscaler, or too late."""
    until = time.monotonic() + deadline_s
    while len(nodes_of(cluster, state_dir)) < count and time.monotonic() < until:
        time.sleep(0.1)


def numbered(like: Node, count: int, state_dir: Path | str, taken: Collection[str] = ()) -> list[Node]:
    """`count` nodes like the one given, under the next numbers that are neither in use nor `taken` (whole names)."""
    held = {_number(name) for name in (*(node.name for node in nodes_of(like.needs[0], state_dir)), *taken)}
    stem = re.sub(r"-\d+$", "", like.name)
    numbers = [number for number in range(len(held) + count) if number not in held][:count]
    return [replace(like, name=f"{stem}-{number}") for number in numbers]


def remove_nodes(cluster: str, count: int, state_dir: Path | str, say: Say = _silent) -> list[str]:
    """Ends the `count` nodes with the highest numbers; their names. Work on them is lost to the engine's own retry."""
    nodes = nodes_of(cluster, state_dir)
    if count > len(nodes):
        raise ValueError(f"{cluster} has {len(nodes)} nodes, cannot end {count}")
    ending = nodes[len(nodes) - count :]
    with ThreadPoolExecutor(max(1, count)) as pool:
        list(pool.map(lambda node: stop(node, state_dir, say), ending))
    return [node.name for node in ending]


def _number(name: str) -> int:
    found = re.search(r"-(\d+)$", name)
    return int(found[1]) if found else -1
