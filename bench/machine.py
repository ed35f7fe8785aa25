"""What a run ran on and with: versions, commit, machine."""

import functools
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from plan.room import too_many

_PACKAGES = ("ray", "dask", "distributed", "lithops", "pandas", "pyarrow", "numpy", "boto3", "s3fs")


@functools.cache
def versions() -> dict[str, str]:
    """Python and the packages that are measured or measured with."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@functools.cache
def commit(root: Path) -> str | None:
    """The checkout's commit, with `-dirty` where tracked files differ from it; None outside git. A driver elsewhere has
    no checkout, and is told in BREAKEVEN_COMMIT."""
    if given := os.environ.get("BREAKEVEN_COMMIT"):
        return given
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--match", ""]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def check_room(workers: int, what: str) -> None:
    """Raises NoRoom, with the arithmetic, where so many local workers would bring this machine to a standstill."""
    if problem := too_many(workers, what, int(machine()["cpus"]), int(machine()["memory_mib"])):
        raise NoRoom(problem)


def check_memory(size_bytes: int, what: str, each: str) -> None:
    """Raises NoRoom, with the arithmetic, where this program would have to hold more than half of this machine."""
    memory_bytes = int(machine()["memory_mib"]) * 2**20
    if size_bytes > memory_bytes // 2:
        raise NoRoom(
            f"found {what}: this program holds {each}, {size_bytes / 2**30:,.0f} GiB in all, wanted at most half "
            f"of the {memory_bytes / 2**30:.0f} GiB of this machine; run it in several parts"
        )


class NoRoom(ValueError):
    """More is asked for than this machine holds."""


@functools.cache
def machine() -> dict[str, str | int | float]:
    """Cores, memory, processor and system of the driver's machine."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpus": os.cpu_count() or 0,
        "memory_mib": pages // 2**20,
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
