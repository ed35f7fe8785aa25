"""A workload in the region, on a stack whose driver is a Job: started, followed and ended from here.

kr8s speaks to the API server by the kubeconfig that kubectl uses; all that the run says comes through the bucket.
"""

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import click

from bench import machine
from bench.aws.driven import STOP_GRACE_S
from bench.aws.follow import Follow
from bench.aws.mailbox import Mailbox
from bench.bundle import bundle
from bench.sessions.kubernetes import PodCluster, on_eks
from bench.sessions.kubernetes_driver import driver_job
from bench.sessions.kubernetes_scale import waiting
from bench.sessions.session import SessionError
from plan.outputs import Outputs

_POLL_S = 2.0


def run(
    outputs: Outputs,
    arguments: Sequence[str],
    results: Path,
    *,
    root: Path,
    api: Any = None,
    say: Callable[[str], None] = lambda text: click.echo(text, nl=False, err=True),
    poll_s: float = _POLL_S,
) -> int:
    """Run `arguments` (a workload's path below `root`, and its options) as a Job; returns its exit code.

    Rows are appended below `results` as they come. Ctrl-C stops the run and waits until it has said that it ended; the
    clusters are asked for zero workers when this returns or raises. Raises SessionError where the Job cannot run.
    """
    import kr8s
    from kr8s.objects import Job

    api = api or kr8s.api(namespace=outputs.kubernetes.namespace if outputs.kubernetes else None)
    s3, bucket = boto3.client("s3", region_name=outputs.region), str(outputs.working_bucket)
    run_id = f"{datetime.now(UTC):%Y%m%dt%H%M%S}-{uuid.uuid4().hex[:6]}"
    prefix = f"driver/runs/{run_id}/"
    key, body = bundle(root, outputs)
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    job = Job(driver_job(outputs, run_id, key, prefix, arguments, machine.commit(root)), api=api)
    mailbox, made = Mailbox(s3, bucket, prefix), False
    follow = Follow(_There(api, job), mailbox, results, say, poll_s)
    try:
        job.create()
        made = True
        say(f"job {job.name} in {job.namespace}\n")
        return follow.until_end()
    except KeyboardInterrupt:
        if made:
            mailbox.stop()
            say("stopping the run; its clusters go to zero first\n")
            with suppress(SessionError):
                follow.until_end(STOP_GRACE_S)
        raise
    except kr8s.ServerError as error:
        raise SessionError(f"job {job.name}: the API server of {job.namespace!r} says {error}") from error
    finally:
        if made:
            with suppress(kr8s.ServerError, kr8s.NotFoundError):
                job.delete(propagation_policy="Background")
        if left := zero(outputs, api):
            say(f"at zero workers, asked for from here: {', '.join(left)}\n")


def zero(outputs: Outputs, api: Any) -> list[str]:
    """Ask every cluster of pods for zero workers, and return those that had some: what a driver that was ended in the
    middle leaves is ended by who watched it."""
    found = [PodCluster(cluster, namespace, api) for cluster, namespace in on_eks(outputs)]
    had = [cluster for cluster in found if cluster.pods()]
    for cluster in had:
        cluster.ask(0)
    return [cluster.name for cluster in had]


class _There:
    """The Job, as the API server tells of it."""

    def __init__(self, api: Any, job: Any):
        self._api, self._job, self.name = api, job, f"job {job.name}"

    def ended(self) -> bool:
        if not self._job.exists():
            return True
        self._job.refresh()
        status = self._job.raw.get("status") or {}
        return any(
            c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in status.get("conditions") or []
        )

    def why(self) -> str:
        """Why its pod does not run, else the end of its log."""
        from kr8s.objects import Pod

        for pod in self._api.get(Pod, namespace=self._job.namespace, label_selector=f"job-name={self._job.name}"):
            if stuck := waiting(pod.raw):
                return stuck
            with suppress(Exception):  # a pod that never started has none
                return "\n".join(pod.logs(tail_lines=20))[-1500:]
        return "it has no pod: `kubectl describe job` says why"
