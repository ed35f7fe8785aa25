"""What both operators accept and then drop, clamp, or fail at with a log line at most: caught before it is applied.

Seen against a real API server with KubeRay 1.6 and the Dask operator 2026.3. Unknown fields are not looked for here:
the API server refuses them when asked strictly, and the tests hold every body to the operators' own definitions.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from plan.rules.pods import quantity
from plan.rules.violation import Violation
from plan.rules.wire import at, items

_OPTIONS = (
    "address autoscaling-config block cgroup-path dashboard-agent-grpc-port dashboard-agent-listen-port "
    "dashboard-host dashboard-port disable-usage-stats enable-object-reconstruction enable-resource-isolation "
    "head include-dashboard include-log-monitor labels labels-file log-color log-style max-worker-port memory "
    "metrics-export-port min-worker-port no-monitor no-redirect-output node-ip-address node-manager-port "
    "node-name num-cpus num-gpus object-manager-port object-spilling-directory object-store-memory "
    "plasma-directory port proxy-server-url ray-client-server-port ray-debugger-external redis-password "
    "redis-shard-ports redis-username resources runtime-env-agent-port system-config system-reserved-cpu "
    "system-reserved-memory temp-dir tracing-startup-hook verbose worker-port-list"
)
RAY_START_OPTIONS = frozenset(_OPTIONS.split())
"""Options of `ray start` in Ray 2.60; KubeRay hands anything else on, and Ray's container then ends over and over."""

_DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
RAY_NAME_LENGTH = 53  # KubeRay appends the group and a random part for its pods
DASK_NAME_LENGTH = 53  # `<name>-scheduler` is the name of a Service, which holds 63
_PLAIN_RESOURCES = {"num-cpus", "num-gpus", "memory", "resources"}


class LintError(ValueError):
    """A body would be accepted and then not do what it says; the message holds every finding, one to a line."""


def lint(bodies: Sequence[Mapping[str, Any]]) -> list[Violation]:
    """Every finding in a namespace's bodies, seen together; other kinds than the operators' are only looked up."""
    dask = {at(body, "metadata", "name") for body in bodies if body.get("kind") == "DaskCluster"}
    found: list[Violation] = []
    for body in bodies:
        kind = body.get("kind")
        if kind == "RayCluster":
            found += [*_ray(body), *_pods(body, _ray_pods(body), never=_v2(body))]
        elif kind == "DaskCluster":
            found += [*_dask(body), *_pods(body, _dask_pods(body), never=False)]
        elif kind == "DaskAutoscaler":
            found += _autoscaler(body, dask)
    return found


def must_be_clean(bodies: Sequence[Mapping[str, Any]]) -> None:
    """Raises LintError if there is a finding."""
    if found := lint(bodies):
        raise LintError("\n  ".join([f"{len(found)} found in custom resources", *(v.message for v in found)]))


def _ray(body: Mapping[str, Any]) -> Iterator[Violation]:
    spec, name = body.get("spec") or {}, at(body, "metadata", "name")
    if not isinstance(name, str) or not _DNS_LABEL.fullmatch(name) or len(name) > RAY_NAME_LENGTH:
        wanted = f"at most {RAY_NAME_LENGTH} of a-z, 0-9 and -, beginning with a letter"
        yield _finding("ray-name", body, f"the name {name!r}", wanted, "rename the cluster in the stack's file")
    groups = [("headGroupSpec", spec.get("headGroupSpec") or {})]
    groups += [(f"workerGroupSpecs[{i}]", group) for i, group in enumerate(items(spec.get("workerGroupSpecs")))]
    for path, group in groups:
        params = group.get("rayStartParams") or {}
        if unknown := sorted(set(params) - RAY_START_OPTIONS):
            yield _finding(
                "ray-start", body, f"{path} rayStartParams {unknown}", "options of `ray start`", "correct them"
            )
        if group.get("resources") and _PLAIN_RESOURCES & set(params):
            wanted = "resources in one of the two"
            yield _finding("ray-resources", body, f"{path} has them in rayStartParams too", wanted, "drop one")
        main: Mapping[str, Any] = next(iter(items(at(group, "template", "spec", "containers"))), {})
        if missing := {"readinessProbe", "livenessProbe"} - set(main):
            found, wanted = f"{path} without {' and '.join(sorted(missing))}", "probes that the image answers"
            fix = "KubeRay adds its own, of Ray's dashboard agent, which this image does not hold"
            yield _finding("ray-probe", body, found, wanted, fix)
        if group.get("idleTimeoutSeconds") is not None and not _v2(body):
            fix = "set autoscalerOptions.version to v2"
            yield _finding("ray-idle", body, f"{path} idleTimeoutSeconds", "autoscaler v2 beside it", fix)
    for path, group in groups[1:]:
        yield from _replicas(body, path, group)
    head = spec.get("headGroupSpec") or {}
    yield from _targets(body, at(head, "template", "spec"), items(at(head, "headService", "spec", "ports")), "ray-port")
    beside = at(spec, "autoscalerOptions", "resources")
    yield from _quantities(body, "autoscalerOptions", beside if isinstance(beside, Mapping) else {})
    if spec.get("autoscalerOptions") and spec.get("enableInTreeAutoscaling") is not True:
        found = "autoscalerOptions without enableInTreeAutoscaling"
        yield _finding("ray-autoscaler", body, found, "both or neither", "nothing would scale: enable it")
    if at(spec, "authOptions", "mode") != "token":
        found = f"authOptions.mode {at(spec, 'authOptions', 'mode')!r}"
        yield _finding("ray-token", body, found, "'token'", "Ray's job API runs code for whoever reaches it")
    elif not spec.get("rayVersion"):
        yield _finding("ray-token", body, "no rayVersion", "one of 2.52 or later", "KubeRay refuses tokens without it")


def _replicas(body: Mapping[str, Any], path: str, group: Mapping[str, Any]) -> Iterator[Violation]:
    least, most, asked = (_whole(group.get(key)) for key in ("minReplicas", "maxReplicas", "replicas"))
    if least is None or most is None or not 0 <= least <= most:
        found = f"{path} minReplicas {least}, maxReplicas {most}"
        yield _finding("ray-bounds", body, found, "0 <= minReplicas <= maxReplicas", "KubeRay makes no pod otherwise")
    elif asked is not None and not least <= asked <= most:
        found = f"{path} replicas {asked}"
        yield _finding("ray-replicas", body, found, f"{least} to {most}", "KubeRay clamps it without a word")


def _dask(body: Mapping[str, Any]) -> Iterator[Violation]:
    name = at(body, "metadata", "name")
    if not isinstance(name, str) or not _DNS_LABEL.fullmatch(name) or len(name) > DASK_NAME_LENGTH:
        wanted = f"at most {DASK_NAME_LENGTH} of a-z, 0-9 and -, beginning with a letter"
        yield _finding("dask-name", body, f"the name {name!r}", wanted, "rename the cluster in the stack's file")
    replicas = _whole(at(body, "spec", "worker", "replicas"))
    if replicas is None or replicas < 0:
        wanted = "a number from 0 up"
        yield _finding(
            "dask-replicas", body, f"worker.replicas {replicas!r}", wanted, "the operator makes none otherwise"
        )
    yield from _service(body, at(body, "spec", "scheduler") or {}, {"dask.org/cluster-name": name})
    for worker in items(at(body, "spec", "worker", "spec", "containers"))[:1]:
        said = [str(word) for word in [*items(worker.get("command")), *items(worker.get("args"))]]
        if "$(DASK_WORKER_NAME)" not in " ".join(said):
            found, wanted = "a worker that is not started under its Deployment's name", "--name $(DASK_WORKER_NAME)"
            yield _finding("dask-worker-name", body, found, wanted, "on scale-down the operator deletes by that name")


def _service(body: Mapping[str, Any], scheduler: Mapping[str, Any], labels: Mapping[str, Any]) -> Iterator[Violation]:
    service = scheduler.get("service") or {}
    ports = items(service.get("ports"))
    yield from _targets(body, at(scheduler, "spec"), ports, "dask-port")
    if missing := {"tcp-comm", "http-dashboard"} - {port.get("name") for port in ports}:
        found = f"a service without {' and '.join(sorted(missing))}"
        yield _finding("dask-port", body, found, "both ports by these names", "the operator looks them up by name")
    wanted_labels = {**labels, "dask.org/component": "scheduler"}
    if service.get("selector") != wanted_labels:
        found = f"the service's selector {service.get('selector')!r}"
        yield _finding("dask-selector", body, found, f"{wanted_labels}", "it selects nothing otherwise")


def _targets(body: Mapping[str, Any], pod: Any, ports: Sequence[Any], rule: str) -> Iterator[Violation]:
    """A Service's ports lead to ports that the pod's containers name."""
    named = {at(port, "name") for c in items(at(pod, "containers")) for port in items(c.get("ports"))}
    for port in ports:
        target = port.get("targetPort")
        if isinstance(target, str) and target not in named:
            wanted = f"one that a container names ({', '.join(sorted(map(str, named)))})"
            yield _finding(rule, body, f"targetPort {target!r}", wanted, "nobody would answer there")


def _autoscaler(body: Mapping[str, Any], clusters: set[Any]) -> Iterator[Violation]:
    least, most = (_whole(at(body, "spec", key)) for key in ("minimum", "maximum"))
    if least is None or most is None or not 0 <= least <= most:
        found = f"minimum {least!r}, maximum {most!r}"
        yield _finding(
            "dask-bounds", body, found, "0 <= minimum <= maximum", "the maximum wins without a word otherwise"
        )
    if (cluster := at(body, "spec", "cluster")) not in clusters:
        known = ", ".join(sorted(map(str, clusters))) or "none"
        yield _finding("dask-cluster", body, f"cluster {cluster!r}", f"a DaskCluster ({known})", "it scales nothing")


def _pods(body: Mapping[str, Any], pods: Sequence[tuple[str, Any]], *, never: bool) -> Iterator[Violation]:
    for path, spec in pods:
        policy = at(spec, "restartPolicy")
        allowed = (None, "Never") if never else (None, "Always")
        if policy not in allowed:
            found, fix = f"{path} restartPolicy {policy!r}", "leave it out"
            yield _finding("restart-policy", body, found, f"one of {allowed}", fix)
        volumes = {at(volume, "name") for volume in items(at(spec, "volumes"))}
        for container in items(at(spec, "containers")) + items(at(spec, "initContainers")):
            where = f"{path}.{container.get('name')}"
            for mount in items(container.get("volumeMounts")):
                if mount.get("name") not in volumes:
                    wanted = f"one of the pod's ({', '.join(sorted(map(str, volumes))) or 'none'})"
                    yield _finding(
                        "unknown-volume", body, f"{where} mounts {mount.get('name')!r}", wanted, "declare it"
                    )
            yield from _quantities(body, where, container.get("resources") or {})


def _quantities(body: Mapping[str, Any], where: str, resources: Mapping[str, Any]) -> Iterator[Violation]:
    read: dict[tuple[str, str], Decimal] = {}
    for kind in ("requests", "limits"):
        for resource, text in (resources.get(kind) or {}).items():
            try:
                read[kind, resource] = quantity(text)
            except ValueError as error:
                found = f"{where} {kind}.{resource} {text!r}"
                yield _finding("quantity", body, found, "a quantity such as 4096Mi or 1000m", str(error))
    for (kind, resource), asked in read.items():
        limit = read.get(("limits", resource))
        if kind == "requests" and limit is not None and asked > limit:
            found = f"{where} requests more {resource} than its limit ({asked} > {limit})"
            yield _finding("request-over-limit", body, found, "requests equal to limits", "no pod is made otherwise")


def _ray_pods(body: Mapping[str, Any]) -> list[tuple[str, Any]]:
    spec = body.get("spec") or {}
    groups = [("headGroupSpec", spec.get("headGroupSpec"))]
    groups += [(f"workerGroupSpecs[{i}]", group) for i, group in enumerate(items(spec.get("workerGroupSpecs")))]
    return [(path, at(group, "template", "spec")) for path, group in groups]


def _dask_pods(body: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(part, at(body, "spec", part, "spec")) for part in ("scheduler", "worker")]


def _whole(number: Any) -> int | None:
    """A whole number however it travelled: an engine's numbers arrive as floats."""
    if isinstance(number, bool) or not isinstance(number, int | float) or number != int(number):
        return None
    return int(number)


def _v2(body: Mapping[str, Any]) -> bool:
    enabled = at(body, "spec", "enableInTreeAutoscaling") is True
    return enabled and at(body, "spec", "autoscalerOptions", "version") == "v2"


def _finding(rule: str, body: Mapping[str, Any], found: str, wanted: str, fix: str) -> Violation:
    return Violation(rule, f"{body.get('kind')} {at(body, 'metadata', 'name')!r}", found, wanted, fix)
