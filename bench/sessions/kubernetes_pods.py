"""When a pod was created, placed, had its image, started and joined: read from its own status and its events.

Kubernetes writes these times to the second, by the clocks of its control plane and of the node.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class PodTimes:
    """One pod, in seconds since the epoch; None for what has not happened, or was forgotten (events live an hour).

    image_was_there: whether the node had the image before. joined_at: by the driver's clock, when the engine first
    counted the worker.
    """

    name: str
    node: str | None
    created_at: float
    scheduled_at: float | None
    pulled_at: float | None
    started_at: float | None
    ready_at: float | None
    joined_at: float | None
    image_was_there: bool | None

    def spans_s(self) -> dict[str, float]:
        """Seconds from each step to the next, for the steps that are known."""
        known = self._known()
        return {name: at - before for (_, before), (name, at) in itertools.pairwise(known)}

    def took_s(self) -> float:
        """Seconds from its creation to the last step that is known."""
        return self._known()[-1][1] - self.created_at

    def facts(self) -> dict[str, str | int | float | bool | None]:
        """What a row says of it beside its spans."""
        return {
            "pod": self.name,
            "node": self.node,
            "image_was_there": self.image_was_there,
            **{f"{name}_at": at for name, at in self._known()},
        }

    def _known(self) -> list[tuple[str, float]]:
        steps = {
            "created": self.created_at,
            "schedule": self.scheduled_at,
            "pull": self.pulled_at,
            "start": self.started_at,
            "ready": self.ready_at,
            "join": self.joined_at,
        }
        return [(name, at) for name, at in steps.items() if at is not None]


def pod_times(
    pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]] = (), joined_at: float | None = None
) -> PodTimes:
    """A pod's times from its object and the events that concern it; events of others are left out."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    own = [event for event in events if (event.get("involvedObject") or {}).get("uid") == metadata.get("uid")]
    pulled = [event for event in own if event.get("reason") == "Pulled"]
    containers = status.get("containerStatuses") or []
    running = [c["state"]["running"]["startedAt"] for c in containers if (c.get("state") or {}).get("running")]
    return PodTimes(
        name=metadata["name"],
        node=(pod.get("spec") or {}).get("nodeName"),
        created_at=epoch(metadata["creationTimestamp"]),
        scheduled_at=_since(status, "PodScheduled"),
        pulled_at=max((_when(event) for event in pulled), default=None),
        started_at=max(map(epoch, running)) if running and len(running) == len(containers) else None,
        ready_at=_since(status, "Ready"),
        joined_at=joined_at,
        image_was_there=all("already present" in event.get("message", "") for event in pulled) if pulled else None,
    )


def quantiles_s(began_at: float, reached_at: Sequence[float], wanted: int) -> dict[str, float]:
    """Seconds from `began_at` until the first, half, nine tenths and all of `wanted` workers had reached a step.

    A share that was never reached is left out: a cluster that did not come up whole has no time to all.
    """
    shares = {"first": 1, "half": math.ceil(wanted / 2), "nine_tenths": math.ceil(wanted * 0.9), "all": wanted}
    ordered = sorted(reached_at)
    return {name: ordered[count - 1] - began_at for name, count in shares.items() if 0 < count <= len(ordered)}


def epoch(stamp: str) -> float:
    """Seconds since the epoch of Kubernetes' RFC 3339 stamps."""
    return datetime.fromisoformat(stamp).timestamp()


def _since(status: Mapping[str, Any], condition: str) -> float | None:
    for found in status.get("conditions") or []:
        if found["type"] == condition and found["status"] == "True" and found.get("lastTransitionTime"):
            return epoch(found["lastTransitionTime"])
    return None


def _when(event: Mapping[str, Any]) -> float:
    return epoch(event.get("eventTime") or event.get("lastTimestamp") or event["firstTimestamp"])
