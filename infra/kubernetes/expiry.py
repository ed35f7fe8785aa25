"""What ends a stack's pods when its time is up and nobody is there.

KubeRay deletes no idle RayCluster, and the Dask operator's idle timeout asks the scheduler, which may hang. So a
CronJob of the cluster's own deletes the custom resources. The nodes go by a schedule of AWS's (infra.aws.eks_expiry).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from infra.kubernetes.access import EXPIRY, GROUP, PLURALS
from infra.kubernetes.pods import ROLE, Body, Image, PodSize, container, pod
from plan.settings import Engine

LEAD_S = 300
"""Pods end so long before the nodes: the operators are then still there to take off their finalizers."""

_SCRIPT = Path(__file__).with_name("end_at_expiry.py")
_SIZE = PodSize(128, 0.05)


def cron(at: str, lead_s: int = LEAD_S) -> str:
    """The one minute, as a cron line in UTC, that is `lead_s` seconds before `at` (UTC, 2026-01-31T18:00:00Z)."""
    moment = datetime.fromisoformat(at).astimezone(UTC) - timedelta(seconds=lead_s)
    return f"{moment.minute} {moment.hour} {moment.day} {moment.month} *"


def collections(namespace: str, engines: Sequence[Engine]) -> list[str]:
    """The API paths of what ends: the sessions' Jobs, then each engine's custom resources."""
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs?labelSelector={ROLE}%3Ddriver"
    ended = [f"/apis/{GROUP[e]}/v1/namespaces/{namespace}/{plural}" for e in engines for plural in PLURALS[e]]
    return [jobs, *ended]


def end_at_expiry(namespace: str, engines: Sequence[Engine], image: Image, schedule: Any) -> Body:
    """A CronJob that fires once, at the minute that `schedule` names (see `cron`), and tries for ten minutes."""
    command = ["python", "-c", _SCRIPT.read_text(), *collections(namespace, engines)]
    ended = pod([container("end", image, _SIZE, command=command)], EXPIRY, api_token=True, restartPolicy="OnFailure")
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "end-at-expiry", "namespace": namespace},
        "spec": {
            "schedule": schedule,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {
                "spec": {
                    "backoffLimit": 10,
                    "activeDeadlineSeconds": 600,
                    "template": {"metadata": {"labels": {ROLE: "expiry"}}, "spec": ended},
                }
            },
        },
    }
