"""Everything that a stack's sessions scale, to zero: what a driver that was ended in the middle leaves is ended by who
watched it."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.aws import vm_cluster
from bench.sessions.kubernetes import PodCluster, on_eks
from bench.sessions.session import LeftRunning
from plan.outputs import Outputs
from plan.redaction import redacted

TRIES, PAUSE_S = 3, 5.0


def zero(outputs: Outputs, api: Any = None) -> list[str]:
    """Ask every group for zero nodes, workers before heads, and every cluster of pods for zero workers; return those
    that had some. api: kr8s's client, made where it is needed.

    Each is asked whatever the others answer, and again where it fails. Raises LeftRunning with those that could not be
    asked.
    """
    had, refused = [], []
    for name, ask in _asks(outputs, api):
        why = ""
        for attempt in range(TRIES):
            try:
                if ask():
                    had.append(name)
                break
            except Exception as error:
                why = f"{name}: {type(error).__name__}: {error}"
                if attempt + 1 < TRIES:
                    time.sleep(PAUSE_S * (attempt + 1))
        else:
            refused.append(redacted(why))
    if refused:
        ended = f"; at zero: {', '.join(had)}" if had else ""
        raise LeftRunning(
            f"stack {outputs.stack!r}: could not be asked for zero: {'; '.join(refused)}{ended}. It may still cost "
            f"money: `pulumi destroy -s {outputs.stack}` ends it, or its expiry"
        )
    return had


def _asks(outputs: Outputs, api: Any) -> Iterator[tuple[str, Callable[[], bool]]]:
    """What is to go to zero, by name, with what asks for it and says whether there was any."""
    on_ec2 = [cluster for cluster in outputs.clusters.values() if cluster.platform == "ec2"]
    for group in (*(c.group for c in on_ec2), *(c.head_group for c in on_ec2)):
        if group:
            yield group, lambda group=group: vm_cluster.group_to_zero(outputs, group)  # type: ignore[misc]
    for cluster, namespace in on_eks(outputs):
        pods = PodCluster(cluster, namespace, api)
        yield pods.name, lambda pods=pods: _pods_to_zero(pods)  # type: ignore[misc]


def _pods_to_zero(pods: PodCluster) -> bool:
    there = bool(pods.pods())
    if there:
        pods.ask(0)
    return there
