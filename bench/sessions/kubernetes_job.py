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

from bench import machine
from bench.aws.follow import Follow, There, attended
from bench.aws.mailbox import Mailbox
from bench.aws.remote import POLL_S, prefix_of, resume, to_stderr
from bench.bundle import bundle
from bench.sessions.kubernetes_driver import driver_job, name_of
from bench.sessions.kubernetes_scale import waiting
from bench.sessions.session import SessionError
from bench.zero import zero
from plan.outputs import Outputs


def run(
    outputs: Outputs,
    arguments: Sequence[str],
    results: Path,
    *,
    root: Path,
    api: Any = None,
    say: Callable[[str], None] = to_stderr,
    poll_s: float = POLL_S,
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
    prefix = prefix_of(run_id)
    key, body = bundle(root, outputs)
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    job = Job(driver_job(outputs, run_id, key, prefix, arguments, machine.commit(root)), api=api)
    mailbox, place = Mailbox(s3, bucket, prefix), _There(api, job)
    follow = Follow(place, mailbox, results, say, poll_s, resume=resume(outputs, run_id))
    made = False

    def begin() -> None:
        nonlocal made
        try:
            job.create()
        except kr8s.ServerError as error:
            raise SessionError(f"job {job.name}: the API server of {job.namespace!r} says {error}") from error
        made = True
        say(f"job {job.name} in {job.namespace}\n")

    def end() -> None:
        if made:
            with suppress(Exception):  # it ends by itself as well
                job.delete(propagation_policy="Background")
        if left := zero(outputs, api):
            say(f"at zero workers, asked for from here: {', '.join(left)}\n")

    return attended(follow, mailbox, say, begin, end)


def there(outputs: Outputs, run_id: str) -> There:
    """The Job of a run."""
    import kr8s
    from kr8s.objects import Job

    namespace = outputs.kubernetes.namespace if outputs.kubernetes else None
    api = kr8s.api(namespace=namespace)
    return _There(api, Job({"metadata": {"name": name_of(run_id), "namespace": namespace}}, api=api))


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
