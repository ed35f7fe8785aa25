"""Engines by name: what a stack has, and sessions opened once and shared by all engines that need them."""

import difflib
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import click

import tasks
from bench import scaling_group, stack
from bench.aws.vm_cluster import VmCluster
from bench.deadline import deadline
from bench.samples import Sample
from bench.sessions.kubernetes_pods import PodTimes
from bench.sessions.session import Fleet, LeftRunning, Ready, Scaler, Session, SessionError
from plan.outputs import ClusterOutputs, Outputs
from plan.redaction import redacted
from tasks.objects import Access

# An engine's name to the sessions it needs, in the order its readers take them.
NEEDS = {
    "ray": ("ray",),
    "dask": ("dask",),
    "lithops": ("lithops",),
    "ray+lithops": ("ray", "lithops"),
    "dask+lithops": ("dask", "lithops"),
    # A process each: one that fails costs the others neither their warm workers nor their peak of memory.
    "pandas": ("pandas",),
    "arrow": ("arrow",),
    "polars": ("polars",),
}
BASELINES = ("pandas", "arrow", "polars")
ON_REQUEST = ("polars",)  # not among a worker's packages: there only where the checks' own packages are installed


DOWN_S, CLOSE_S = 1200.0, 60.0
"""Bounds of bringing a cluster to zero, which waits for its machines, and of leaving a session that costs nothing."""
TRIES, PAUSE_S = 3, 5.0


class EngineError(ValueError):
    """An engine is unknown, or the stack does not have it."""


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
        self.on_down: Callable[[str, float, str | None], None] | None = None
        """Called for each cluster that was to go to zero: its name, the seconds it took, and why it is not at zero."""
        self._left: dict[str, str] = {}
        self._openings: Counter[str] = Counter()
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
        """Raises LeftRunning where something that costs money is still there, whatever else ended the command."""
        interrupt: KeyboardInterrupt | None = None
        ends = [(self._close, name) for name in self._open] + [(self._down, name) for name in self._vms]
        for end, name in ends:  # one that fails, or a second Ctrl-C while it is waited for, must not spare the others
            try:
                end(name)
            except KeyboardInterrupt as pressed:
                interrupt = pressed
        self._folder.cleanup()
        self._isolation.__exit__(None, None, None)
        if self._left:
            raise LeftRunning("; ".join(self._left.values()))
        if interrupt:
            raise interrupt

    @property
    def own(self) -> tuple[str, ...]:
        """The engines whose cluster of the stack has given its place to one of the user's own."""
        return tuple(self._own)

    def available(self) -> list[str]:
        """Names of all engines this stack has, baselines last."""
        has = {*BASELINES, *self._own, *(c.engine for c in self.outputs.clusters.values())}
        if self.outputs.functions:
            has.add("lithops")
        return [name for name, needs in NEEDS.items() if has.issuperset(needs)]

    def cluster(self, engine: str) -> ClusterOutputs | None:
        """The stack's first cluster of an engine; None where a cluster of the user's own takes its place."""
        if engine in self._own:
            return None
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
        if name in self._own or name in BASELINES:
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
                self._bounded(name, "stop its work", self._open[name].cancel)
                self._close(name)

    def openings(self, engine: str) -> tuple[int, ...]:
        """How often each of an engine's sessions was opened, 0 where it is closed: another number, other workers."""
        return tuple(self._openings[name] if name in self._open else 0 for name in NEEDS[engine])

    def processes(self, workers: int) -> Session:
        """A pool of the worker's interpreter on this machine."""
        pool = self._processes(workers)
        self._open["processes"] = pool
        return pool

    def _processes(self, workers: int) -> Session:
        from bench.sessions.on_processes import ProcessSession

        return ProcessSession(self.outputs.worker_python or sys.executable, self.code, workers)

    def _session(self, name: str) -> Session:
        if name not in self._open:
            began = time.perf_counter()
            session = self._start(name)
            self._open[name] = session
            self._openings[name] += 1
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
        if session and session.platform == "eks":  # whose session brings its pods to zero
            self._to_zero(name, session.close)
        elif session:
            self._bounded(name, "close", session.close)

    def _down(self, name: str) -> None:
        """A stack's cluster on EC2 to zero. One that does not go stays known, and is tried again at the end."""
        if self._to_zero(name, self._vms[name].down):
            del self._vms[name]

    def _to_zero(self, name: str, end: Callable[[], None]) -> bool:
        """What costs money, until it is gone. What remains is a row, a message and the exit code."""
        began = time.perf_counter()
        hint = f"it may still cost money: `pulumi destroy -s {self.outputs.stack}` ends it, or its expiry"
        why = self._insisted(name, "not at zero", end, hint)
        if self.on_down:
            self.on_down(name, time.perf_counter() - began, why)
        return why is None

    def restore(self, engine: str) -> None:
        """A cluster of an embedded stack as it is declared, and functions in their declared number, after a workload
        that scales. What is on EC2 or EKS needs it not: it goes to zero."""
        for name in NEEDS[engine]:
            cluster, scaler = self.cluster(name), scaling_group.of(self.outputs, name)
            if cluster and cluster.platform == "local" and scaler and cluster.autoscale is None:
                hint = f"`make up STACK={self.outputs.stack}` restores it"
                again = partial(scaler, cluster.nodes, cluster.slots_per_node)
                self._insisted(name, "not as declared", again, hint)
            elif name == "lithops" and name in self._open and (declared := self.declared(name)):
                self._open[name].scale(declared.workers)

    def _insisted(self, name: str, what: str, work: Callable[[], None], hint: str) -> str | None:
        """Do it, tried again. Returns why it failed in the end, which ends the command with an exit code of its own."""
        why = ""
        for attempt in range(1, TRIES + 1):
            try:
                with deadline(DOWN_S):
                    work()
            except Exception as error:
                why = redacted(f"{name}: {what}: {type(error).__name__}: {error}")
                click.echo(f"{why} (try {attempt} of {TRIES})", err=True)
                if attempt < TRIES:
                    time.sleep(PAUSE_S * attempt)
            else:
                self._left.pop(name, None)
                return None
        self._left[name] = f"{why.splitlines()[0]}; {hint}"
        return self._left[name]

    def _bounded(self, name: str, what: str, work: Callable[[], None]) -> None:
        """Leave a session that may hang or fail, since its engine did; what is left then is no cost."""
        try:
            with deadline(CLOSE_S):
                work()
        except Exception as error:
            click.echo(redacted(f"{name}: its session did not {what}: {type(error).__name__}: {error}"), err=True)

    def _check_code(self, name: str, session: Session) -> None:
        """See in a worker that it runs the code that was staged."""
        if name == "lithops":  # ships the code with each job, to processes that are new
            return
        found = next(session.stream(tasks.code_hash, [()])).result
        if found != self.code_hash:
            raise SessionError(f"{name}: workers run tasks {found}, wanted {self.code_hash}: bring the stack up anew")

    def _start(self, name: str) -> Session:
        out = self.outputs
        if name in BASELINES:
            return self._processes(1)
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
        except BaseException as error:  # the sample's alarm too
            self._refused[name] = str(error) or f"{name} was not up within the sample's time-out"
            if isinstance(error, kubernetes.PodsLeft):
                self._to_zero(name, error.end)
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
        except BaseException as error:  # the sample's alarm too
            # Each sample that tried again would pay for minutes of waiting.
            self._refused[name] = str(error) or f"{name} was not up within the sample's time-out"
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
