"""How many local workers a machine can start: arithmetic, for what starts them by a stack's file or by an option."""

WORKER_MIB, WORKERS_PER_CORE = 512, 8
"""Of a worker node on this machine: what its processes hold (measured: Ray 500 MiB with one worker, Dask 250), and how
many start on a core within minutes: one takes some 8 s of it."""


def too_many(workers: int, what: str, cpus: int, memory_mib: int) -> str | None:
    """Why so many local workers would bring a machine to a standstill, with the arithmetic, or None."""
    by_memory, by_cores = memory_mib // WORKER_MIB, cpus * WORKERS_PER_CORE
    if workers <= (most := min(by_memory, by_cores)):
        return None
    return (
        f"found {what} {workers} on this machine of {cpus} cores and {memory_mib / 1024:.0f} GiB, wanted at most "
        f"{most}: {WORKERS_PER_CORE} a core are {by_cores}, {WORKER_MIB} MiB each are {by_memory}"
    )
