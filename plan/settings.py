"""A stack's settings: one typed, frozen object under `breakeven:settings`, parsed once, unknown keys refused.

What belongs to a person (owner, client address, region, quota) is not here: see `plan.person`.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from plan.model import Model

CONFIG_KEY = "breakeven:settings"

Engine = Literal["ray", "dask"]
Platform = Literal["local", "ec2", "eks"]


class SettingsError(ValueError):
    """A stack's settings cannot be used; the message names stack, key, what was found and what to do."""


class Worker(Model):
    """The declared worker, equal on every compared platform. The published rule is 4 GB per worker."""

    memory_mib: int = Field(4096, ge=128)
    vcpu: int = Field(1, ge=1, description="CPU slots one worker takes; a node offers one slot per vCPU")
    reason: str | None = Field(None, description="why this stack departs from 4096 MiB and 1 vCPU")

    @model_validator(mode="after")
    def _departure_has_a_reason(self) -> Self:
        if (self.memory_mib, self.vcpu) != (4096, 1) and not self.reason:
            raise ValueError("a worker other than 4096 MiB and 1 vCPU needs `reason`: say why in a sentence")
        return self


class Autoscale(Model):
    """Bounds, in workers, within which the engine's own autoscaler moves a cluster."""

    min_workers: int = Field(ge=0)
    max_workers: int = Field(ge=1)
    idle_timeout_s: int = Field(60, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_workers > self.max_workers:
            raise ValueError(f"minWorkers {self.min_workers} is above maxWorkers {self.max_workers}")
        return self


class Cluster(Model):
    """One Ray or Dask cluster. On `local` and `ec2` workers come as nodes x slots; on `eks` as pods."""

    engine: Engine
    platform: Platform
    instance_type: str | None = Field(None, description="ec2: the type of every worker node")
    head_instance_type: str | None = Field(None, description="ec2: the head or scheduler; default the workers' type")
    nodes: int | None = Field(None, ge=1, description="local, ec2: worker nodes that the session scales up to")
    slots_per_node: int | None = Field(None, ge=1, description="workers per node; default one per vCPU of the type")
    workers: int | None = Field(None, ge=1, description="eks: worker pods that the session scales up to")
    limit_mib: int | None = Field(None, ge=128, description="held memory per worker; default derived by plan.sizing")
    autoscale: Autoscale | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        wanted = {"local": ("nodes", "slots_per_node"), "ec2": ("instance_type", "nodes"), "eks": ("workers",)}
        missing = [key for key in wanted[self.platform] if getattr(self, key) is None]
        if missing:
            names = [str(type(self).model_fields[key].alias) for key in missing]
            raise ValueError(f"a cluster on {self.platform} needs {' and '.join(names)}")
        if self.platform == "eks" and self.limit_mib is not None:
            raise ValueError("limitMib is for local and ec2: a pod is held to the worker's own size")
        return self


class Kubernetes(Model):
    """The EKS cluster that all `eks` clusters of the stack share: one managed node group."""

    version: str
    instance_type: str
    nodes: int = Field(ge=1)
    min_nodes: int | None = Field(None, ge=0, description="with maxNodes: node autoscaling between the two")
    max_nodes: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if (self.min_nodes is None) != (self.max_nodes is None):
            raise ValueError("minNodes and maxNodes belong together: give both for node autoscaling, or neither")
        least, most = self.min_nodes or 0, self.max_nodes or self.nodes
        if not least <= self.nodes <= most:
            raise ValueError(f"nodes {self.nodes} is not between minNodes {least} and maxNodes {most}")
        return self


class Functions(Model):
    """The function pool that Lithops calls. memory_mib is the worker's unless the stack states another."""

    platform: Literal["local", "lambda"]
    max_workers: int = Field(ge=1)
    memory_mib: int | None = Field(None, ge=128)
    timeout_s: int = Field(900, ge=1)
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    in_vpc: bool = False


class Cache(Model):
    """The Redis (Valkey) host through which multiprocessing workers talk."""

    platform: Literal["local", "ec2"]
    instance_type: str | None = None
    max_memory_mib: int = Field(256, ge=16)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.platform == "ec2" and self.instance_type is None:
            raise ValueError("a cache on ec2 needs instanceType")
        return self


class Driver(Model):
    """The small host inside the region that runs the experiment of an AWS stack."""

    instance_type: str = "m6i.large"


class Settings(Model):
    """One stack, whole. `stack` is the name of the file, not a key in it."""

    stack: str
    program: Literal["embedded", "base", "bench"]
    worker: Worker = Worker()
    clusters: dict[str, Cluster] = Field(default_factory=dict)
    kubernetes: Kubernetes | None = None
    functions: Functions | None = None
    cache: Cache | None = None
    driver: Driver | None = None
    compare: list[str] = Field([], description="clusters by name, and `functions`: held to equal workers by the rules")
    equal_limits: bool = Field(False, description="hold every compared platform to the smallest derived limit")
    base: str | None = Field(None, description="bench: the long-lived stack whose buckets and images are used")
    ttl_h: float | None = Field(None, gt=0, description="hours until expiry; bench: required")
    budget_usd: float | None = Field(
        None, gt=0, description="worst cost until expiry may not exceed it; bench: required"
    )

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for name in self.compare:
            if name != "functions" and name not in self.clusters:
                raise ValueError(f"compare names {name!r}, wanted one of {[*self.clusters, 'functions']}")
        if "functions" in self.compare and self.functions is None:
            raise ValueError("compare names 'functions', but the stack declares none")
        pods = [name for name, cluster in self.clusters.items() if cluster.platform == "eks"]
        if pods and self.kubernetes is None:
            raise ValueError(f"clusters {pods} run on eks, but the stack declares no `kubernetes`: add it")
        if "functions" in self.clusters:
            raise ValueError("a cluster cannot be named 'functions': `compare` means the function pool by it")
        return self

    @property
    def functions_memory_mib(self) -> int:
        """Memory of one function: its own, or the declared worker's."""
        own = self.functions.memory_mib if self.functions else None
        return own or self.worker.memory_mib


def parse(document: Mapping[str, Any], stack: str) -> Settings:
    """Turn the value of `breakeven:settings` into Settings. Raises SettingsError, which names stack and key."""
    try:
        return Settings.model_validate({**document, "stack": stack})
    except ValidationError as error:
        problems = [_explain(dict(problem)) for problem in error.errors()]
        raise SettingsError(f"stack {stack!r}, {CONFIG_KEY}: " + "; ".join(problems)) from None


def load(stack: str, root: Path) -> Settings:
    """Read `Pulumi.<stack>.yaml` below `root` without an engine. Raises SettingsError."""
    path = root / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        known = sorted(p.name.removeprefix("Pulumi.").removesuffix(".yaml") for p in root.glob("Pulumi.*.yaml"))
        near = difflib.get_close_matches(stack, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SettingsError(f"stack {stack!r}: found no {path.name}, wanted one of {known}{hint}")
    config = (yaml.safe_load(path.read_text()) or {}).get("config") or {}
    if CONFIG_KEY not in config:
        raise SettingsError(f"stack {stack!r}: {path.name} has no {CONFIG_KEY}; add it, as in Pulumi.dev.yaml")
    return parse(config[CONFIG_KEY], stack)


def _explain(problem: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in problem["loc"]) or "settings"
    if problem["type"] != "extra_forbidden":
        return f"{where}: {problem['msg'].removeprefix('Value error, ')} (found {problem['input']!r:.80})"
    known = _known_keys(problem["loc"][:-1])
    near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1, cutoff=0.0)
    return f"{where}: unknown key; the nearest known key is {near[0]!r} (known: {', '.join(known)})"


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in loc:
        for field in model.model_fields.values():
            if field.alias == part:
                nested = [t for t in _types_in(field.annotation) if isinstance(t, type) and issubclass(t, BaseModel)]
                model = nested[0] if nested else model
    return sorted(str(field.alias) for name, field in model.model_fields.items() if name != "stack")


def _types_in(annotation: Any) -> list[Any]:
    return [annotation, *(inner for arg in getattr(annotation, "__args__", ()) for inner in _types_in(arg))]
