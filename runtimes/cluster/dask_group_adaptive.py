"""A scheduler preload: distributed's own adaptive logic, in nodes, over the group of the workers."""

import asyncio
import os
from collections.abc import Iterable
from typing import Any

from distributed import Scheduler
from distributed.deploy.adaptive_core import AdaptiveCore
from tornado.ioloop import PeriodicCallback
from worker_group import WorkerGroup, node_of

INTERVAL_S = 1.0


class GroupAdaptive(AdaptiveCore):
    """A worker, to the adaptive logic, is a node: its slots come and go together. Idle for `idle_s`, a node goes."""

    def __init__(self, scheduler: Scheduler, group: WorkerGroup, slots: int, minimum: int, idle_s: float) -> None:
        super().__init__(minimum=minimum, maximum=group.maximum, wait_count=max(1, round(idle_s / INTERVAL_S)))
        self.scheduler, self.group, self.slots = scheduler, group, slots
        self.members: set[str] = set()

    @property
    def plan(self) -> set[Any]:
        """Nodes in the group."""
        return self.members

    requested = plan

    @property
    def observed(self) -> set[Any]:
        """Nodes with at least one worker that has joined."""
        return {node_of(worker.name) for worker in self.scheduler.workers.values()}

    async def adapt(self) -> None:
        """One round, on what the group holds now."""
        self.members = set(await asyncio.to_thread(self.group.instances))
        await super().adapt()

    async def target(self) -> int:
        """Nodes for the workers that the scheduler would like."""
        return -(-self.scheduler.adaptive_target() // self.slots)

    async def workers_to_close(self, target: int) -> list[str]:
        """Nodes whose workers are all idle and hold little, chosen by the scheduler."""
        names = self.scheduler.workers_to_close(
            target=target * self.slots, key=lambda worker: node_of(worker.name), attribute="name"
        )
        return sorted({node_of(name) for name in names})

    async def scale_up(self, n: int) -> None:  # type: ignore[override]
        """Ask the group for n nodes."""
        await asyncio.to_thread(self.group.grow_to, n)

    async def scale_down(self, workers: Iterable[str]) -> None:  # type: ignore[override]
        """Move what these nodes hold to others, close their workers, and end them: no work is lost."""
        leaving = set(workers)
        names = [worker.name for worker in self.scheduler.workers.values() if node_of(worker.name) in leaving]
        if names:
            await self.scheduler.retire_workers(names=names, close_workers=True, remove=True)
        for node in leaving:
            await asyncio.to_thread(self.group.end, node)


async def dask_setup(scheduler: Scheduler) -> None:
    """Called by `dask scheduler --preload`."""
    adaptive = GroupAdaptive(
        scheduler,
        WorkerGroup.of_this_host(),
        slots=int(os.environ["BREAKEVEN_SLOTS"]),
        minimum=int(os.environ["BREAKEVEN_MIN_NODES"]),
        idle_s=float(os.environ["BREAKEVEN_IDLE_S"]),
    )
    clock = PeriodicCallback(adaptive.adapt, INTERVAL_S * 1000)
    clock.start()
    scheduler.periodic_callbacks["breakeven-adaptive"] = clock  # stopped when the scheduler closes
