"""Pods as the operators make them from the bodies of `infra.kubernetes`, run as containers; their probes, called."""

import copy
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from infra.kubernetes.pods import Body
from tests.images.containers import Containers
from tests.images.region import PATIENCE

AGENT_PORT = 52365


def ray_pods(body: Mapping[str, Any]) -> dict[str, Body]:
    """The head's and the first group's containers as KubeRay 1.7 makes them for Ray 2.53 and later, without autoscaling
    (ray-operator/controllers/ray/common/pod.go)."""
    name, space = body["metadata"]["name"], body["metadata"]["namespace"]
    head, group = body["spec"]["headGroupSpec"], body["spec"]["workerGroupSpecs"][0]
    service = f"{name}-head-svc.{space}.svc.cluster.local"
    port = head["rayStartParams"].get("port", "6379")
    started = {
        "head": (head, "ray start --head", {"dashboard-host": "0.0.0.0"}, f"127.0.0.1:{port}"),  # noqa: S104
        "worker": (group, "ray start", {"address": f"{service}:{port}"}, f"{service}:{port}"),
    }
    made = {}
    for kind, (spec, start, missing, address) in started.items():
        container = copy.deepcopy(spec["template"]["spec"]["containers"][0])
        memory = int(container["resources"]["limits"]["memory"].removesuffix("Mi")) * 2**20
        fixed = {"metrics-export-port": "8080", "block": "true", "dashboard-agent-listen-port": str(AGENT_PORT)}
        params = {**missing, **fixed, "memory": str(memory), **spec["rayStartParams"]}
        container["command"] = ["/bin/bash", "-c", "--"]
        container["args"] = [f"ulimit -n ${{RAY_START_ULIMIT_OPEN_FILES:-65536}}; {start} {_options(params)}"]
        secret = {"valueFrom": {"secretKeyRef": {"name": name, "key": "auth_token"}}}
        container.setdefault("env", []).extend(
            [
                {"name": "RAY_AUTH_MODE", "value": "token"},
                {"name": "RAY_AUTH_TOKEN", **secret},
                {"name": "RAY_ADDRESS", "value": address},
                {"name": "RAY_PORT", "value": port},
            ]
        )
        # What KubeRay asks of a container that brings no probe of its own.
        agent = {"httpGet": {"path": "/api/healthz", "port": AGENT_PORT}, "timeoutSeconds": 5}
        for probe in ("readinessProbe", "livenessProbe"):
            container.setdefault(probe, agent)
        made[kind] = container
    return made


def _options(params: Mapping[str, str]) -> str:
    """Switches have no argument, but for those that take a boolean."""
    valued = {"log-color", "include-dashboard", "include-log-monitor"}
    switches = {key for key, value in params.items() if value in ("true", "false") and key not in valued}
    shown = [f"--{key}" if key in switches else f"--{key}={value}" for key, value in sorted(params.items())]
    return " ".join(
        text for key, text in zip(sorted(params), shown, strict=True) if params[key] != "false" or key in valued
    )


def run(
    containers: Containers,
    name: str,
    container: Mapping[str, Any],
    address: str,
    network: str,
    *,
    names: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> None:
    """Start a pod's container as the kubelet would: its user, capabilities, memory limit, environment and command.
    `names`: host names that the cluster's DNS knows. `secrets`: values by their key."""
    secure, limits = container["securityContext"], container["resources"]["limits"]
    environment = {
        entry["name"]: entry.get("value") or (secrets or {})[entry["valueFrom"]["secretKeyRef"]["key"]]
        for entry in container.get("env", [])
    } | PATIENCE
    command = [*container.get("command", []), *container["args"]]
    for key, value in environment.items():
        command = [word.replace(f"$({key})", value) for word in command]
    containers.run(
        name,
        "cluster",
        command,
        *("--network", network, "--ip", address, "--shm-size", "2g"),
        *("--user", str(secure["runAsUser"]), "--security-opt", "no-new-privileges"),
        *(f"--cap-drop={capability}" for capability in secure["capabilities"]["drop"]),
        *("--memory", limits["memory"].removesuffix("i").lower()),
        *(f"--env={key}={value}" for key, value in environment.items()),
        *(f"--add-host={host}:{at}" for host, at in (names or {}).items()),
    )


def probes(container: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each probe of a container, by its name."""
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        if name in container:
            yield name, container[name]


def answers(container: Mapping[str, Any], probe: Mapping[str, Any], address: str) -> bool:
    """One call of a probe as the kubelet makes it. Raises ValueError for a kind that is not called here."""
    timeout_s = float(probe.get("timeoutSeconds", 1))
    if get := probe.get("httpGet"):
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        url = f"http://{address}:{ports.get(get['port'], get['port'])}{get['path']}"
        try:
            with urllib.request.urlopen(url, timeout=timeout_s) as said:
                return 200 <= int(said.status) < 400
        except (urllib.error.URLError, OSError):
            return False
    if ask := probe.get("grpc"):
        return _grpc(f"{address}:{ask['port']}", timeout_s)
    raise ValueError(f"found probe {json.dumps(dict(probe))}, wanted one that is called here: httpGet or grpc")


def _grpc(target: str, timeout_s: float) -> bool:
    """gRPC's health protocol: an empty request for the whole server, answered by field 1 = SERVING (1)."""
    import grpc

    with closing(grpc.insecure_channel(target)) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            return bool(check(b"", timeout=timeout_s) == b"\x08\x01")
        except grpc.RpcError:
            return False


def wait(container: Mapping[str, Any], name: str, address: str, within_s: float = 120) -> float:
    """Seconds until the probe of that name is answered. Raises AssertionError at the deadline."""
    began = time.monotonic()
    while not answers(container, container[name], address):
        assert time.monotonic() - began < within_s, f"{name} {container[name]} not answered within {within_s:.0f} s"
        time.sleep(0.5)
    return time.monotonic() - began
