"""Engines by name: what a stack has, and sessions opened once and shared by all engines that need them."""

import difflib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import click

import tasks
from bench import scaling_group, stack
from bench.aws.vm_cluster import VmCluster
from bench.samples import Sample
from bench.sessions.kubernetes_pods import PodTimes
from bench.sessions.session import Fleet, Ready, Scaler, Session, SessionError
from plan.outputs import ClusterOutputs, Outputs
from tasks.objects import Access
from tasks.trace import Trace

# An engine's name to the sessions it needs, in the order its readers take them.
NEEDS = {
    "ray": ("ray",),
    "dask": ("dask",),
    "lithops": ("lithops",),
    "ray+lithops": ("ray", "lithops"),
    "dask+lithops": ("dask", "lithops"),
    "pandas": ("process",),
    "arrow": ("process",),
    "polars": ("process",),
}
BASELINES = ("pandas", "arrow", "polars")
ON_REQUEST = ("polars",)  # not among a worker's packages: there only where the checks' own packages are installed


class EngineError(ValueError):
    """An engine is unknown, or the stack does not have it."""


class Unequal(RuntimeError):
    """Workers differ from what the stack declares."""


def labels(names: Sequence[str]) -> list[tuple[str, str]]:
    """(label, engine) in order; an engine asked for again is `dask#2`. Raises EngineError for an unknown name."""
    asked: list[tuple[str, str]] = []
    for name in names:
        if name not in NEEDS:
            near = difflib.get_close_matches(name, NEEDS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise EngineError(f"found engine {name!r}, wanted one of {', '.join(NEEDS)}{hint}")
        again = sum(engine == name for _, engine in asked)
        asked.append((f"{name}#{again + 1}" if again else name, name))
    return asked


class Sessions:
    """Opens sessions on first use, with `tasks` staged for shipping; closes them all, in every case."""

    def __init__(self, outputs: Outputs, access: Access, own: dict[str, str]):
        """own: addresses of clusters the user already has, by engine; they take the place of the stack's."""
        self.outputs, self.access, self._own = outputs, access, own
        self._open: dict[str, Session] = {}
        self._vms: dict[str, VmCluster] = {}
        self._refused: dict[str, str] = {}
        self.opened_s: dict[str, float] = {}
        self._started: dict[str, dict[str, float]] = {}
        self._booted: dict[str, dict[str, float]] = {}
        self.pods: dict[str, list[PodTimes]] = {}
        """The worker pods of a cluster on EKS as it was brought up, by engine."""
        self.on_down: Callable[[str, float], None] | None = None
        """Told of each cluster that is at zero again, and of the seconds that took."""
        self._folder = tempfile.TemporaryDirectory(prefix="breakeven-")
        self.code = Path(self._folder.name) / "code"
        ignore = shutil.ignore_patterns("__pycache__")
        self.code_hash = tasks.code_hash()
        shutil.copytree(Path(tasks.__file__).parent, self.code / "tasks", ignore=ignore)

    def __enter__(self) -> Self:
        self._isolation = stack.isolated(self.outputs)
        self._isolation.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._open):
            self._close(name)  # one that is gone must not keep the others from being closed
        try:
            for name in list(self._vms):
                self._down(name)
        finally:
            self._folder.cleanup()
            self._isolation.__exit__(None, None, None)

    @property
    def owned(self) -> bool:
        """True where a cluster of the user's own takes the place of one of the stack's."""
        return bool(self._own)

    def available(self) -> list[str]:
        """Names of all engines this stack has, baselines last."""
        has = {"process", *self._own, *(c.engine for c in self.outputs.clusters.values())}
        if self.outputs.functions:
            has.add("lithops")
        return [name for name, needs in NEEDS.items() if has.issuperset(needs)]

    def cluster(self, engine: str) -> ClusterOutputs | None:
        """The stack's first cluster of an engine."""
        return next((c for c in self.outputs.clusters.values() if c.engine == engine), None)

    def of(self, engine: str) -> list[Session]:
        """The sessions that an engine needs, opened if they are not, after clusters on EC2 and EKS that it does not
        need are at zero: nobody pays for two while one works, and the pods' nodes hold one. Raises SessionError,
        EngineError."""
        on_pods = {name for name, session in self._open.items() if session.platform == "eks"}
        for name in {*self._vms, *on_pods} - set(NEEDS[engine]):
            self._close(name)
            if name in self._vms:
                self._down(name)
        return [self._session(name) for name in NEEDS[engine]]

    def one_at_a_time(self, plan: Sequence[Sample]) -> list[Sample]:
        """The plan with all samples of one cluster on EC2 or EKS before those of the next: taking turns would bring
        each up anew for every sample. Unchanged on other platforms."""
        scaled = {c.engine for c in self.outputs.clusters.values() if c.platform in ("ec2", "eks")} - set(self._own)
        needed = [tuple(name for name in NEEDS[sample.engine] if name in scaled) for sample in plan]
        order = list(dict.fromkeys(needed))
        return [sample for group in order for sample, needs in zip(plan, needed, strict=True) if needs == group]

    def started_s(self, needs: Sequence[str]) -> dict[str, float]:
        """Seconds that an embedded stack's parts took: the head or scheduler, then the slowest of its nodes."""
        parts = self.outputs.startup_s
        found: dict[str, float] = {}
        for name, cluster in self.outputs.clusters.items():
            if cluster.engine in needs and cluster.engine not in self._own and name in parts:
                nodes = [seconds for part, seconds in parts.items() if part.startswith(f"{name}-node-")]
                found |= {f"start {name}": parts[name], f"start {name} nodes": max(nodes, default=0.0)}
        for name in needs:
            found |= {f"start {name} {part}": seconds for part, seconds in self._started.get(name, {}).items()}
        return found

    def began_at(self, name: str | None) -> float | None:
        """When the head of an embedded stack's cluster began, in epoch seconds; None where it is not such a one."""
        named = (key for key, cluster in self.outputs.clusters.items() if cluster.engine == name)
        return None if name in self._own else self.outputs.began_at.get(next(named, ""))

    def booted_s(self, needs: Sequence[str]) -> dict[str, float]:
        """How long each step of the workers' boot took on EC2, as medians over the hosts' own stamps."""
        return {phase: seconds for name in needs for phase, seconds in self._booted.get(name, {}).items()}

    def boot_phases_s(self, name: str) -> dict[str, float]:
        """The same of the machines that a session's cluster has now; empty where they are no machines of ours."""
        found = self._vms[name].boot_phases_s() if name in self._vms else {}
        return {f"boot_{phase}_s": round(seconds, 3) for phase, seconds in found.items()}

    def platform(self, engine: str) -> str:
        """The platform an engine runs on, without opening it."""
        first = NEEDS[engine][0]
        if first in self._own:
            return "own"
        if first == "lithops" and self.outputs.functions:
            return self.outputs.functions.platform
        cluster = self.cluster(first)
        return cluster.platform if cluster else "local"

    def declared(self, name: str) -> Fleet | None:
        """The fleet that the stack declares for a session; None: the stack declares none."""
        if name in self._own or name == "process":
            return None
        out = self.outputs
        if name == "lithops" and out.functions:
            return Fleet(out.functions.max_workers, out.worker_vcpu, out.functions.memory_mib)
        cluster = self.cluster(name)
        if cluster is None:
            return None
        return Fleet(cluster.nodes * cluster.slots_per_node, out.worker_vcpu, cluster.limit_mib)

    def sharing(self, name: str) -> int:
        """Workers that a cgroup would hold together: those of a node, or all functions of a local pool."""
        if name == "lithops" and self.outputs.functions:
            return self.outputs.functions.max_workers
        cluster = self.cluster(name)
        return cluster.slots_per_node if cluster else 1

    def drop(self, engine: str) -> None:
        """Forget an engine's sessions after a failure, so that the next use opens them anew."""
        for name in NEEDS[engine]:
            if name in self._open:
                with suppress(Exception):
                    self._open[name].cancel()
                self._close(name)

    def processes(self, workers: int) -> Session:
        """A pool of the worker's interpreter on this machine."""
        from bench.sessions.on_processes import ProcessSession

        pool = ProcessSession(self.outputs.worker_python or sys.executable, self.code, workers)
        self._open["processes"] = pool
        return pool

    def _session(self, name: str) -> Session:
        if name not in self._open:
            began = time.perf_counter()
            session = self._start(name)
            self._open[name] = session
            self._check_code(name, session)
            took = time.perf_counter() - began
            if name in self._vms:
                self._started[name] = dict(self._vms[name].spent_s)
                if self._started[name]:
                    self._booted[name] = self.boot_phases_s(name)
            self.opened_s[name] = took - sum(self._started.get(name, {}).values())
        return self._open[name]

    def _close(self, name: str) -> None:
        session = self._open.pop(name, None)
        began = time.perf_counter()
        if session:
            with suppress(Exception):
                session.close()
                if session.platform == "eks":  # whose session brings its pods to zero
                    self._note_down(name, time.perf_counter() - began)

    def _down(self, name: str) -> None:
        """A stack's cluster on EC2 to zero. One that does not go is said at once: it costs money."""
        began = time.perf_counter()
        try:
            self._vms.pop(name).down()
        except SessionError as error:
            click.echo(f"{name}: {error}", err=True)
        else:
            self._note_down(name, time.perf_counter() - began)

    def _note_down(self, name: str, seconds: float) -> None:
        if self.on_down:
            self.on_down(name, seconds)

    def _check_code(self, name: str, session: Session) -> None:
        """See in a worker that it runs the code that was staged."""
        if name == "lithops":  # ships the code with each job, to processes that are new
            return
        found = next(session.stream(tasks.code_hash, [()])).result
        if found != self.code_hash:
            raise SessionError(f"{name}: workers run tasks {found}, wanted {self.code_hash}: bring the stack up anew")

    def _start(self, name: str) -> Session:
        out = self.outputs
        if name == "process":
            return self.processes(1)
        if name == "lithops":
            if not (out.functions and out.working_bucket):
                raise EngineError(
                    f"stack {out.stack!r} has no functions with a working bucket: --engines without lithops"
                )
            from bench.sessions.on_lithops import LithopsSession

            return LithopsSession(out.functions, self.access, out.working_bucket, self.code)
        cluster = self.cluster(name)
        if cluster and cluster.platform == "ec2" and name not in self._own:
            return self._on_vms(name, cluster)
        address = self._own.get(name) or (cluster.address if cluster else None)
        if address is None:
            raise EngineError(f"stack {out.stack!r} has no {name} cluster that is up: scale it up, or leave {name} out")
        secret = cluster.secret_at if cluster and name not in self._own else None
        scaler = scaling_group.of(out, name) if cluster and name not in self._own else None
        if cluster and cluster.platform == "eks" and name not in self._own:
            return self._on_pods(name, cluster)
        return self._connect(name, address, secret, scaler)

    def _on_pods(self, name: str, cluster: ClusterOutputs) -> Session:
        """A session on a cluster of pods, at zero before and after. One that did not come is not tried again."""
        if self.outputs.kubernetes is None or "BREAKEVEN_OUTPUTS" not in os.environ:
            raise SessionError(f"{name} on EKS answers only inside the cluster: leave out --driver local")
        if name in self._refused:
            raise SessionError(f"not tried again in this run: {self._refused[name]}")
        from bench.sessions import kubernetes

        try:
            opened = kubernetes.session(
                cluster,
                self.outputs.kubernetes.namespace,
                Path(self._folder.name) / "secrets" / name,
                lambda address, secret, ready: self._connect(name, address, secret, None, ready),
            )
        except Exception as error:
            self._refused[name] = str(error)
            raise
        self._started[name], self.pods[name] = dict(opened.spent_s), opened.times
        return opened

    def _on_vms(self, name: str, cluster: ClusterOutputs) -> Session:
        """A session on a cluster that is at zero before, and stays up until another engine's turn or the end."""
        if name in self._refused:
            raise SessionError(f"not tried again in this run: {self._refused[name]}")
        if name not in self._vms:
            outside = "BREAKEVEN_OUTPUTS" not in os.environ  # which the driver host is given
            folder = Path(self._folder.name) / "secrets" / name
            self._vms[name] = VmCluster(self.outputs, cluster, folder, outside=outside)
        vms, scaler = self._vms[name], scaling_group.of(self.outputs, name)
        try:
            return self._connect(name, *vms.up(), scaler, vms.ready)
        except Exception as error:
            # Each sample that tried again would pay for minutes of waiting.
            self._refused[name] = str(error)
            self._down(name)
            raise

    def _connect(
        self, name: str, address: str, secret: str | None, scaler: Scaler | None, ready: Ready | None = None
    ) -> Session:
        if name == "ray":
            from bench.sessions.on_ray import RaySession

            return RaySession(
                address,
                token_at=secret,
                code=self.code,
                platform=self.platform(name),
                worker_vcpu=self.outputs.worker_vcpu,
                scaler=scaler,
                ready=ready,
            )
        from bench.sessions.on_dask import DaskSession

        return DaskSession(
            address,
            secret,
            code=self.code,
            code_hash=self.code_hash,
            platform=self.platform(name),
            scaler=scaler,
            ready=ready,
        )


def check_equal(name: str, found: Fleet, declared: Fleet | None) -> None:
    """Raises Unequal where an engine's count of workers, their CPU or held memory is not as declared."""
    if declared is None:
        return
    held = found.memory_mib if found.memory_mib is not None else declared.memory_mib
    pairs = (
        ("workers", found.workers, declared.workers),
        ("vCPU per worker", found.vcpu, declared.vcpu),
        ("MiB per worker", held, declared.memory_mib),
    )
    wrong = [f"{what} {have}, wanted {want}" for what, have, want in pairs if have != want]
    if wrong:
        raise Unequal(
            f"{name}: found {'; '.join(wrong)}: repair the stack with up, or time it as it is with --allow-unequal"
        )


def check_seen(name: str, traces: Sequence[Trace], declared: Fleet | None, sharing: int) -> None:
    """Raises Unequal where a worker reports less memory than is declared, or is held alone to more.

    sharing: workers that a cgroup holds together, beside the node's own processes: its limit is their sum at least.
    """
    if declared is None or declared.memory_mib is None:
        return
    for trace in traces:
        together = trace.enforced_by == "cgroup"
        wanted = declared.memory_mib * (sharing if together else 1)
        # One MiB: kernels and nannies round limits to pages.
        if trace.seen_mib < wanted - 1 or (trace.enforced_by not in ("none", "cgroup") and trace.seen_mib > wanted + 1):
            raise Unequal(
                f"{name}: a worker sees {trace.seen_mib} MiB (enforced by {trace.enforced_by}), wanted {wanted}: "
                "repair the stack with up, or time it as it is with --allow-unequal"
            )
