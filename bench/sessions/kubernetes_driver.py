"""The driver as a Job in the cluster: the code by its content's hash, rows back through the bucket."""

import shlex
from collections.abc import Sequence
from typing import Any

from bench.bundle import FETCH, INSTALL, OUTPUTS_FILE
from plan.outputs import Outputs

ROLE = {"breakeven.dev/role": "driver"}
RESULTS = "results"
_DEADLINE_S = 6 * 3600
_KEEP_S = 600  # how long a finished Job's log can be read

_SEND = (
    "import boto3, pathlib, sys; s3 = boto3.client('s3'); "
    "[s3.upload_file(str(p), sys.argv[1], f'{sys.argv[2]}/{p.name}') "
    f"for p in pathlib.Path('{RESULTS}').rglob('*') if p.is_file()]"
)


def driver_job(outputs: Outputs, run_id: str, key: str, arguments: Sequence[str]) -> dict[str, Any]:
    """A Job that fetches the code at `key`, joins the Ray cluster as a member without slots, runs the workload, and
    sends what it wrote to the results bucket, also after a failure. Raises ValueError without a cluster to run in."""
    if outputs.kubernetes is None or outputs.working_bucket is None or outputs.results_bucket is None:
        raise ValueError(f"stack {outputs.stack!r} has no Kubernetes cluster with buckets: run the workload elsewhere")
    ray = [c for c in outputs.clusters.values() if (c.platform, c.engine) == ("eks", "ray")]
    joins = [f"ray start --address={c.address} --num-cpus=0 --disable-usage-stats" for c in ray[:1]]
    tokens = [{"secretKeyRef": {"name": c.secret_at, "key": "auth_token"}} for c in ray[:1] if c.secret_at]
    script = "\n".join(
        [
            "set -u",
            "cd /work",
            f"python -c {shlex.quote(FETCH)} {outputs.working_bucket} {key} || exit 1",
            f"{{ {INSTALL}; }} || exit 1",
            *(f"{join} || exit 1" for join in joins),
            f"python {shlex.join(arguments)} --results {RESULTS}",
            "code=$?",
            f"python -c {shlex.quote(_SEND)} {outputs.results_bucket} {outputs.stack}/{run_id}",
            "exit $code",
        ]
    )
    size = {"cpu": f"{outputs.worker_vcpu * 1000}m", "memory": f"{outputs.worker_memory_mib}Mi"}
    env: list[dict[str, Any]] = [
        {"name": "AWS_DEFAULT_REGION", "value": outputs.region},
        {"name": "BREAKEVEN_OUTPUTS", "value": OUTPUTS_FILE},
        {"name": "HOME", "value": "/work"},
        {"name": "PYTHONPATH", "value": "/work"},
        *({"name": "RAY_AUTH_TOKEN", "valueFrom": token} for token in tokens),
        *({"name": "RAY_AUTH_MODE", "value": "token"} for _ in tokens),
    ]
    container = {
        "name": "driver",
        "image": outputs.images["cluster"],
        "command": ["bash", "-c", script],
        "env": env,
        "resources": {"requests": dict(size), "limits": dict(size)},
        "volumeMounts": [{"name": "work", "mountPath": "/work"}],
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
        "securityContext": {"fsGroup": 1000},
        "containers": [container],
        "volumes": [{"name": "work", "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"driver-{run_id}", "namespace": outputs.kubernetes.namespace, "labels": ROLE},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": _DEADLINE_S,
            "ttlSecondsAfterFinished": _KEEP_S,
            "template": {"metadata": {"labels": ROLE}, "spec": pod},
        },
    }
