"""What every pod of a stack has in common, whichever operator makes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]

Image = Any
"""A container image by digest: a text, or in a program the output that will be one."""

ROLE = "breakeven.dev/role"
"""Label of what is no engine's own: `driver` for a session's Job, `expiry` for what ends the stack."""

KEPT = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
"""Annotation of what a node may not be taken from under: cluster-autoscaler would end the node of a half-empty cluster
and have its Dask workers started elsewhere, in the middle of a run."""

USER = 1000
"""Whom every container runs as: a number, since the kubelet cannot tell whether a name is root."""

_EVICTED_AFTER_S = 30  # how long a pod stays bound to a node that has gone silent; Kubernetes' own default is 300


@dataclass(frozen=True)
class PodSize:
    """What one pod asks for and is held to."""

    memory_mib: int
    vcpu: float

    def less(self, memory_mib: int, vcpu: float) -> "PodSize":
        """What is left for a container beside one of this size."""
        return PodSize(self.memory_mib - memory_mib, self.vcpu - vcpu)


def resources(size: PodSize) -> Body:
    """Requests equal to limits: the scheduler counts what the kernel enforces, and no pod lives on another's share."""
    asked = {"cpu": f"{size.vcpu * 1000:.0f}m", "memory": f"{size.memory_mib}Mi"}
    return {"requests": asked, "limits": dict(asked)}


def security() -> Body:
    """A container's security context, as the `restricted` pod security standard wants it."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def probes(check: Body) -> Body:
    """The probes of a container by one check, such as `{"grpc": {"port": 6379}}`.

    Ready to the second, since start-up is measured by it. Ended only after two minutes of silence: an engine under
    load answers late, and to end it would end the run.
    """
    return {
        "readinessProbe": {**check, "periodSeconds": 1, "timeoutSeconds": 5},
        "livenessProbe": {
            **check,
            "initialDelaySeconds": 60,
            "periodSeconds": 20,
            "timeoutSeconds": 10,
            "failureThreshold": 6,
        },
    }


def container(name: str, image: Image, size: PodSize, env: Mapping[str, str] | None = None, **rest: Any) -> Body:
    """One container; `rest` are further fields by their wire names (args, command, ports, readinessProbe)."""
    named = [{"name": key, "value": value} for key, value in sorted((env or {}).items())]
    body = {"name": name, "image": image, "resources": resources(size), "securityContext": security(), **rest}
    return {**body, "env": named} if named else body


def pod(
    containers: Sequence[Body],
    service_account: str,
    *,
    spread: Mapping[str, str] | None = None,
    api_token: bool = False,
    **rest: Any,
) -> Body:
    """A pod's spec. `spread`: labels of the pods it is spread with, node by node. `api_token`: whether it speaks to the
    API server; its AWS identity does not depend on it, for Pod Identity brings a token of its own."""
    gone = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _EVICTED_AFTER_S}
    body: Body = {
        "containers": list(containers),
        "serviceAccountName": service_account,
        "automountServiceAccountToken": api_token,
        "enableServiceLinks": False,
        "tolerations": [
            {"key": f"node.kubernetes.io/{condition}", **gone} for condition in ("not-ready", "unreachable")
        ],
        **rest,
    }
    if spread:
        # Preferred, not required: 50 workers on 8 nodes leave nodes with 6 and with 7.
        body["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": dict(spread)},
            }
        ]
    return body
