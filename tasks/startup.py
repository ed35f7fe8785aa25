"""What a worker tells of its own coming up: its machine, its node's first process, itself."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Up:
    """Instants in epoch seconds on the worker's clock; None where its system does not tell (no /proc)."""

    host_at: float | None
    """The machine's boot."""
    node_at: float | None
    """The node's first process: the leader of the worker's session, as a service or a supervisor starts it."""
    worker_at: float | None
    """This process."""
    ran_at: float


def up(hold_s: float) -> Up:
    """Stay busy for `hold_s`, so that another call goes to another worker, and tell."""
    time.sleep(hold_s)
    return Up(_boot_at(), _started_at(os.getsid(0)), _started_at(os.getpid()), time.time())


def _boot_at() -> float | None:
    stat = Path("/proc/stat")
    lines = stat.read_text().splitlines() if stat.exists() else []
    return next((float(line.split()[1]) for line in lines if line.startswith("btime ")), None)


def _started_at(pid: int) -> float | None:
    """Field 22 of proc_pid_stat(5), in clock ticks since boot."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return None
    since_boot_s = int(stat.read_text().rpartition(")")[2].split()[19]) / _TICKS_PER_S
    # Not /proc/stat's btime, which is in whole seconds.
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot_s
