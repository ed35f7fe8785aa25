"""A session on a cluster of pods: any engine's session, brought up before it and down after it.

kr8s speaks to the API server: inside, by the pod's own account; outside, by the kubeconfig that kubectl uses.

    python -m bench.sessions.kubernetes scale --stack k8s-50 --cluster ray --workers 50
    python -m bench.sessions.kubernetes pods --stack k8s-50 --cluster ray
"""

import base64
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from bench.aws.ray_member import RayMember
from bench.sessions.kubernetes_pods import PodTimes, pod_times, quantiles_s
from bench.sessions.kubernetes_scale import API_VERSIONS, Readiness, changes, readiness
from bench.sessions.session import Args, Cancelled, Done, Fleet, Ready, ScalingCancelled, Session, SessionError, never
from plan.faults import reported
from plan.outputs import ClusterOutputs, Outputs
from plan.stack_option import StackName

UP_DEADLINE_S = 900
"""Ten minutes for new nodes, and five for a first pull of the image on each."""

_POLL_S = 0.5
_KINDS = {"ray": "RayCluster", "dask": "DaskCluster"}
_LABELS = {
    "ray": "ray.io/cluster={name},ray.io/node-type=worker",
    "dask": "dask.org/cluster-name={name},dask.org/component=worker",
}


class PodCluster:
    """One custom resource and its pods, through the API server. Objects are asked for by name, which is all that a
    driver's account may do."""

    def __init__(self, cluster: ClusterOutputs, namespace: str, api: Any = None):
        if cluster.group is None:
            raise SessionError(f"a {cluster.engine} cluster on eks without a custom resource's name: bring it up anew")
        self.engine, self.name, self.namespace = cluster.engine, cluster.group, namespace
        self.autoscaled = cluster.autoscale is not None
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
        return self._fetched(_KINDS[self.engine], API_VERSIONS[self.engine])

    def pods(self) -> list[dict[str, Any]]:
        """The worker pods."""
        from kr8s.objects import Pod

        labels = _LABELS[self.engine].format(name=self.name)
        return [pod.to_dict() for pod in self.api.get(Pod, namespace=self.namespace, label_selector=labels)]

    def times(self, joined_at: Mapping[str, float] | None = None) -> list[PodTimes]:
        """Each worker pod's times; `joined_at` by the pod's address, where the engine was watched."""
        from kr8s.objects import Event

        events = [event.to_dict() for event in self.api.get(Event, namespace=self.namespace)]
        joined = joined_at or {}
        return [pod_times(pod, events, joined.get(str((pod.get("status") or {}).get("podIP")))) for pod in self.pods()]

    def token(self, folder: Path) -> str:
        """A file, for this user alone, with the token that KubeRay keeps in the Secret of the cluster's name."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "token"
        path.touch(mode=0o600)
        path.write_bytes(base64.b64decode(self._fetched("Secret", "v1")["data"]["auth_token"]))
        return str(path)

    def ask(self, workers: int) -> None:
        """Have it brought to `workers`, without waiting."""
        for change in changes(self.engine, self.name, workers, autoscaled=self.autoscaled):
            self._named(change.kind, change.name, API_VERSIONS[self.engine]).patch(change.patch, type="json")

    def scale(
        self,
        workers: int,
        joined: Callable[[], int] | None = None,
        deadline_s: float = UP_DEADLINE_S,
        cancelled: Cancelled = never,
    ) -> Readiness:
        """Bring it to `workers`, and wait until that many pods are ready and, if `joined` is given, counted.

        Raises SessionError at the deadline, with what the pods say. Where an autoscaler moves the cluster, `workers`
        becomes its lower bound.
        """
        self.ask(workers)
        deadline = time.monotonic() + deadline_s
        while True:
            counted = joined() if joined else None
            found = readiness(self.engine, self.object(), self.pods(), counted, workers)
            if found.complete:
                return found
            if cancelled():
                raise ScalingCancelled(f"{self.engine} cluster {self.name!r}: on its way to {workers} workers")
            if time.monotonic() > deadline:
                raise SessionError(
                    f"{self.engine} cluster {self.name!r} in {self.namespace!r}: found {found.why} after "
                    f"{deadline_s:.0f} s, wanted {workers} workers: see docs/kubernetes.md, Watch"
                )
            time.sleep(_POLL_S)

    def _fetched(self, kind: str, version: str) -> dict[str, Any]:
        import kr8s

        found = self._named(kind, self.name, version)
        try:
            found.refresh()
        except kr8s.NotFoundError:
            raise SessionError(
                f"found no {kind} {self.name!r} in namespace {self.namespace!r}: is the stack up?"
            ) from None
        return dict(found.raw)

    def _named(self, kind: str, name: str, version: str) -> Any:
        from kr8s.objects import new_class

        of_kind = new_class(kind, version, asyncio=False)
        return of_kind({"metadata": {"name": name, "namespace": self.namespace}}, api=self.api)


class PodsLeft(SessionError):
    """A session did not open and its pods could not be asked for zero either; `end` tries to bring them there."""

    def __init__(self, pods: PodCluster, why: str):
        super().__init__(why)
        self._pods = pods

    def end(self) -> None:
        self._pods.scale(0)


class KubernetesSession:
    """An engine's session over a cluster of pods, which it scales up as it opens and to zero as it closes.

    `connect` opens the engine's own session and calls what it is given once it can count workers. Where the engine's
    autoscaler moves the pods, the session brings its least and leaves the rest to it.
    """

    keeps_workers = True
    platform = "eks"

    def __init__(
        self,
        pods: PodCluster,
        declared: ClusterOutputs,
        connect: Callable[[Ready], Session],
        leave: Callable[[], None] = lambda: None,
    ):
        self.engine: str = pods.engine
        self.pods, self._declared, self._leave = pods, declared, leave
        self.spent_s: dict[str, float] = {}
        """Seconds until the pods were ready and their workers counted."""
        self.times: list[PodTimes] = []
        """Each worker pod's times, of the last scaling."""
        self._least = declared.nodes if declared.autoscale is None else declared.autoscale.min_workers
        try:
            self._inner = connect(self._ready)
        except BaseException as error:
            try:
                pods.ask(0)
            except Exception as refused:
                raise PodsLeft(pods, f"{pods.name}: {error}; asking for zero pods: {refused}") from error
            finally:
                leave()
            raise

    def _ready(self, fleet: Callable[[], Fleet]) -> None:
        self._fleet = fleet
        self.scale(self._least)

    def fleet(self) -> Fleet:
        """As the engine counts; a pod's limit holds each worker, whatever the engine knows of it."""
        seen = self._inner.fleet()
        return replace(seen, memory_mib=seen.memory_mib or self._declared.limit_mib)

    def stream(self, function: Callable[..., Any], items: Sequence[Args]) -> Iterator[Done]:
        return self._inner.stream(function, items)

    def recycle(self) -> None:
        self._inner.recycle()

    def scale(self, nodes: int, slots: int | None = None, cancelled: Cancelled = never) -> None:
        if slots not in (None, 1):
            raise SessionError(f"{self.engine}: wanted {slots} slots of a node, a pod is one worker")
        if not 0 <= nodes <= self._declared.nodes:
            most = self._declared.nodes
            raise SessionError(f"{self.engine}: wanted {nodes} workers, the stack declares {most} at most")
        began, joined = time.monotonic(), dict[str, float]()

        def count() -> int:
            found = self._fleet()
            for host in found.hosts:
                joined.setdefault(host, time.time())
            return found.workers

        self.pods.scale(nodes, count, cancelled=cancelled)
        self.spent_s = {"pods": time.monotonic() - began}
        self.times = self.pods.times(joined)

    def cancel(self) -> None:
        self._inner.cancel()

    def close(self) -> None:
        """Ask for zero before the engine is left, so that one that hangs keeps no pod; then wait. May be called again.
        Raises SessionError where pods stay."""
        try:
            self.pods.ask(0)
        finally:
            try:
                self._inner.close()
            finally:
                self._leave()
                self.pods.scale(0)


Connect = Callable[[str, str | None, Ready], Session]
"""Opens an engine's own session: given its address, the file of its secret, and whom to call when it can count."""


def session(cluster: ClusterOutputs, namespace: str, folder: Path, connect: Connect) -> KubernetesSession:
    """A session on one of the stack's clusters, from a pod of its namespace. `folder`: for Ray's token, this run's own.

    Ray's driver needs a raylet beside it, so this pod joins as a member without slots. Raises SessionError.
    """
    pods, address = PodCluster(cluster, namespace), str(cluster.address)
    if cluster.engine == "dask":
        return KubernetesSession(pods, cluster, lambda ready: connect(address, None, ready))
    token = pods.token(folder)
    host, _, port = address.rpartition(":")
    member = RayMember(host, int(port), token)
    return KubernetesSession(pods, cluster, lambda ready: connect(address, token, ready), member.end)


def on_eks(outputs: Outputs) -> list[tuple[ClusterOutputs, str]]:
    """The stack's clusters of pods, each with its namespace."""
    if outputs.kubernetes is None:
        return []
    return [(c, outputs.kubernetes.namespace) for c in outputs.clusters.values() if c.platform == "eks"]


def _opened(stack: str, cluster: str) -> tuple[Outputs, PodCluster]:
    from bench.stack import outputs

    found = outputs(stack)
    if found.kubernetes is None or cluster not in found.clusters or found.clusters[cluster].platform != "eks":
        on_eks = [name for name, c in found.clusters.items() if c.platform == "eks"]
        raise click.ClickException(f"stack {stack!r} has no cluster {cluster!r} on eks, wanted one of {on_eks}")
    return found, PodCluster(found.clusters[cluster], found.kubernetes.namespace)


@click.group()
def cli() -> None:
    """Scale and watch the clusters of a stack on Kubernetes, from outside."""


@cli.command()
@click.option("--stack", type=StackName(), required=True)
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
@click.option("--stack", type=StackName(), required=True)
@click.option("--cluster", required=True)
def pods_command(stack: str, cluster: str) -> None:
    """Each worker pod: its node, and the seconds that its steps took."""
    _, pods = _opened(stack, cluster)
    for times in pods.times():
        spans = "  ".join(f"{name} {seconds:.0f} s" for name, seconds in times.spans_s().items())
        click.echo(f"{times.name:48} {times.node or 'not placed':32} {spans}")


if __name__ == "__main__":
    from bench.stack import StackError

    with reported(StackError, SessionError):
        cli()
