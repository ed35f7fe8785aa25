"""Looks at an engine's workers while it works: who has joined, how many nodes are starting or leaving."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from bench.scaling import Step, busy_at, wanted
from bench.sessions.session import Done, Session

STATUS_KEY = "breakeven:nodes"
"""Under which an autoscaler tells how many nodes it starts and ends, in Ray's key-value store or Dask's metadata."""


@dataclass(frozen=True)
class Look:
    """Workers that have joined; nodes that are starting or leaving, None where nothing tells."""

    ready: int
    starting: int | None = None
    leaving: int | None = None


def looker(session: Session, slots: int) -> Callable[[], Look]:
    """How to look at a session's workers from a second thread. `slots`: workers of a node, to count in workers."""
    told: Callable[[], Any] = {"ray": _ray_status, "dask": _dask_status}.get(session.engine, dict)

    def look() -> Look:
        found = told() or {}
        moving = {key: found[key] * slots for key in ("starting", "leaving") if key in found}
        return Look(session.fleet().workers, **moving)

    return look


def _ray_status() -> Any:
    from ray.experimental.internal_kv import _internal_kv_get  # noqa: PLC0415  only where Ray is what is watched

    found = _internal_kv_get(STATUS_KEY)
    return json.loads(found) if found else None


def _dask_status() -> Any:
    from distributed import default_client  # noqa: PLC0415

    return default_client().get_metadata([STATUS_KEY], default=None)


class Recorder:
    """Takes a look every `every_s` in a thread of its own, from entering to leaving; `steps` has them as counts."""

    def __init__(self, look: Callable[[], Look], items: int, least: int, most: int, every_s: float):
        self._look, self._items, self._bounds, self._every_s = look, items, (least, most), every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._seen: list[tuple[float, Step]] = []
        self.done = 0
        """Items finished so far; the thread that collects them counts up."""
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        self.began_at, self._zero = time.time(), time.perf_counter()
        self._take()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    @property
    def now_s(self) -> float:
        """Seconds since entering."""
        return time.perf_counter() - self._zero

    @property
    def last(self) -> Step:
        """The latest look."""
        return self._seen[-1][1]

    def shrunk(self) -> bool:
        """Whether fewer workers were ready at some look than at one before it."""
        ready = [step.ready for _, step in self._seen]
        return any(later < max(ready[: at + 1]) for at, later in enumerate(ready))

    def steps(self, done: Sequence[Done] = ()) -> list[Step]:
        """All looks, with the workers that were busy by the traces of `done`."""
        busy = busy_at([at for at, _ in self._seen], done)
        return [replace(step, busy=count) for (_, step), count in zip(self._seen, busy, strict=True)]

    def _watch(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self._take()
            except Exception as error:  # one look that failed: the engine may be busy, the next one tells
                self.error = error

    def _take(self) -> None:
        found = self._look()
        want = wanted(self._items - self.done, *self._bounds) if self.done < self._items else self._bounds[0]
        step = Step(self.now_s, want, found.ready, 0, self.done, found.starting, found.leaving)
        self._seen.append((time.time(), step))
