"""A stack's settings: one typed, frozen object under `breakeven:settings`, parsed once, unknown keys refused.

What belongs to a person (owner, client address, region, quota) is not here: see `plan.person`.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from plan import platform_keys, stack_file, strict_yaml
from plan.model import Model
from plan.person import KEYS
from plan.problems import empty_keys, explain
from plan.stack_file import LONGEST_CLUSTER, LONGEST_STACK, ROOT, checked, name_problem, path_of

SettingsError = stack_file.SettingsError

CONFIG_KEY = "breakeven:settings"

Engine = Literal["ray", "dask"]
Platform = Literal["local", "ec2", "eks"]
# As AWS names general purpose buckets: they go into policies as they stand, where `*` would mean every bucket.
BucketName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]


RESERVED = ("functions", "cache", "driver", "kubernetes", "s3", "redis")
"""Names of a stack's other parts, in prices, local state and AWS: no cluster may bear one."""


class Setting(Model):
    """A part of the settings. Strict: no text is read as a number and no `true` as 1; numbers are finite."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Worker(Setting):
    """The declared worker, equal on every compared platform. The published rule is 4 GB per worker."""

    memory_mib: int = Field(4096, ge=128, le=1_048_576)
    vcpu: int = Field(1, ge=1, le=256, description="CPU slots one worker takes; a node offers one slot per vCPU")
    reason: str | None = Field(None, description="why this stack departs from 4096 MiB and 1 vCPU")

    @model_validator(mode="after")
    def _departure_has_a_reason(self) -> Self:
        if self.reason is not None and not self.reason.strip():
            raise ValueError("reason is empty: say in a sentence why this stack departs from 4096 MiB and 1 vCPU")
        if (self.memory_mib, self.vcpu) != (4096, 1) and self.reason is None:
            raise ValueError("a worker other than 4096 MiB and 1 vCPU needs `reason`: say why in a sentence")
        return self


class Autoscale(Setting):
    """Bounds, in workers, within which the engine's own autoscaler moves a cluster."""

    min_workers: int = Field(ge=0, le=10_000)
    max_workers: int = Field(ge=1, le=10_000)
    idle_timeout_s: int = Field(60, ge=1, le=86_400)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_workers > self.max_workers:
            raise ValueError(f"minWorkers {self.min_workers} is above maxWorkers {self.max_workers}")
        return self


class Cluster(Setting):
    """One Ray or Dask cluster. On `local` and `ec2` workers come as nodes x slots; on `eks` as pods."""

    engine: Engine
    platform: Platform
    instance_type: str | None = Field(None, description="ec2: the type of every worker node")
    head_instance_type: str | None = Field(None, description="ec2: the head or scheduler; default the workers' type")
    nodes: int | None = Field(None, ge=1, le=1000, description="local, ec2: worker nodes that the session scales up to")
    slots_per_node: int | None = Field(
        None, ge=1, le=256, description="local, ec2: workers per node; default one per vCPU of the type"
    )
    workers: int | None = Field(None, ge=1, le=10_000, description="eks: worker pods that the session scales up to")
    limit_mib: int | None = Field(
        None, ge=128, le=1_048_576, description="local, ec2: held memory per worker; default derived by plan.sizing"
    )
    autoscale: Autoscale | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        platform_keys.check(self, self.platform, "a cluster", platform_keys.CLUSTER_KEYS[self.platform])
        return self


class Kubernetes(Setting):
    """The EKS cluster that all `eks` clusters of the stack share: one managed node group."""

    version: str
    instance_type: str
    nodes: int = Field(ge=1, le=450)
    min_nodes: int | None = Field(None, ge=0, le=450, description="with maxNodes: node autoscaling between the two")
    max_nodes: int | None = Field(None, ge=1, le=450)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if (self.min_nodes is None) != (self.max_nodes is None):
            raise ValueError("minNodes and maxNodes belong together: give both for node autoscaling, or neither")
        least, most = self.min_nodes or 0, self.max_nodes or self.nodes
        if not least <= self.nodes <= most:
            raise ValueError(f"nodes {self.nodes} is not between minNodes {least} and maxNodes {most}")
        return self


class Functions(Setting):
    """The function pool that Lithops calls. memory_mib is the worker's unless the stack states another."""

    platform: Literal["local", "lambda"]
    max_workers: int = Field(ge=1, le=100_000)
    memory_mib: int | None = Field(None, ge=128, le=1_048_576)
    timeout_s: int = Field(900, ge=1, le=86_400)
    architecture: Literal["x86_64", "arm64"] = Field("x86_64", description="lambda: only x86_64 has images")
    in_vpc: bool = Field(False, description="lambda: run inside the stack's network, where a cache can be reached")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        lambda_only = {"architecture", "in_vpc"} if self.platform == "lambda" else set()
        platform_keys.check(
            self, self.platform, "a function pool", ((), {"max_workers", "memory_mib", "timeout_s", *lambda_only})
        )
        return self


class Cache(Setting):
    """The Redis (Valkey) host through which multiprocessing workers talk."""

    platform: Literal["local", "ec2"]
    instance_type: str | None = None
    max_memory_mib: int = Field(256, ge=16, le=1_048_576)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = ("instance_type",) if self.platform == "ec2" else ()
        platform_keys.check(self, self.platform, "a cache", (needed, {"max_memory_mib"}))
        return self


class Driver(Setting):
    """The small host inside the region that runs the experiment of an AWS stack."""

    instance_type: str = "m6i.large"


Workload = Literal["ingest", "sort", "palette", "startup", "generate", "items"]


class Intended(Setting):
    """What a stack was made for: what is estimated where a command does not say. gb are of 1,024 MB."""

    workload: Workload
    gb: float | None = Field(None, gt=0, le=1_000_000_000, description="data that one run reads")
    items: int | None = Field(None, ge=1, le=1_000_000_000, description="images of palette, files of generate")


class Settings(Setting):
    """One stack, whole. `stack` is the name of the file, not a key in it."""

    stack: str
    program: Literal["embedded", "base", "bench"]
    worker: Worker = Worker()
    clusters: dict[str, Cluster] = Field(default_factory=dict)
    kubernetes: Kubernetes | None = None
    functions: Functions | None = None
    cache: Cache | None = None
    driver: Driver | None = None
    compare: list[str] = Field(
        [], description="clusters by name, and `functions`: held to equal workers by the rules; default all of them"
    )
    equal_limits: bool = Field(False, description="hold every compared platform to the smallest derived limit")
    intended: Intended | None = Field(None, description="what the stack was made for, and the estimate's default")
    base: str | None = Field(None, description="bench: the long-lived stack whose buckets and images are used")
    read_buckets: list[BucketName] = Field(
        [], description="bench: buckets of your own, by name, that workers and functions may read (--data s3://...)"
    )
    ttl_h: float | None = Field(None, ge=0.25, le=8760, description="hours until expiry; bench: required")
    budget_usd: float | None = Field(
        None, gt=0, le=1_000_000, description="worst cost until expiry may not exceed it; bench: required"
    )

    @field_validator("clusters")
    @classmethod
    def _cluster_names(cls, clusters: dict[str, Cluster]) -> dict[str, Cluster]:
        for name in clusters:
            if problem := name_problem(name, LONGEST_CLUSTER):
                raise ValueError(f"a cluster's name: {problem}")
            if name in RESERVED:
                raise ValueError(f"a cluster cannot be named {name!r}, which is another part of a stack")
            for other in clusters:  # parts of a cluster are named `<cluster>-...`, and known again by it
                if name.startswith(f"{other}-"):
                    raise ValueError(f"the cluster name {name!r} begins with {other!r} and a hyphen: rename one")
        return clusters

    @field_validator("base")
    @classmethod
    def _base_name(cls, base: str | None) -> str | None:
        if base is not None and (problem := name_problem(base, LONGEST_STACK)):
            raise ValueError(f"the base stack's name: {problem}")
        return base

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        if twice := sorted({name for name in self.compare if self.compare.count(name) > 1}):
            raise ValueError(f"compare names {twice[0]!r} twice: keep one")
        for name in self.compare:
            if name != "functions" and name not in self.clusters:
                raise ValueError(f"compare names {name!r}, wanted one of {[*self.clusters, 'functions']}")
        if "functions" in self.compare and self.functions is None:
            raise ValueError("compare names 'functions', but the stack declares none")
        pods = [name for name, cluster in self.clusters.items() if cluster.platform == "eks"]
        if pods and self.kubernetes is None:
            raise ValueError(f"clusters {pods} run on eks, but the stack declares no `kubernetes`: add it")
        return self

    @property
    def compared(self) -> list[str]:
        """Platforms whose workers must be equal: those of `compare`, or every one where it is left out."""
        every = [*self.clusters, *(["functions"] if self.functions else [])]
        return self.compare or every

    @property
    def functions_memory_mib(self) -> int:
        """Memory of one function: its own, or the declared worker's."""
        own = self.functions.memory_mib if self.functions else None
        return own or self.worker.memory_mib


def parse(document: Any, stack: str) -> Settings:
    """Turn the value of `breakeven:settings` into Settings. Raises SettingsError, which names file and key."""
    where = f"Pulumi.{checked(stack)}.yaml, {CONFIG_KEY}"
    if not isinstance(document, Mapping):
        found = "nothing" if document is None else f"{document!r:.60}"
        raise SettingsError(f"{where}: found {found}, wanted a mapping with `program`, as in Pulumi.dev.yaml")
    if "stack" in document:
        raise SettingsError(f"{where}.stack: unknown key; the file's name is the stack's name, so leave it out")
    if empty := list(empty_keys(document)):
        raise SettingsError(f"{where}: {', '.join(empty)}: found nothing; give a value, or leave the key out")
    try:
        return Settings.model_validate({**document, "stack": stack}, by_alias=True, by_name=False)
    except ValidationError as error:
        problems = [explain(Settings, problem) for problem in error.errors()]
        raise SettingsError(f"{where}: " + "; ".join(problems)) from None


def load(stack: str, root: Path = ROOT) -> Settings:
    """Read `Pulumi.<stack>.yaml` below `root` without an engine. Raises SettingsError."""
    path = path_of(stack, root)
    config = strict_yaml.config(path)
    ours = [CONFIG_KEY, *(f"breakeven:{key}" for key in KEYS)]
    for key in config:
        if key.startswith("breakeven:") and key not in ours:
            near = difflib.get_close_matches(key, ours, n=1, cutoff=0.0)[0]
            raise SettingsError(f"{path.name}, {key}: unknown key; the nearest known key is {near!r}")
    if CONFIG_KEY not in config:
        raise SettingsError(f"stack {stack!r}: {path.name} has no {CONFIG_KEY}; add it, as in Pulumi.dev.yaml")
    return parse(config[CONFIG_KEY], stack)
