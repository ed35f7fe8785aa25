"""Memory: a cgroup per part where this user may make one, and a word of warning where a machine has too little."""

from contextlib import suppress
from pathlib import Path

import psutil

from local.state import Place

CGROUP = Path("/sys/fs/cgroup")
MIB = 2**20


def cgroup_of(place: Place, part: str) -> Path | None:
    """Where the part's cgroup lies, version 1 or 2; None on a system with neither."""
    name = f"{place.temp.name}-{part}"
    if (CGROUP / "memory" / "memory.limit_in_bytes").exists():
        return CGROUP / "memory" / name
    if (CGROUP / "cgroup.controllers").exists():
        return CGROUP / name
    return None


def left_cgroups(place: Place) -> list[Path]:
    """Every cgroup that this stack has made."""
    return [path for root in (CGROUP / "memory", CGROUP) if root.is_dir() for path in root.glob(f"{place.temp.name}-*")]


def make_cgroup(place: Place, part: str, limit_mib: int) -> Path | None:
    """A cgroup that holds its members to `limit_mib`; None where this user or system allows none."""
    path = cgroup_of(place, part)
    if path is None:
        return None
    version_1 = path.parent.name == "memory"
    try:
        path.mkdir(exist_ok=True)
        limit = "memory.limit_in_bytes" if version_1 else "memory.max"
        (path / limit).write_text(str(limit_mib * MIB))
        return path
    except OSError:  # not root, read-only mount, or memory not delegated to this level
        remove_cgroup(path)
        return None


def remove_cgroup(path: Path | None) -> None:
    """Removes a cgroup; it must be empty, as it is once the part has ended."""
    if path is not None:
        with suppress(FileNotFoundError, OSError):
            path.rmdir()


def shortage(wanted_mib: int) -> str | None:
    """A warning if workers that all fill their memory would not fit this machine."""
    there_mib = psutil.virtual_memory().total // MIB
    if wanted_mib <= there_mib:
        return None
    return (
        f"warning: the workers of one engine may use {wanted_mib} MiB together, this machine has {there_mib} MiB. "
        "Work that needs less than that runs. Work that fills it is slowed by swapping or has a process ended by the "
        "system, perhaps one of another program: use smaller data, fewer workers or a smaller worker"
    )
