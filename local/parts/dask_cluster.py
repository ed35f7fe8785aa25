"""A Dask cluster on loopback: a scheduler, and worker nodes whose nannies hold each worker to its memory."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from local.parts.autoscaling import autoscaler_launch
from local.parts.launch import Facts, Launch
from local.parts.ready_file import read_ready
from local.ports import LOOPBACK
from local.state import Place, write_private

RUNNER = Path(__file__).parents[1] / "runners" / "dask_node.py"


@dataclass(frozen=True)
class DaskScheduler:
    """The scheduler, without a dashboard, under TLS: whoever reaches it can run code as its user, and the loopback
    interface is open to every user of the machine. `secret_at`: the folder of ca.pem, cert.pem and key.pem."""

    name: str = "dask"
    port: int = 0
    needs: tuple[str, ...] = ()
    protocol: str = "tls"
    """Recorded with the part, so that a scheduler that older code started in the clear is replaced by `up`."""

    def launch(self, place: Place, port: int, needs: dict[str, Facts]) -> Launch:
        secret_at = place.secret(f"{self.name}.tls")
        _make_certificate(secret_at)
        options = ["--port", str(port)]
        facts: Facts = {"address": f"{self.protocol}://{LOOPBACK}:{port}", "secret_at": str(secret_at)}
        return _launch(place, self.name, options, facts, secret_at)


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
        scheduler = needs[self.scheduler]
        address = scheduler["address"]
        options = ["--address", str(address), "--slots", str(self.slots), "--memory-mib", str(self.memory_mib),
                   "--name", self.name]  # fmt: skip
        facts: Facts = {
            "address": address,
            "slots": self.slots,
            "memory_mib": self.memory_mib,
            "memory_enforced_by": "nanny",
        }
        return _launch(place, self.name, options, facts, Path(str(scheduler["secret_at"])))


def _environment(secret_at: Path) -> dict[str, str]:
    """Distributed's own configuration: every role of the cluster speaks TLS, and nothing else."""
    tls = {"CA_FILE": secret_at / "ca.pem"}
    for role in ("CLIENT", "SCHEDULER", "WORKER"):
        tls |= {f"{role}__CERT": secret_at / "cert.pem", f"{role}__KEY": secret_at / "key.pem"}
    environment = {f"DASK_DISTRIBUTED__COMM__TLS__{key}": str(path) for key, path in tls.items()}
    return environment | {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True", "PYTHONSAFEPATH": "1"}


def _make_certificate(folder: Path) -> None:
    """The cluster's certificate and key, each in a file that only its owner can read; kept until `down`."""
    if folder.exists():
        return
    from local.certificate import certificate  # noqa: PLC0415 (a tenth of a second that `status` does not pay)

    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    for entry, pem in certificate("breakeven-dask").items():
        write_private(partial / f"{entry}.pem", pem)
    partial.rename(folder)


def _launch(place: Place, name: str, options: list[str], facts: Facts, secret_at: Path) -> Launch:
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
    return Launch(command, facts, lambda: read_ready(told), env=_environment(secret_at))


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
        scheduler = needs[self.scheduler]
        address = str(scheduler["address"])
        env = _environment(Path(str(scheduler["secret_at"])))
        return autoscaler_launch(place, self, runner="dask_autoscaler.py", address=address, like=like, env=env)
