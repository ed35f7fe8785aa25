"""A Ray cluster on loopback: a head without slots, and worker nodes."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from local.parts.autoscaling import autoscaler_launch
from local.parts.launch import Facts, Launch
from local.parts.ready_file import read_ready
from local.ports import LOOPBACK
from local.state import SOCKET_PATH_MAX, Place, secret

RUNNER = Path(__file__).parents[1] / "runners" / "ray_node.py"
RAY_OWN_MIB = 768
"""What a node's own processes take beside its workers: raylet and its two agents, 290 MiB seen after a minute, and
the worker processes' own interpreters; rounded up."""
SOCKET_BELOW = len("/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store.10")

ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    # Despite its name: 0 makes Ray call this machine by its loopback address, so that every port is bound there. By
    # default 127.0.0.1 is replaced by the machine's outer address, and a node that has any other address than 127.0.0.1
    # listens on all interfaces (ray 2.60, services.resolve_ip_for_localhost).
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # 15 by default: beside anything else that works, Ray's workers would get a thirtieth of what other engines' get.
    "RAY_worker_niceness": "0",
    # Ray's processes retitle themselves and would overwrite the environment by which the supervisor knows them.
    "SPT_NOENV": "1",
}
"""What a process needs to join or drive this cluster, with RAY_AUTH_TOKEN_PATH."""


@dataclass(frozen=True)
class RayHead:
    """The control store, and a node that takes no tasks."""

    name: str = "ray"
    object_store_mib: int = 128
    port: int = 0
    needs: tuple[str, ...] = ()

    def launch(self, place: Place, port: int, needs: dict[str, Facts]) -> Launch:
        at = place.secret(f"{self.name}.token")
        secret(at, lambda: secrets.token_hex(32))
        return _node(place, self, at, ["--head", "--gcs-port", str(port)],
                     {"address": f"{LOOPBACK}:{port}"})  # fmt: skip


@dataclass(frozen=True)
class RayNode:
    """One worker node: `slots` CPUs, `slots x memory_mib` for Ray's scheduler, an object store beside it."""

    name: str
    slots: int
    memory_mib: int
    head: str = "ray"
    object_store_mib: int = 1024

    @property
    def port(self) -> int:
        return 0

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.head,)

    @property
    def node_id(self) -> int:
        """Its number plus one; 0 is the head. What Ray's autoscaler tells nodes of one address apart by."""
        number = self.name.rpartition("-")[2]
        return int(number) + 1 if number.isdecimal() else 0

    def launch(self, place: Place, port: int, needs: dict[str, Facts]) -> Launch:
        head = needs[self.head]
        memory_mib = self.slots * self.memory_mib
        options = ["--address", str(head["address"]), "--slots", str(self.slots), "--memory-mib", str(memory_mib),
                   "--node-id", str(self.node_id)]  # fmt: skip
        facts: Facts = {
            "address": head["address"],
            "slots": self.slots,
            "memory_mib": self.memory_mib,
            "cgroup_mib": memory_mib + self.object_store_mib + RAY_OWN_MIB,
            "memory_enforced_by": "none",
        }
        return _node(place, self, Path(str(head["secret_at"])), options, facts)


def _node(place: Place, part: RayHead | RayNode, token_at: Path, options: list[str], facts: Facts) -> Launch:
    name = part.name
    # A folder of its own: nodes that start together in one folder pick the same socket names.
    temp = place.temp / name
    if len(str(temp)) + SOCKET_BELOW > SOCKET_PATH_MAX:
        raise ValueError(
            f"{name}: {temp} is too long for Unix sockets below it; set TMPDIR to a shorter folder, /tmp say"
        )
    told = place.run(f"{name}.ready")
    cgroup_mib = facts.pop("cgroup_mib", None)
    command = [str(place.worker_python), str(RUNNER), "--temp-dir", str(temp), "--ready-file", str(told),
               "--object-store-mib", str(part.object_store_mib), *options]  # fmt: skip
    return Launch(
        command=command,
        facts=facts | {"secret_at": str(token_at)},
        ready=lambda: read_ready(told),
        env=ENVIRONMENT | {"RAY_AUTH_TOKEN_PATH": str(token_at), "PYTHONSAFEPATH": "1"},
        cgroup_mib=int(cgroup_mib) if cgroup_mib else None,
    )


@dataclass(frozen=True)
class RayAutoscaler:
    """Ray's own autoscaler, between `min_nodes` and `max_nodes` nodes like a `RayNode` of these slots and memory."""

    name: str
    slots: int
    memory_mib: int
    min_nodes: int
    max_nodes: int
    idle_timeout_s: int
    head: str = "ray"

    @property
    def port(self) -> int:
        return 0

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.head,)

    def launch(self, place: Place, port: int, needs: dict[str, Facts]) -> Launch:
        head = needs[self.head]
        like = RayNode(f"{self.head}-node-0", self.slots, self.memory_mib, self.head)
        own = {
            "RAY_AUTH_TOKEN_PATH": str(head["secret_at"]),
            "RAY_enable_autoscaler_v2": "0",  # the second version asks for instances otherwise than by a NodeProvider
            "RAY_ENABLE_CLUSTER_STATUS_LOG": "0",  # a page each second
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",  # 5 by default, as long as a local node takes to start
        }
        address = str(head["address"])
        return autoscaler_launch(
            place, self, runner="ray_autoscaler.py", address=address, like=like, env=ENVIRONMENT | own
        )
