"""A stack's cluster on EC2 while a session uses it: head before workers, everything at zero after."""

import itertools
import json
import socket
import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from bench.aws.forward import PortForward, must_have_tools
from bench.aws.ray_member import RayMember
from bench.sessions.session import Fleet, SessionError
from plan import redaction
from plan.outputs import ClusterOutputs, Outputs

UP_DEADLINE_S = 780.0
"""From the first request until all workers joined: an instance answers after one to two minutes; a type that is short
in its zone comes late or never. Below a sample's own time-out, which would not say how many are missing."""
DOWN_DEADLINE_S = 600.0
PORTS = {"ray": 6379, "dask": 8786}  # runtimes/cluster/boot-ray-head.sh, boot-dask-scheduler.sh

_POLL_S = 2.0
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
        self._began = time.monotonic()
        slots, least = cluster.slots_per_node, cluster.autoscale.min_workers if cluster.autoscale else None
        # Where the engine's autoscaler moves the group, a session waits for its least and leaves the rest to it.
        self._nodes = cluster.nodes if least is None else -(-least // slots)
        self._workers = self._nodes * slots

    def up(self, deadline_s: float = UP_DEADLINE_S) -> tuple[str, str]:
        """Ask for the head, then at once for the workers, which boot beside it and wait for it; return when it answers:
        the engine's address, and the file (Ray) or folder (Dask) of its secret. Raises SessionError at the deadline."""
        self._began = began = time.monotonic()
        was_up = self._desired(str(self._cluster.head_group)) == 1
        self._ask(str(self._cluster.head_group), 1)
        secret = fetch_secret(self._outputs, str(self._cluster.secret_at), self._folder)
        instance, host = self._head(began + deadline_s)
        if self._cluster.autoscale is None or not was_up:
            self._ask(str(self._cluster.group), self._nodes)
        port = PORTS[self._cluster.engine]
        at = (host, port)
        if self._outside:
            self._leave()
            self._forward = PortForward(instance, host, port, self._outputs.region)
            at = ("127.0.0.1", self._forward.port)
        until = began + deadline_s
        if not (self._forward.speaks_tls(secret, until) if self._forward else answers(host, port, until)):
            raise SessionError(
                f"{self._cluster.head_group}: {host}:{port} silent {deadline_s:.0f} s on; {self._look()}"
            )
        if not was_up:
            self.spent_s = {"head": time.monotonic() - began}
        if self._cluster.engine == "dask":
            return f"tls://{at[0]}:{at[1]}", str(secret)
        token = str(secret / "token")
        if self._member is None or not self._member.of(host):
            self._leave()
            self._member = RayMember(host, port, token)
        return f"{host}:{port}", token

    def ready(self, fleet: Callable[[], Fleet], deadline_s: float = UP_DEADLINE_S) -> None:
        """Wait until the engine counts every worker, `deadline_s` from `up` at most. Raises SessionError: how many of
        how many, and where to look."""
        began = time.monotonic()
        while (found := fleet().workers) < self._workers:
            if time.monotonic() - self._began > deadline_s:
                listed = len(self._instances(str(self._cluster.group)))
                raise SessionError(
                    f"{self._cluster.group}: {found} of {self._workers} workers joined in {deadline_s:.0f} s, "
                    f"{listed} of {self._nodes} instances are there; {self._look()}"
                )
            time.sleep(_POLL_S)
        if self.spent_s:
            self.spent_s.setdefault("nodes", time.monotonic() - began)

    def boot_phases_s(self) -> dict[str, float]:
        """Seconds between one boot stamp and the next, by the later one's name: medians over the workers' published
        logs (runtimes/cluster/phases.sh). Empty where none is there."""
        s3, found = _client("s3", self._outputs), dict[str, list[float]]()
        for instance in self._instances(str(self._cluster.group)):
            key = f"boot/{self._outputs.stack}/{instance}.jsonl"
            with suppress(ClientError):  # it joined before its log was there, or is an old image's
                body = s3.get_object(Bucket=str(self._outputs.working_bucket), Key=key)["Body"].read()
                for phase, seconds in between(body.decode().splitlines()):
                    found.setdefault(phase, []).append(seconds)
        return {phase: statistics.median(seconds) for phase, seconds in found.items()}

    def down(self, deadline_s: float = DOWN_DEADLINE_S) -> None:
        """Workers to zero, then the head, both asked for before either is waited for: a second Ctrl-C finds nothing to
        pay for. Raises SessionError where instances stay."""
        groups = [str(self._cluster.group), str(self._cluster.head_group)]
        try:
            for group in groups:
                self._ask(group, 0)
        finally:
            self._leave()
        until = time.monotonic() + deadline_s
        while there := [instance for group in groups for instance in self._instances(group)]:
            if time.monotonic() > until:
                raise SessionError(
                    f"{' and '.join(groups)}: {len(there)} instances {deadline_s:.0f} s after zero: {there}"
                )
            time.sleep(_POLL_S)

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
        return [str(one["InstanceId"]) for one in _described(self._scaling, group)["Instances"]]

    def _head(self, until: float) -> tuple[str, str]:
        """Id and private address of the head's newest running instance: an old one that is being ended may still be
        there."""
        ec2, group = _client("ec2", self._outputs), str(self._cluster.head_group)
        filters = [
            {"Name": "tag:aws:autoscaling:groupName", "Values": [group]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        while True:
            reservations = ec2.describe_instances(Filters=filters)["Reservations"]
            if running := [instance for one in reservations for instance in one["Instances"]]:
                newest = max(running, key=lambda instance: instance["LaunchTime"])
                return str(newest["InstanceId"]), str(newest["PrivateIpAddress"])
            if time.monotonic() > until:
                raise SessionError(f"{group}: no instance is running; its activity history says why (quota, capacity)")
            time.sleep(_POLL_S)

    def _look(self) -> str:
        where = f"s3://{self._outputs.working_bucket}/boot/{self._outputs.stack}/"
        return f"see {where}<instance>.jsonl and .log, or on the host /var/lib/breakeven/boot.jsonl"


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


def zero(outputs: Outputs) -> list[str]:
    """Ask every group of the stack for zero nodes, workers before heads, and return those that had some: what a driver
    that was ended in the middle leaves is ended by who watched it."""
    on_ec2 = [cluster for cluster in outputs.clusters.values() if cluster.platform == "ec2"]
    scaling, groups = _client("autoscaling", outputs), [*(c.group for c in on_ec2), *(c.head_group for c in on_ec2)]
    had = [group for group in groups if group and _described(scaling, group)["DesiredCapacity"]]
    for group in had:
        scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0, HonorCooldown=False)
    return had


def answers(host: str, port: int, until: float) -> bool:
    """Whether something listens there before `until`, on the monotonic clock."""
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection((host, port), timeout=2):
            return True
        time.sleep(_POLL_S / 4)
    return False


def between(lines: Iterable[str]) -> list[tuple[str, float]]:
    """(phase, seconds since the stamp before it) of a boot log's lines, in the order of time."""
    stamps = sorted((float(stamp["at"]), str(stamp["phase"])) for stamp in map(json.loads, lines))
    return [(phase, at - before) for (before, _), (at, phase) in itertools.pairwise(stamps)]


def _client(service: str, outputs: Outputs) -> Any:
    make: Any = boto3.client  # its types are by literal names
    return make(service, region_name=outputs.region, config=PATIENT)


def _described(scaling: Any, group: str) -> dict[str, Any]:
    found = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
    if not found:
        raise SessionError(f"found no autoscaling group {group!r} in {scaling.meta.region_name}: is the stack up?")
    return dict(found[0])
