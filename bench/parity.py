"""Whether workers are what the stack declares, before they are timed and by what they report afterwards."""

from collections.abc import Sequence

from bench.sessions.session import Fleet
from tasks.trace import Trace


class Unequal(RuntimeError):
    """Workers differ from what the stack declares."""


def check_equal(name: str, found: Fleet, declared: Fleet | None) -> None:
    """Raises Unequal where an engine's count of workers, their CPU or held memory is not as declared."""
    if declared is None:
        return
    held = found.memory_mib if found.memory_mib is not None else declared.memory_mib
    pairs = (
        ("workers", found.workers, declared.workers),
        ("vCPU per worker", found.vcpu, declared.vcpu),
        ("MiB per worker", held, declared.memory_mib),
    )
    wrong = [f"{what} {have}, wanted {want}" for what, have, want in pairs if have != want]
    if wrong:
        raise Unequal(
            f"{name}: found {'; '.join(wrong)}: repair the stack with up, or time it as it is with --allow-unequal"
        )


def check_seen(name: str, traces: Sequence[Trace], declared: Fleet | None, sharing: int) -> None:
    """Raises Unequal where a worker reports less memory than is declared, or is held alone to more.

    sharing: workers that a cgroup holds together, beside the node's own processes: its limit is their sum at least.
    """
    if declared is None or declared.memory_mib is None:
        return
    for trace in traces:
        together = trace.enforced_by == "cgroup"
        wanted = declared.memory_mib * (sharing if together else 1)
        # One MiB: kernels and nannies round limits to pages.
        if trace.seen_mib < wanted - 1 or (trace.enforced_by not in ("none", "cgroup") and trace.seen_mib > wanted + 1):
            raise Unequal(
                f"{name}: a worker sees {trace.seen_mib} MiB (enforced by {trace.enforced_by}), wanted {wanted}: "
                "repair the stack with up, or time it as it is with --allow-unequal"
            )
