"""A stack's cluster on EC2 while a session uses it: head before workers, everything at zero after."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from bench.aws import boot_log
from bench.aws.forward import PortForward, must_have_tools
from bench.aws.ray_member import RayMember
from bench.aws.reach import answers
from bench.sessions.session import Fleet, SessionError
from plan import redaction
from plan.outputs import ClusterOutputs, Outputs

UP_DEADLINE_S = 780.0
"""From the first request until all workers joined: an instance answers after one to two minutes; a type that is short
in its zone comes late or never. Below a sample's own time-out, which would not say how many are missing."""
DOWN_DEADLINE_S = 600.0
PORTS = {"ray": 6379, "dask": 8786}  # runtimes/cluster/boot-ray-head.sh, boot-dask-scheduler.sh

_POLL_S = 2.0
_LOOK_S = 10.0  # between two looks at the groups while an engine is waited for
_FEW = 3
"""So many hosts, or a tenth of the cluster, are replaced when their boot fails: at 1 % per host, 64 lose three or fewer
249 times of 250; more have a cause that the next ones share."""
PATIENT = Config(retries={"mode": "standard", "max_attempts": 8})


class VmCluster:
    """One cluster's two groups, and what a client needs to join. `folder`: private to this run, for its secret.
    `outside`: the client is not in the stack's network, and reaches a Dask scheduler through Session Manager."""

    def __init__(self, outputs: Outputs, cluster: ClusterOutputs, folder: Path, *, outside: bool = False):
        if not (cluster.group and cluster.head_group and cluster.secret_at):
            raise SessionError(
                f"stack {outputs.stack!r}: its {cluster.engine} cluster names no groups: `pulumi up` anew"
            )
        if outside and cluster.engine != "dask":
            raise SessionError(
                f"{cluster.engine} on EC2 answers only inside the stack's network: its workers open connections to the "
                "driver, which a forwarded port cannot carry; leave out --driver local"
            )
        if outside:
            must_have_tools()
        self._outputs, self._cluster, self._folder, self._outside = outputs, cluster, folder, outside
        self.spent_s: dict[str, float] = {}
        """Seconds until the head answered, and from then until all workers had joined; empty where it was up."""
        self._scaling = _client("autoscaling", outputs)
        self._member: RayMember | None = None
        self._forward: PortForward | None = None
        self._began = self._asked_at = time.monotonic()
        self._seen, self._gone = set[str](), set[str]()
        slots, least = cluster.slots_per_node, cluster.autoscale.min_workers if cluster.autoscale else None
        # Where the engine's autoscaler moves the group, a session waits for its least and leaves the rest to it.
        self._nodes = cluster.nodes if least is None else -(-least // slots)
        self._workers = self._nodes * slots

    def up(self, deadline_s: float = UP_DEADLINE_S) -> tuple[str, str]:
        """Ask for the head and, once it answers to the stack's secret, for the workers; return then: the engine's
        address, and the file (Ray) or folder (Dask) of its secret.

        Raises SessionError at the deadline, or as soon as the head has left its group. Whatever it raises, both groups
        have been asked for zero.
        """
        self._began = time.monotonic()
        try:
            return self._up(self._began + deadline_s)
        except BaseException:
            self._to_zero()
            raise

    def _up(self, until: float) -> tuple[str, str]:
        head = str(self._cluster.head_group)
        was_up = self._desired(head) == 1
        self._ask(head, 1)
        secret = fetch_secret(self._outputs, str(self._cluster.secret_at), self._folder)
        instance, host = self._head(until)
        address, secret_at = self._join(instance, host, secret, until)
        if not was_up:
            self.spent_s = {"head": time.monotonic() - self._began}
        # Not before: workers that wait for a head that never answers cost as much as those that work.
        if self._cluster.autoscale is None or not was_up:
            self._ask(str(self._cluster.group), self._nodes)
        self._asked_at = time.monotonic()
        return address, secret_at

    def _join(self, instance: str, host: str, secret: Path, until: float) -> tuple[str, str]:
        """Wait until the head takes this client for one of its own: by its certificate, or as a member by its token."""
        port = PORTS[self._cluster.engine]
        if self._cluster.engine == "ray":
            self._wait_for(instance, f"{host}:{port}", until, lambda look: answers(host, port, look))
            token = str(secret / "token")
            if self._member is None or not self._member.of(host):
                self._leave()
                self._member = RayMember(host, port, token)
            return f"{host}:{port}", token
        if self._outside:
            self._leave()
            forward = self._forward = PortForward(instance, host, port, self._outputs.region)
            self._wait_for(instance, f"{host}:{port}", until, lambda look: forward.speaks_tls(secret, look))
            return f"tls://127.0.0.1:{forward.port}", str(secret)
        self._wait_for(instance, f"{host}:{port}", until, lambda look: answers(host, port, look, secret))
        return f"tls://{host}:{port}", str(secret)

    def _wait_for(self, instance: str, where: str, until: float, answered: Callable[[float], bool]) -> None:
        while not answered(min(until, time.monotonic() + _LOOK_S)):
            group = str(self._cluster.head_group)
            if instance not in self._instances(group):
                why = boot_log.why_gone(_client("s3", self._outputs), self._outputs, instance)
                raise SessionError(f"{group}: its host {instance} left before its engine answered; {why}")
            if time.monotonic() >= until:
                silent = time.monotonic() - self._began
                raise SessionError(f"{group}: {where} silent {silent:.0f} s on; {self._look()}")

    def ready(self, fleet: Callable[[], Fleet], deadline_s: float = UP_DEADLINE_S) -> None:
        """Wait until the engine counts every worker, `deadline_s` from `up` at most; a few hosts whose boot fails are
        replaced. Raises SessionError: how many of how many, and where to look."""
        look_at = 0.0
        while (found := fleet().workers) < self._workers:
            if time.monotonic() >= look_at:
                self._replace(found)
                look_at = time.monotonic() + _LOOK_S
            if time.monotonic() - self._began > deadline_s:
                raise SessionError(f"{self._count(found)}, {deadline_s:.0f} s after the first request; {self._look()}")
            time.sleep(_POLL_S)
        if self.spent_s:
            self.spent_s.setdefault("nodes", time.monotonic() - self._asked_at)

    def _replace(self, joined: int) -> None:
        """A host whose boot failed has left the group with its place: ask for another."""
        group = _described(self._scaling, str(self._cluster.group))
        there = {str(one["InstanceId"]) for one in group["Instances"]}  # those that are about to go, too
        self._gone |= self._seen - there
        self._seen |= there
        if self._cluster.autoscale is not None or group["DesiredCapacity"] >= self._nodes:
            return
        most = max(_FEW, self._nodes // 10)
        if len(self._gone) > most:
            raise SessionError(f"{self._count(joined)}: not replaced, as more than {most} is no accident")
        self._ask(str(self._cluster.group), self._nodes)

    def _count(self, joined: int) -> str:
        group = str(self._cluster.group)
        found = f"{group}: {joined} of {self._workers} workers joined, "
        found += f"{len(self._instances(group))} of {self._nodes} instances are there"
        if not self._gone:
            return found
        last = max(self._gone)
        why = boot_log.why_gone(_client("s3", self._outputs), self._outputs, last)
        return f"{found}, {len(self._gone)} left after a failed boot ({last}: {why})"

    def boot_phases_s(self) -> dict[str, float]:
        """Seconds between one boot stamp and the next: medians over the workers' published logs."""
        instances = self._instances(str(self._cluster.group))
        return boot_log.phases_s(_client("s3", self._outputs), self._outputs, instances)

    def down(self, deadline_s: float = DOWN_DEADLINE_S) -> None:
        """Workers to zero, then the head, both asked for before either is waited for: a second Ctrl-C finds nothing to
        pay for. Raises SessionError where instances stay."""
        groups = self._to_zero()
        until = time.monotonic() + deadline_s
        while there := [one["InstanceId"] for group in groups for one in _described(self._scaling, group)["Instances"]]:
            if time.monotonic() > until:
                raise SessionError(
                    f"{' and '.join(groups)}: {len(there)} instances {deadline_s:.0f} s after zero: {there}"
                )
            time.sleep(_POLL_S)

    def _to_zero(self) -> list[str]:
        """Ask both groups for zero, the second whatever the first says, and return them."""
        groups = [str(self._cluster.group), str(self._cluster.head_group)]
        with ExitStack() as each:
            each.callback(self._leave)
            for group in reversed(groups):
                each.callback(self._ask, group, 0)
        return groups

    def _leave(self) -> None:
        if self._member:
            self._member.end()
            self._member = None
        if self._forward:
            self._forward.end()
            self._forward = None

    def _ask(self, group: str, nodes: int) -> None:
        if nodes > (most := _described(self._scaling, group)["MaxSize"]):
            stack = self._outputs.stack
            raise SessionError(
                f"{group}: found a maximum of {most} nodes, wanted {nodes}; an expiry that has fired leaves 0. "
                f"`pulumi up --refresh -s {stack}` brings a stack back whose time was extended"
            )
        self._scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=nodes, HonorCooldown=False)

    def _desired(self, group: str) -> int:
        return int(_described(self._scaling, group)["DesiredCapacity"])

    def _instances(self, group: str) -> list[str]:
        """Those of the group that it is not about to end."""
        there = _described(self._scaling, group)["Instances"]
        return [str(one["InstanceId"]) for one in there if not one["LifecycleState"].startswith("Terminat")]

    def _head(self, until: float) -> tuple[str, str]:
        """Id and private address of the head's newest running instance that its group is not about to end."""
        ec2, group = _client("ec2", self._outputs), str(self._cluster.head_group)
        filters = [
            {"Name": "tag:aws:autoscaling:groupName", "Values": [group]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        while True:
            reservations = ec2.describe_instances(Filters=filters)["Reservations"]
            running = [instance for one in reservations for instance in one["Instances"]]
            staying = self._instances(group)
            if running := [instance for instance in running if instance["InstanceId"] in staying]:
                newest = max(running, key=lambda instance: instance["LaunchTime"])
                return str(newest["InstanceId"]), str(newest["PrivateIpAddress"])
            if not self._desired(group):
                raise SessionError(f"{group}: its host left before it was running; {self._look()}")
            if time.monotonic() > until:
                raise SessionError(f"{group}: no instance is running; its activity history says why (quota, capacity)")
            time.sleep(_POLL_S)

    def _look(self) -> str:
        where = boot_log.place(self._outputs)
        return f"see {where}<instance>.jsonl and .log, or on the host /var/lib/breakeven/boot.log"


def fetch_secret(outputs: Outputs, name: str, folder: Path) -> Path:
    """Each entry of a JSON secret as a file that only this user reads: `token`, or `ca.pem`, `cert.pem`, `key.pem`."""
    answer = _client("secretsmanager", outputs).get_secret_value(SecretId=name)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for entry, text in json.loads(answer["SecretString"]).items():
        path = folder / (entry if entry == "token" else f"{entry}.pem")
        redaction.keep(None if entry in ("ca", "cert") else text)
        path.touch(mode=0o600)
        path.write_text(text)
    return folder


def group_to_zero(outputs: Outputs, group: str) -> bool:
    """Ask a group for zero nodes; whether it was asked for some before."""
    scaling = _client("autoscaling", outputs)
    if not _described(scaling, group)["DesiredCapacity"]:
        return False
    scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0, HonorCooldown=False)
    return True


def _client(service: str, outputs: Outputs) -> Any:
    make: Any = boto3.client  # its types are by literal names
    return make(service, region_name=outputs.region, config=PATIENT)


def _described(scaling: Any, group: str) -> dict[str, Any]:
    found = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
    if not found:
        raise SessionError(f"found no autoscaling group {group!r} in {scaling.meta.region_name}: is the stack up?")
    return dict(found[0])
