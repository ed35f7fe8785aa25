"""A Dask cluster on loopback: a scheduler, and worker nodes whose nannies hold each worker to its memory."""

from dataclasses import dataclass
from pathlib import Path

from local.parts.autoscaling import autoscaler_launch
from local.parts.launch import Facts, Launch
from local.parts.ready_file import read_ready
from local.ports import LOOPBACK
from local.state import Place

RUNNER = Path(__file__).parents[1] / "runners" / "dask_node.py"


@dataclass(frozen=True)
class DaskScheduler:
    """The scheduler, without a dashboard."""

    name: str = "dask"
    port: int = 0
    needs: tuple[str, ...] = ()

    def launch(self, place: Place, port: int, needs: dict[str, Facts]) -> Launch:
        return _launch(place, self.name, ["--port", str(port)], {"address": f"tcp://{LOOPBACK}:{port}"})


@dataclass(frozen=True)
class DaskNode:
    """One worker node: `slots` workers of one thread, each ended by its nanny near `memory_mib`."""

    name: str
    slots: int
    memory_mib: int
    scheduler: str = "dask"

    @property
    def port(self) -> int:
        return 0

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.scheduler,)

    def launch(self, place: Place, port: int, needs: dict[str, Facts]) -> Launch:
        address = needs[self.scheduler]["address"]
        options = ["--address", str(address), "--slots", str(self.slots), "--memory-mib", str(self.memory_mib),
                   "--name", self.name]  # fmt: skip
        facts: Facts = {
            "address": address,
            "slots": self.slots,
            "memory_mib": self.memory_mib,
            "memory_enforced_by": "nanny",
        }
        return _launch(place, self.name, options, facts)


def _launch(place: Place, name: str, options: list[str], facts: Facts) -> Launch:
    told = place.run(f"{name}.ready")
    temp = place.temp / name
    temp.mkdir(exist_ok=True)
    command = [
        str(place.worker_python),
        str(RUNNER),
        "--ready-file",
        str(told),
        "--local-directory",
        str(temp),
        *options,
    ]
    return Launch(command, facts, lambda: read_ready(told), env={"PYTHONSAFEPATH": "1"})


@dataclass(frozen=True)
class DaskAutoscaler:
    """Dask's Adaptive, between `min_nodes` and `max_nodes` nodes like a `DaskNode` of these slots and memory."""

    name: str
    slots: int
    memory_mib: int
    min_nodes: int
    max_nodes: int
    idle_timeout_s: int
    scheduler: str = "dask"

    @property
    def port(self) -> int:
        return 0

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.scheduler,)

    def launch(self, place: Place, port: int, needs: dict[str, Facts]) -> Launch:
        like = DaskNode(f"{self.scheduler}-node-0", self.slots, self.memory_mib, self.scheduler)
        address = str(needs[self.scheduler]["address"])
        env = {"PYTHONSAFEPATH": "1"}
        return autoscaler_launch(place, self, runner="dask_autoscaler.py", address=address, like=like, env=env)
