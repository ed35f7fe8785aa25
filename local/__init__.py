"""The supervisor of an embedded stack's local processes: starts, checks and ends parts, and leaves nothing behind.

A stack is a list of parts, as plain data, and a state folder. `up` and `down` drive the whole list; `start`, `check`
and `stop` drive one part for a caller that orders them itself; `add_nodes` and `remove_nodes` scale a running cluster.
"""

from local.parts import (
    S3,
    DaskAutoscaler,
    DaskNode,
    DaskScheduler,
    Facts,
    FunctionPool,
    Part,
    RayAutoscaler,
    RayHead,
    RayNode,
    Redis,
    part_of,
    to_dict,
)
from local.ports import PortTaken
from local.processes import PartFailed
from local.scaling import add_nodes, nodes_of, remove_nodes
from local.state import StateError
from local.supervisor import Health, check, down, start, status, stop, up
from local.worker_env import python as worker_python

__all__ = [
    "S3",
    "DaskAutoscaler",
    "DaskNode",
    "DaskScheduler",
    "Facts",
    "FunctionPool",
    "Health",
    "Part",
    "PartFailed",
    "PortTaken",
    "RayAutoscaler",
    "RayHead",
    "RayNode",
    "Redis",
    "StateError",
    "add_nodes",
    "check",
    "down",
    "nodes_of",
    "part_of",
    "remove_nodes",
    "start",
    "status",
    "stop",
    "to_dict",
    "up",
    "worker_python",
]
