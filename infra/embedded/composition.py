"""From settings to the list of local parts, and from their facts to the stack's outputs: pure, for both drivers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local import (
    S3,
    DaskAutoscaler,
    DaskNode,
    DaskScheduler,
    FunctionPool,
    Part,
    RayAutoscaler,
    RayHead,
    RayNode,
    Redis,
    worker_python,
)
from plan.outputs import CacheOutputs, ClusterOutputs, FunctionsOutputs, Outputs
from plan.settings import Cluster, Settings
from plan.sizing import FUNCTIONS, sizes

BUCKETS = {"data_bucket": "data", "working_bucket": "working", "results_bucket": "results"}


def parts(settings: Settings) -> list[Part]:
    """Every local part of the stack, what is needed before what needs it."""
    found: list[Part] = [S3(buckets=tuple(BUCKETS.values()))]
    if settings.cache:
        found.append(Redis(maxmemory_mib=settings.cache.max_memory_mib))
    for name, cluster in settings.clusters.items():
        found += _cluster(name, cluster, settings)
    if settings.functions:
        found.append(
            FunctionPool(workers=settings.functions.max_workers, memory_mib=sizes(settings)[FUNCTIONS].limit_mib)
        )
    return found


def outputs(settings: Settings, state_dir: Path, facts: Mapping[str, Mapping[str, Any]]) -> Outputs:
    """What the stack exports, from the facts of its running parts by name."""
    held = sizes(settings)
    return Outputs(
        stack=settings.stack,
        program=settings.program,
        region="us-east-1",  # what an S3 client signs with; the local endpoint takes any
        worker_memory_mib=settings.worker.memory_mib,
        worker_vcpu=settings.worker.vcpu,
        s3_endpoint=facts["s3"]["address"],
        s3_secret_at=facts["s3"]["secret_at"],
        **BUCKETS,
        clusters={
            name: ClusterOutputs(
                engine=cluster.engine,
                platform="local",
                address=facts[name]["address"],
                secret_at=facts[name].get("secret_at"),
                nodes=held[name].nodes,
                slots_per_node=held[name].slots_per_node,
                group=name,
                limit_mib=held[name].limit_mib,
                limit_enforced_by=facts[f"{name}-node-0"]["memory_enforced_by"],
                autoscale=cluster.autoscale,
            )
            for name, cluster in settings.clusters.items()
        },
        functions=settings.functions
        and FunctionsOutputs(
            platform="local",
            max_workers=settings.functions.max_workers,
            memory_mib=held[FUNCTIONS].limit_mib,
            timeout_s=settings.functions.timeout_s,
            runtime=facts["functions"]["python"],
            temp_dir=facts["functions"]["temp_dir"],
            limit_enforced_by=facts["functions"]["memory_enforced_by"],
        ),
        cache=settings.cache
        and CacheOutputs(
            host=facts["redis"]["host"],
            port=int(facts["redis"]["port"]),
            tls=False,
            secret_at=facts["redis"]["secret_at"],
        ),
        state_dir=str(state_dir),
        worker_python=str(worker_python(state_dir)),
        startup_s={name: float(fact["startup_s"]) for name, fact in facts.items() if "startup_s" in fact},
        began_at={name: float(fact["began_at"]) for name, fact in facts.items() if "began_at" in fact},
    )


def _cluster(name: str, cluster: Cluster, settings: Settings) -> list[Part]:
    size = sizes(settings)[name]
    slots, limit_mib = size.slots_per_node, size.limit_mib
    scale = cluster.autoscale
    least = max(1, -(-scale.min_workers // slots)) if scale else size.nodes
    names = [f"{name}-node-{number}" for number in range(least)]
    found: list[Part]
    if cluster.engine == "ray":
        found = [RayHead(name), *(RayNode(node, slots=slots, memory_mib=limit_mib, head=name) for node in names)]
    else:
        found = [
            DaskScheduler(name),
            *(DaskNode(node, slots=slots, memory_mib=limit_mib, scheduler=name) for node in names),
        ]
    if scale:
        autoscaler = RayAutoscaler if cluster.engine == "ray" else DaskAutoscaler
        bounds = (least, size.nodes, scale.idle_timeout_s)
        found.append(autoscaler(f"{name}-autoscaler", slots, limit_mib, *bounds, name))
    return found
