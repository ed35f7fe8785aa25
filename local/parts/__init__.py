"""The kinds of parts: each a frozen dataclass that says how its process is started and when it is ready."""

from dataclasses import asdict
from typing import Any

from local.parts.dask_cluster import DaskAutoscaler, DaskNode, DaskScheduler
from local.parts.function_pool import FunctionPool
from local.parts.launch import Facts, FactValue, Launch
from local.parts.ray_cluster import RayAutoscaler, RayHead, RayNode
from local.parts.redis_server import Redis
from local.parts.s3_server import S3

Part = S3 | Redis | RayHead | RayNode | RayAutoscaler | DaskScheduler | DaskNode | DaskAutoscaler | FunctionPool

KINDS: dict[str, type[Part]] = {
    "s3": S3,
    "redis": Redis,
    "ray-head": RayHead,
    "ray-node": RayNode,
    "ray-autoscaler": RayAutoscaler,
    "dask-scheduler": DaskScheduler,
    "dask-node": DaskNode,
    "dask-autoscaler": DaskAutoscaler,
    "functions": FunctionPool,
}

__all__ = [
    "KINDS",
    "S3",
    "DaskAutoscaler",
    "DaskNode",
    "DaskScheduler",
    "FactValue",
    "Facts",
    "FunctionPool",
    "Launch",
    "Part",
    "RayAutoscaler",
    "RayHead",
    "RayNode",
    "Redis",
    "part_of",
    "to_dict",
]


def to_dict(part: Part) -> dict[str, Any]:
    """The part as JSON-able data: its fields and its kind."""
    kind = next(name for name, cls in KINDS.items() if type(part) is cls)
    fields = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(part).items()}
    return {"kind": kind} | fields


def part_of(data: dict[str, Any]) -> Part:
    """The part that `to_dict` gave. Numbers may come as floats, as a Pulumi engine hands them over."""
    fields = {key: _plain(value) for key, value in data.items() if key != "kind" and not key.startswith("__")}
    try:
        return KINDS[data["kind"]](**fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no part: {data!r} ({error}); wanted a kind of {', '.join(KINDS)} and its fields") from error


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_plain(item) for item in value)
    return int(value) if isinstance(value, float) and value.is_integer() else value
