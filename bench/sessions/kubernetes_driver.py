"""The driver as a Job in the cluster: the code by its content's hash, progress and rows back through the bucket."""

import shlex
from collections.abc import Sequence
from typing import Any

from bench.aws.follow import RUN_S, STOP_GRACE_S
from bench.bundle import FETCH, OUTPUTS_FILE, install
from plan.outputs import Outputs

ROLE = {"breakeven.dev/role": "driver"}
KEPT = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
_KEEP_S = 600  # how long a finished Job's log can be read
_STORE_SHARE = 4  # a driver's raylet keeps its share of the objects in memory files, which a pod has 64 MiB of


def name_of(run_id: str) -> str:
    """The Job of a run."""
    return f"driver-{run_id}"


def driver_job(
    outputs: Outputs, run_id: str, key: str, prefix: str, arguments: Sequence[str], commit: str | None = None
) -> dict[str, Any]:
    """A Job that fetches the code at `key` and drives `arguments` (a workload's path and options), heard and told at
    `prefix` of the working bucket. Raises ValueError without a cluster to run in."""
    if outputs.kubernetes is None or outputs.working_bucket is None:
        raise ValueError(f"stack {outputs.stack!r} has no Kubernetes cluster with buckets: run the workload elsewhere")
    bucket = outputs.working_bucket
    driven = ["-m", "bench.aws.driven", "--bucket", bucket, "--prefix", prefix, "--region", outputs.region, "--"]
    script = "\n".join(
        [
            "set -eu",
            f"python -c {shlex.quote(FETCH)} {shlex.quote(bucket)} {key}",
            install(outputs),
            f"exec python {shlex.join([*driven, *arguments])}",
        ]
    )
    size = {"cpu": f"{outputs.worker_vcpu * 1000}m", "memory": f"{outputs.worker_memory_mib}Mi"}
    environment = {
        "AWS_DEFAULT_REGION": outputs.region,
        "BREAKEVEN_COMMIT": commit or "",
        "BREAKEVEN_OUTPUTS": OUTPUTS_FILE,
        "HOME": "/work",
        "PYTHONPATH": "/work",
        "PYTHONUNBUFFERED": "1",
    }
    memory_files = {"medium": "Memory", "sizeLimit": f"{outputs.worker_memory_mib // _STORE_SHARE}Mi"}
    container = {
        "name": "driver",
        "image": outputs.images["cluster"],
        "command": ["bash", "-c", script],
        "workingDir": "/work",
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": {"requests": dict(size), "limits": dict(size)},
        "volumeMounts": [{"name": "work", "mountPath": "/work"}, {"name": "memory-files", "mountPath": "/dev/shm"}],  # noqa: S108
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    pod = {
        "restartPolicy": "Never",  # a measurement that starts again in the middle is none
        "serviceAccountName": outputs.kubernetes.driver_account,
        "automountServiceAccountToken": True,
        "terminationGracePeriodSeconds": int(STOP_GRACE_S),
        "securityContext": {"fsGroup": 1000},
        "containers": [container],
        "volumes": [{"name": "work", "emptyDir": {}}, {"name": "memory-files", "emptyDir": memory_files}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name_of(run_id), "namespace": outputs.kubernetes.namespace, "labels": ROLE},
        "spec": {
            # A second pod only where the first one was killed from outside, its memory's limit or its node's end: it
            # does not run the workload again but brings to zero what that one left (bench/aws/driven.py).
            "backoffLimit": 1,
            "podFailurePolicy": {
                "rules": [{"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [137, 143]}}]
            },
            "activeDeadlineSeconds": RUN_S,
            "ttlSecondsAfterFinished": _KEEP_S,
            "template": {"metadata": {"labels": ROLE, "annotations": KEPT}, "spec": pod},
        },
    }
