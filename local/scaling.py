"""More or fewer nodes in a running local cluster, for sessions that scale."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from local import state
from local.parts import DaskNode, Facts, RayNode, part_of
from local.state import Place
from local.supervisor import Say, _silent, start, stop


def nodes_of(cluster: str, state_dir: Path | str) -> list[RayNode | DaskNode]:
    """The nodes that were started for the head or scheduler named `cluster`, in the order of their numbers."""
    parts = [part_of(record.part) for record in state.read(Place.of(state_dir)).values()]
    nodes = [part for part in parts if isinstance(part, RayNode | DaskNode) and cluster in part.needs]
    return sorted(nodes, key=lambda node: _number(node.name))


def add_nodes(like: RayNode | DaskNode, count: int, state_dir: Path | str, say: Say = _silent) -> dict[str, Facts]:
    """Starts `count` nodes like the one given, at the same time, under the next free numbers; facts by name."""
    taken = {_number(node.name) for node in nodes_of(like.needs[0], state_dir)}
    stem = re.sub(r"-\d+$", "", like.name)
    numbers = [number for number in range(len(taken) + count) if number not in taken][:count]
    nodes = [replace(like, name=f"{stem}-{number}") for number in numbers]
    with ThreadPoolExecutor(max(1, count)) as pool:
        return dict(
            zip((node.name for node in nodes), pool.map(lambda n: start(n, state_dir, say), nodes), strict=True)
        )


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
