"""EC2 made of containers: what a stack's groups hold runs, each instance as a container of the cluster image.

AWS's answers are moto's, at the network's gateway. Instance metadata come from a server that knows who asks by the
address, as the real one does.
"""

import http.server
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
from botocore.parsers import ResponseParserError

from tests.images.containers import GATEWAY, NETWORK, Containers
from tests.runtimes.hosts import REGION, Metadata

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}
# A busy machine is no failure; Ray's own patience is 30 s.
PATIENCE = {"RAY_raylet_start_wait_time_s": "180", "RAY_agent_register_timeout_ms": "180000"}


def subnet() -> str:
    """A subnet of the containers' network, so that an instance has its container's address from the start."""
    ec2 = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock=f"{NETWORK}.0/24")["Vpc"]["VpcId"]
    return str(ec2.create_subnet(VpcId=vpc, CidrBlock=f"{NETWORK}.128/25")["Subnet"]["SubnetId"])


class _OfTheAsker(Metadata):
    """Metadata of the host that asks."""

    def facts(self) -> Mapping[str, str]:
        known: dict[str, Mapping[str, str]] = self.server.hosts  # type: ignore[attr-defined]
        return known[self.client_address[0]]


class Region(threading.Thread):
    """Boots each instance that a group gets and ends those it loses. `boots`: group to its boot script. `settings`:
    what user data exports. One whose engine has ended leaves its group, as runtimes/cluster/boot-host.sh has it."""

    def __init__(
        self, containers: Containers, network: str, endpoint: str, boots: Mapping[str, str], settings: Mapping[str, str]
    ) -> None:
        super().__init__(daemon=True)
        self.containers, self.network, self.boots, self.settings = containers, network, boots, settings
        self.memory_mib = 1536
        self.aws = {"AWS_ENDPOINT_URL": endpoint, **KEYS}
        self.scaling = boto3.client("autoscaling")
        self.hosts: dict[str, str] = {}
        """Instance to its address; its container bears its name."""
        self.ended: dict[str, str] = {}
        """What those said whose engine has ended, or why the runtime started none."""
        self.refused: dict[str, str] = {}
        self._metadata = http.server.ThreadingHTTPServer((GATEWAY, 0), _OfTheAsker)
        self._metadata.hosts = {}  # type: ignore[attr-defined]
        threading.Thread(target=self._metadata.serve_forever, daemon=True).start()
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(0.5):
            with suppress(ResponseParserError):  # moto answers 500 where two of its threads meet: look again
                self._round()

    def _round(self) -> None:
        members = {instance: group for group in self.boots for instance in self._members(group)}
        for instance in set(self.hosts) - set(members):
            self.containers.remove(instance)
            del self.hosts[instance]
        for instance in set(members) - set(self.hosts):
            self._boot(instance, members[instance])
        for instance in [name for name in self.hosts if not self.containers.running(name)]:
            self.ended[instance] = self.refused.get(instance) or self.containers.logs(instance)
            self.scaling.terminate_instance_in_auto_scaling_group(
                InstanceId=instance, ShouldDecrementDesiredCapacity=True
            )

    def members(self, group: str) -> list[str]:
        """The names of its instances' containers."""
        return sorted(set(self._members(group)) & set(self.hosts))

    def end(self) -> None:
        """End every host and the metadata."""
        self._stopped.set()
        self.join()
        for instance in self.hosts:
            self.containers.remove(instance)
        self._metadata.shutdown()

    def _members(self, group: str) -> list[str]:
        (found,) = self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
        return [item["InstanceId"] for item in found["Instances"]]

    def _boot(self, instance: str, group: str) -> None:
        (found,) = boto3.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"]
        address = found["Instances"][0]["PrivateIpAddress"]
        self._metadata.hosts[address] = {"local-ipv4": address, "instance-id": instance}  # type: ignore[attr-defined]
        metadata = f"http://{GATEWAY}:{self._metadata.server_port}"
        environment = {
            **self.aws,
            **PATIENCE,
            **self.settings,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata,
            "BREAKEVEN_BOOT_LOG": "/home/worker/boot.jsonl",
        }
        self.hosts[instance] = address
        options = ["--network", self.network, "--ip", address, "--shm-size", "2g", "--memory", f"{self.memory_mib}m"]
        options += [f"--env={name}={value}" for name, value in environment.items()]
        try:
            self.containers.run(instance, "cluster", [self.boots[group]], *options)
        except AssertionError as error:  # a host that does not boot leaves its group, as one whose engine has ended
            self.refused[instance] = str(error)


class SessionManager:
    """Its calls, over a shell of this machine that finds `docker` as the driver host does."""

    def __init__(self, shell: Callable[[str], "subprocess.Popen[bytes]"], log: Path) -> None:
        self._shell, self._log = shell, log
        self.process: subprocess.Popen[bytes] | None = None

    def send_command(self, *, InstanceIds: list[str], DocumentName: str, Parameters: Any, Comment: str) -> Any:
        (text,) = Parameters["commands"]
        self.process = self._shell(text)
        return {"Command": {"CommandId": "c-1"}}

    def get_command_invocation(self, *, CommandId: str, InstanceId: str) -> Any:
        assert self.process is not None
        code = self.process.poll()
        status = "InProgress" if code is None else "Success" if code == 0 else "Failed"
        return {"Status": status, "StandardErrorContent": self._log.read_text()}

    def cancel_command(self, *, CommandId: str, InstanceIds: list[str]) -> None:
        pass
