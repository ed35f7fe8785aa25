"""Who ran a piece of work, when, and with how much memory: told by the worker itself, beside each result."""

import functools
import os
import pickle
import resource
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MIB = 2**20
_SMALL_BYTES = 64 * 1024


@dataclass(frozen=True)
class Trace:
    """One call in one worker. Instants are epoch seconds on the worker's clock."""

    worker: str
    """Host, pid and start of the process; a pid alone is given again. On Lambda the sandbox's log stream."""
    pid: int
    began_at: float
    ended_at: float
    seen_mib: int
    enforced_by: str
    """What holds the worker to `seen_mib`: nanny, cgroup, pod, lambda, or none (then it is the machine's memory)."""
    peak_mib: int = 0
    """The most that this process has held in memory so far, in all its life."""
    held_s: float = 0.0
    """Of a call on functions: seconds for which its function was there for it, handler and start-up with it."""

    @property
    def busy_s(self) -> float:
        """Seconds in the user's code."""
        return self.ended_at - self.began_at

    @property
    def billed_s(self) -> float:
        """Seconds that a platform of functions bills for the call."""
        return max(self.busy_s, self.held_s)


def traced(work: tuple[Callable[..., Any], tuple[Any, ...]]) -> tuple[Any, Trace]:
    """Do `work`, a function and its arguments, in this worker, and say who did it."""
    began_at = time.time()
    function, args = work
    result = function(*args)
    return result, trace(began_at)


def called(function: Callable[..., Any], *args: Any) -> list[Any]:
    """As `traced`, flat and in plain types: what engines carry for small results costs them more than the call."""
    result, found = traced((function, args))
    return [result, *vars(found).values()]


def packed(function: Callable[..., Any], *args: Any) -> bytes | list[Any]:
    """As `called`, pickled where small: for each list Dask takes 0.7 ms that it does not take for bytes (measured)."""
    told = called(function, *args)
    apart: list[pickle.PickleBuffer] = []
    try:
        text = pickle.dumps(told, protocol=5, buffer_callback=apart.append)
    except Exception:  # what only the engine's own pickling can carry
        return told
    return told if apart or len(text) > _SMALL_BYTES else text


def trace(began_at: float) -> Trace:
    """The trace of a call that began at `began_at` and ends now."""
    seen_mib, enforced_by = seen_memory()
    return Trace(_identity(os.getpid()), os.getpid(), began_at, time.time(), seen_mib, enforced_by, peak_mib())


def peak_mib() -> int:
    """Peak resident memory of this process: ru_maxrss, which Linux gives in KiB and macOS in bytes (getrusage(2))."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (_MIB if sys.platform == "darwin" else 1024)


@functools.lru_cache(maxsize=2)  # by pid, since Lithops forks its workers from a process that may have asked before
def _identity(pid: int) -> str:
    sandbox = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
    if sandbox:
        return sandbox
    # Field 22 of proc_pid_stat(5), counted after the name, which may hold spaces: start in clock ticks since boot.
    stat = Path(f"/proc/{pid}/stat")
    started = stat.read_text().rpartition(")")[2].split()[19] if stat.exists() else "0"
    return f"{socket.gethostname()}:{pid}:{started}"


def seen_memory() -> tuple[int, str]:
    """MiB this worker may use as it sees it, and what enforces that."""
    function_mib = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    if function_mib:
        return int(function_mib), "lambda"
    nanny_bytes = _nanny_limit_bytes()
    if nanny_bytes:
        return nanny_bytes // _MIB, "nanny"
    machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cgroup_bytes = _cgroup_limit_bytes()
    if cgroup_bytes and cgroup_bytes < machine_bytes:
        return cgroup_bytes // _MIB, "pod" if "KUBERNETES_SERVICE_HOST" in os.environ else "cgroup"
    return machine_bytes // _MIB, "none"


def _nanny_limit_bytes() -> int | None:
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        worker = distributed.get_worker()
    except ValueError:  # not in a Dask worker
        return None
    return int(worker.memory_manager.memory_limit or 0) if worker.nanny else None


@functools.lru_cache(maxsize=1)
def _cgroup_limit_bytes() -> int | None:
    """The smallest limit on this process's path of cgroups, version 1 or 2."""
    limits = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, inner = line.split(":", 2)
        if controllers == "":
            root, name = Path("/sys/fs/cgroup"), "memory.max"
        elif "memory" in controllers.split(","):
            root, name = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
        else:
            continue
        folder = root / inner.lstrip("/")
        # In a container the path of the host is not mounted and its own limit lies at the root.
        for place in (folder, *(p for p in folder.parents if p.is_relative_to(root)), root):
            file = place / name
            text = file.read_text().strip() if file.exists() else "max"
            if text != "max":
                limits.append(int(text))
    return min(limits, default=None)
