"""A stack for hours: clusters at zero, functions, a cache, a driver, and the schedules that end them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws

from infra.aws.buckets import Buckets
from infra.aws.cache_host import CacheHost, CacheHostArgs
from infra.aws.cluster_vms import ClusterVms, ClusterVmsArgs, Site
from infra.aws.dask_vms import DaskVms
from infra.aws.driver_host import DriverHost, DriverHostArgs
from infra.aws.expiry import EndAtExpiry, EndAtExpiryArgs, Expiry, ExpiryArgs
from infra.aws.functions import USER_ID, FunctionsArgs, LithopsFunctions
from infra.aws.guard import watch
from infra.aws.images import repository_arn
from infra.aws.machine_image import amazon_linux
from infra.aws.network import Network, NetworkArgs, Party
from infra.aws.ray_vms import RayVms
from plan.person import Person
from plan.settings import Settings
from plan.sizing import FUNCTIONS, Size, node_limit_mib, sizes
from stacks.judged import judge, judge_stack, same_region, still_ahead, tags
from stacks.place import Place, autoscale_outputs

if TYPE_CHECKING:
    from stacks.pods import Pods

KINDS: Mapping[str, Callable[[str, ClusterVmsArgs, pulumi.ResourceOptions], ClusterVms]] = {
    "ray": RayVms,
    "dask": DaskVms,
}


def program(settings: Settings, person: Person) -> Mapping[str, Any]:
    """Declare a bench stack; the returned mapping is `plan.outputs.Outputs` by its wire names."""
    judged = judge(settings, person)
    assert settings.ttl_h is not None  # plan.rules refuses a bench stack without one
    stack, region, size = settings.stack, person.region, sizes(settings)
    base = pulumi.StackReference(f"{pulumi.get_organization()}/{pulumi.get_project()}/{settings.base}")
    # What it reads comes before all it declares: in another region than base's, nothing is made.
    provider = aws.Provider("aws", region=base.require_output("region").apply(same_region(settings, person)))
    here = pulumi.ResourceOptions(providers=[provider])

    fixed = tags(settings, person)
    expiry = Expiry(stack, ExpiryArgs(stack, settings.ttl_h, person.expires_at, fixed), opts=here)
    at = expiry.at.apply(still_ahead(stack))
    carried: dict[str, pulumi.Input[str]] = {**fixed, "breakeven:expires-at": at}
    declared = watch(carried, judged)

    network = Network(stack, NetworkArgs(region, parties(settings), host_types(settings)), opts=here)
    images = base.require_output("images")
    site = Site(
        stack=stack,
        region=region,
        subnet_id=network.subnet_ids[0],
        image_id=amazon_linux(network),
        buckets=Buckets(
            data=base.require_output("dataBucket"),
            working=base.require_output("workingBucket"),
            results=base.require_output("resultsBucket"),
            also_read=settings.read_buckets,
        ),
        cluster_image=images["cluster"],
        repository_arn=images["cluster"].apply(repository_arn),
        tags=carried,
    )
    place = Place(site, network, images, here)
    on_hosts = [name for name, cluster in settings.clusters.items() if cluster.platform == "ec2"]
    clusters = {name: _cluster(settings, name, size[name], place) for name in on_hosts}
    pods = _pods(settings, person, size, place, at)
    functions = _functions(settings, size[FUNCTIONS], place) if settings.functions else None
    cache = _cache(settings, place)
    driver = _driver(settings, place, [*clusters.values(), *([cache] if cache else [])])

    groups = {f"{name}-{part}": group for name, made in clusters.items() for part, group in _groups(made).items()}
    hosts = {"cache": cache, "driver": driver}
    instances = {name: host.instance_id for name, host in hosts.items() if host is not None}
    EndAtExpiry(f"{stack}-end", EndAtExpiryArgs(stack, region, at, groups, instances), opts=here)
    judge_stack(declared, settings)

    return {
        "stack": stack,
        "program": "bench",
        "region": region,
        "workerMemoryMib": settings.worker.memory_mib,
        "workerVcpu": settings.worker.vcpu,
        "dataBucket": site.buckets.data,
        "workingBucket": site.buckets.working,
        "resultsBucket": site.buckets.results,
        "images": images,
        "clusters": {
            **{name: _cluster_outputs(settings, size[name], made) for name, made in clusters.items()},
            **(pods.clusters if pods else {}),
        },
        "kubernetes": pods.kubernetes if pods else None,
        "functions": _functions_outputs(settings, size[FUNCTIONS], functions) if functions else None,
        "cache": {"host": cache.host, "port": cache.port, "tls": True, "secretAt": cache.secret_at} if cache else None,
        "driverInstance": driver.instance_id if driver else None,
        "expiresAt": at,
    }


def parties(settings: Settings) -> list[Party]:
    """Who lives in the stack's network."""
    engines: list[Party] = sorted({c.engine for c in settings.clusters.values() if c.platform == "ec2"})
    functions: list[Party] = ["functions"] if settings.functions and settings.functions.in_vpc else []
    cache: list[Party] = ["cache"] if settings.cache else []
    driver: list[Party] = ["driver"] if settings.driver else []
    return [*driver, *engines, *functions, *cache]


def host_types(settings: Settings) -> list[str]:
    """Every instance type of the stack, for the choice of zones."""
    of_clusters = [kind for c in settings.clusters.values() for kind in (c.instance_type, c.head_instance_type)]
    hosts = (settings.cache, settings.driver, settings.kubernetes)
    of_hosts = [host.instance_type for host in hosts if host is not None]
    return sorted({kind for kind in (*of_clusters, *of_hosts) if kind is not None})


def _cluster(settings: Settings, name: str, size: Size, place: Place) -> ClusterVms:
    cluster = settings.clusters[name]
    if cluster.platform != "ec2" or cluster.instance_type is None:
        raise ValueError(f"stack {settings.stack!r}, clusters.{name}: found platform {cluster.platform!r}, wanted ec2")
    args = ClusterVmsArgs(
        site=place.site,
        security_group_id=place.network.group_ids[cluster.engine],
        instance_type=cluster.instance_type,
        head_instance_type=cluster.head_instance_type or cluster.instance_type,
        nodes=size.nodes,
        slots_per_node=size.slots_per_node,
        vcpu_per_slot=settings.worker.vcpu,
        limit_mib=size.limit_mib,
        node_limit_mib=node_limit_mib(size),
        autoscale=cluster.autoscale,
    )
    return KINDS[cluster.engine](f"{settings.stack}-{name}", args, place.opts)


def _pods(
    settings: Settings, person: Person, size: Mapping[str, Size], place: Place, at: pulumi.Output[str]
) -> "Pods | None":
    if not any(cluster.platform == "eks" for cluster in settings.clusters.values()):
        return None
    from stacks.pods import declare  # noqa: PLC0415  the package of Kubernetes takes seconds, which other stacks don't pay

    return declare(settings, person, size, place, at)


def _groups(made: ClusterVms) -> dict[str, pulumi.Output[str]]:
    return {"head": made.head_group, "workers": made.group}


def _functions(settings: Settings, size: Size, place: Place) -> LithopsFunctions:
    assert settings.functions is not None
    inside = settings.functions.in_vpc
    args = FunctionsArgs(
        stack=settings.stack,
        region=place.site.region,
        image=place.images["functions"],
        memory_mib=size.limit_mib,
        timeout_s=settings.functions.timeout_s,
        architecture=settings.functions.architecture,
        buckets=place.site.buckets,
        subnet_ids=place.network.subnet_ids if inside else (),
        security_group_ids=[place.network.group_ids["functions"]] if inside else (),
    )
    return LithopsFunctions(f"{settings.stack}-functions", args, opts=place.opts)


def _cache(settings: Settings, place: Place) -> CacheHost | None:
    if settings.cache is None:
        return None
    assert settings.cache.instance_type is not None  # plan.rules refuses a cache on ec2 without one
    group = place.network.group_ids["cache"]
    args = CacheHostArgs(place.site, group, settings.cache.instance_type, settings.cache.max_memory_mib)
    return CacheHost(f"{settings.stack}-cache", args, opts=place.opts)


def _driver(settings: Settings, place: Place, opened: list[ClusterVms | CacheHost]) -> DriverHost | None:
    if settings.driver is None:
        return None
    secrets = [part.secret_arn for part in opened]
    args = DriverHostArgs(place.site, place.network.group_ids["driver"], settings.driver.instance_type, secrets)
    return DriverHost(f"{settings.stack}-driver", args, opts=place.opts)


def _cluster_outputs(settings: Settings, size: Size, made: ClusterVms) -> dict[str, Any]:
    return {
        "engine": size.engine,
        "platform": size.platform,
        "secretAt": made.secret_at,
        "nodes": size.nodes,
        "slotsPerNode": size.slots_per_node,
        "group": made.group,
        "headGroup": made.head_group,
        "instanceType": size.instance_type,
        "headInstanceType": settings.clusters[size.name].head_instance_type or size.instance_type,
        "limitMib": size.limit_mib,
        "limitEnforcedBy": size.enforced_by,
        "autoscale": autoscale_outputs(settings, size),
    }


def _functions_outputs(settings: Settings, size: Size, made: LithopsFunctions) -> dict[str, Any]:
    assert settings.functions is not None
    return {
        "platform": "lambda",
        "name": made.name,
        "maxWorkers": size.workers,
        "memoryMib": size.limit_mib,
        "timeoutS": settings.functions.timeout_s,
        "architecture": settings.functions.architecture,
        "runtime": made.runtime,
        "namespace": settings.stack,
        "userId": USER_ID,
        "roleArn": made.role_arn,
        "limitEnforcedBy": "lambda",
    }
