"""A session on a cluster of pods: any engine's session, brought up before it and down after it.

kr8s speaks to the API server: inside, by the pod's own account; outside, by the kubeconfig that kubectl uses.

    python -m bench.sessions.kubernetes run --stack k8s-50 workloads/ingest.py --repeats 5
    python -m bench.sessions.kubernetes scale --stack k8s-50 --cluster ray --workers 50
    python -m bench.sessions.kubernetes pods --stack k8s-50 --cluster ray
"""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from bench.bundle import bundle
from bench.sessions.kubernetes_driver import driver_job
from bench.sessions.kubernetes_pods import PodTimes, pod_times, quantiles_s
from bench.sessions.kubernetes_scale import Readiness, changes, readiness
from bench.sessions.session import Args, Done, Fleet, Session, SessionError
from plan.outputs import ClusterOutputs, Outputs

UP_DEADLINE_S = 900
"""Ten minutes for new nodes, and five for a first pull of the image on each."""

_POLL_S = 1.0
_KINDS = {"ray": "rayclusters.ray.io", "dask": "daskclusters.kubernetes.dask.org"}
_LABELS = {
    "ray": "ray.io/cluster={name},ray.io/node-type=worker",
    "dask": "dask.org/cluster-name={name},dask.org/component=worker",
}


class PodCluster:
    """One custom resource and its pods, through the API server."""

    def __init__(self, cluster: ClusterOutputs, namespace: str, api: Any = None):
        if cluster.group is None:
            raise SessionError(f"a {cluster.engine} cluster on eks without a custom resource's name: bring it up anew")
        self.engine, self.name, self.namespace = cluster.engine, cluster.group, namespace
        self._api = api

    @property
    def api(self) -> Any:
        """kr8s's client, made on first use."""
        if self._api is None:
            import kr8s

            self._api = kr8s.api(namespace=self.namespace)
        return self._api

    def object(self) -> dict[str, Any]:
        """The custom resource. Raises SessionError where there is none."""
        return self._get(_KINDS[self.engine])

    def pods(self) -> list[dict[str, Any]]:
        """The worker pods."""
        labels = _LABELS[self.engine].format(name=self.name)
        return [pod.to_dict() for pod in self.api.get("pods", namespace=self.namespace, label_selector=labels)]

    def times(self, joined_at: Mapping[str, float] | None = None) -> list[PodTimes]:
        """Each worker pod's times; `joined_at` by pod name, where the engine was watched."""
        events = [event.to_dict() for event in self.api.get("events", namespace=self.namespace)]
        joined = joined_at or {}
        return [pod_times(pod, events, joined.get(pod["metadata"]["name"])) for pod in self.pods()]

    def autoscaled(self) -> bool:
        """Whether an autoscaler moves the workers: Ray's is a part of the cluster, Dask's an object beside it."""
        if self.engine == "ray":
            return self.object()["spec"].get("enableInTreeAutoscaling") is True
        found = self.api.get("daskautoscalers.kubernetes.dask.org", namespace=self.namespace)
        return any(scaler.raw["spec"]["cluster"] == self.name for scaler in found)

    def scale(
        self, workers: int, joined: Callable[[], int] | None = None, deadline_s: float = UP_DEADLINE_S
    ) -> Readiness:
        """Bring it to `workers`, and wait until that many pods are ready and, if `joined` is given, counted.

        Raises SessionError at the deadline, with what the pods say. Where an autoscaler moves the cluster, `workers`
        becomes its lower bound.
        """
        for change in changes(self.engine, self.name, workers, autoscaled=self.autoscaled()):
            self._one(change.kind, change.name).patch(change.patch, type="json")
        deadline = time.monotonic() + deadline_s
        while True:
            counted = joined() if joined else None
            found = readiness(self.engine, self.object(), self.pods(), counted, workers)
            if found.complete:
                return found
            if time.monotonic() > deadline:
                raise SessionError(
                    f"{self.engine} cluster {self.name!r} in {self.namespace!r}: found {found.why} after "
                    f"{deadline_s:.0f} s, wanted {workers} workers: see docs/kubernetes.md, Watch"
                )
            time.sleep(_POLL_S)

    def _get(self, kind: str) -> dict[str, Any]:
        return dict(self._one(kind, self.name).to_dict())

    def _one(self, kind: str, name: str) -> Any:
        found = list(self.api.get(kind, name, namespace=self.namespace))
        if not found:
            raise SessionError(f"found no {kind} {name!r} in namespace {self.namespace!r}: is the stack up?")
        return found[0]


class KubernetesSession:
    """An engine's session over a cluster of pods, which it scales up as it opens and to zero as it closes."""

    keeps_workers = True
    platform = "eks"

    def __init__(self, pods: PodCluster, declared: ClusterOutputs, worker_vcpu: int, connect: Callable[[], Session]):
        self.engine: str = pods.engine
        self.pods, self._declared, self._vcpu = pods, declared, worker_vcpu
        self.scale(declared.nodes)
        self._inner = connect()

    def fleet(self) -> Fleet:
        """As the engine counts; a pod's limit holds each worker, whatever the engine knows of it."""
        seen = self._inner.fleet()
        return Fleet(seen.workers, seen.vcpu, seen.memory_mib or self._declared.limit_mib)

    def stream(self, function: Callable[..., Any], items: Sequence[Args]) -> Iterator[Done]:
        return self._inner.stream(function, items)

    def recycle(self) -> None:
        self._inner.recycle()

    def scale(self, nodes: int, slots: int | None = None) -> None:
        if slots not in (None, 1):
            raise SessionError(f"{self.engine}: wanted {slots} slots of a node, a pod is one worker")
        if not 0 <= nodes <= self._declared.nodes:
            most = self._declared.nodes
            raise SessionError(f"{self.engine}: wanted {nodes} workers, the stack declares {most} at most")
        self.pods.scale(nodes)

    def cancel(self) -> None:
        self._inner.cancel()

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self.pods.scale(0)


def _opened(stack: str, cluster: str) -> tuple[Outputs, PodCluster]:
    from bench.stack import outputs

    found = outputs(stack)
    if found.kubernetes is None or cluster not in found.clusters or found.clusters[cluster].platform != "eks":
        on_eks = [name for name, c in found.clusters.items() if c.platform == "eks"]
        raise click.ClickException(f"stack {stack!r} has no cluster {cluster!r} on eks, wanted one of {on_eks}")
    return found, PodCluster(found.clusters[cluster], found.kubernetes.namespace)


@click.group()
def cli() -> None:
    """Run, scale and watch the clusters of a stack on Kubernetes, from outside."""


@cli.command()
@click.option("--stack", required=True)
@click.option("--cluster", required=True)
@click.option("--workers", required=True, type=click.IntRange(0))
@click.option("--deadline", "deadline_s", default=UP_DEADLINE_S, show_default=True, help="Seconds to wait.")
def scale(stack: str, cluster: str, workers: int, deadline_s: int) -> None:
    """Bring a cluster to that many workers, wait, and say how long the pods took."""
    _, pods = _opened(stack, cluster)
    began = time.time()
    pods.scale(workers, deadline_s=deadline_s)
    took = time.time() - began
    # Kubernetes' times are whole seconds, rounded down.
    new = [t.ready_at for t in pods.times() if t.ready_at is not None and t.created_at >= int(began)]
    reached = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in quantiles_s(int(began), new, len(new)).items())
    click.echo(f"{workers} workers after {took:.1f} s, {len(new)} of them new" + (f": {reached}" if reached else ""))


@cli.command("pods")
@click.option("--stack", required=True)
@click.option("--cluster", required=True)
def pods_command(stack: str, cluster: str) -> None:
    """Each worker pod: its node, and the seconds that its steps took."""
    _, pods = _opened(stack, cluster)
    for times in pods.times():
        spans = "  ".join(f"{name} {seconds:.0f} s" for name, seconds in times.spans_s().items())
        click.echo(f"{times.name:48} {times.node or 'not placed':32} {spans}")


@cli.command(context_settings={"ignore_unknown_options": True})
@click.option("--stack", required=True)
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED)
def run(stack: str, arguments: tuple[str, ...]) -> None:
    """Run a workload as a Job in the cluster; its rows go to the results bucket, its log comes here."""
    import boto3
    import kr8s
    from kr8s.objects import Job

    from bench.stack import ROOT, outputs

    found, run_id = outputs(stack), uuid.uuid4().hex[:8]
    key, body = bundle(ROOT, found)
    job = driver_job(found, run_id, key, [*arguments, "--stack", stack])
    boto3.client("s3", region_name=found.region).put_object(Bucket=str(found.working_bucket), Key=key, Body=body)
    api = kr8s.api(namespace=job["metadata"]["namespace"])
    made = Job(job, api=api)
    made.create()
    click.echo(f"job {made.name}: rows will be in s3://{found.results_bucket}/{stack}/{run_id}/")
    made.wait(["condition=Complete", "condition=Failed"], timeout=job["spec"]["activeDeadlineSeconds"])
    for pod in api.get("pods", namespace=made.namespace, label_selector=f"job-name={made.name}"):
        click.echo("\n".join(pod.logs()))
    if made.status.get("failed"):
        raise click.ClickException(f"job {made.name} failed: its log is above")


if __name__ == "__main__":
    cli()
