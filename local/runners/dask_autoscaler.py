"""Runs Dask's own Adaptive for a local cluster, in the foreground, over nodes that the supervisor starts.

Run by path with the supervisor's interpreter, since nodes are parts of the stack like all others. Adaptive
(distributed.deploy.adaptive) asks the scheduler how many workers it wants and which may go; this process does it.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from distributed import rpc
from distributed.core import Status
from distributed.deploy import Adaptive
from distributed.security import Security
from tornado.ioloop import IOLoop

from local.parts import DaskNode
from local.scaling import await_nodes, end_lost, nodes_of, numbered
from local.supervisor import start, stop

INTERVAL_S = 0.5
STATUS_KEY = "breakeven:nodes"
logger = logging.getLogger(__name__)


def node_of(worker: Any) -> str:
    """The node that a worker's name tells: `dask-node-3-0` is slot 0 of `dask-node-3`."""
    return str(getattr(worker, "name", worker)).rpartition("-")[0]


class LocalNodes:
    """What Adaptive asks of a cluster. A worker is known by its name, which its node and slot give."""

    status = Status.running

    def __init__(self, like: DaskNode, state_dir: str, scheduler: Any) -> None:
        self.like, self.state_dir, self.scheduler_comm = like, state_dir, scheduler
        self.loop = IOLoop.current()
        self.starting: set[str] = set()
        self.leaving: set[str] = set()
        self.there: set[str] = set()
        self.observed: set[str] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def plan(self) -> set[str]:
        """Workers that are there or coming, without those that are leaving."""
        nodes = (self.there | self.starting) - self.leaving
        return {f"{node}-{slot}" for node in nodes for slot in range(self.like.slots)}

    requested = plan

    async def look(self) -> None:
        """Take in what is there now. A node whose process is gone is ended, so that Adaptive asks for another."""
        named = (await self.scheduler_comm.identity(n_workers=-1))["workers"].values()
        self.observed = {str(worker["name"]) for worker in named}
        moving = self.starting | self.leaving
        for name in await asyncio.to_thread(end_lost, self.like.scheduler, self.state_dir, moving):
            logger.warning("%s is gone: others do its work", name)
        self.there = {node.name for node in nodes_of(self.like.scheduler, self.state_dir)} - self.starting

    async def scale(self, n: int) -> None:
        """Start nodes for `n` workers in all; returns at once, they join when they can."""
        count = -(-n // self.like.slots) - len((self.there | self.starting) - self.leaving)
        for node in numbered(self.like, max(0, count), self.state_dir, taken=self.starting):
            self.starting.add(node.name)
            self._later(self._start(node))
        await self.publish()

    async def scale_down(self, workers: Iterable[str]) -> None:
        """End the nodes of workers that the scheduler has retired; a node goes only with all of its slots."""
        retired = set(workers)
        for node in {node_of(name) for name in retired} & self.there:
            if {f"{node}-{slot}" for slot in range(self.like.slots)} <= retired:
                self.leaving.add(node)
                self._later(self._stop(node))
        await self.publish()

    async def publish(self) -> None:
        """Tell sessions, by the scheduler's metadata, how many nodes are starting and leaving."""
        told = {"starting": len(self.starting), "leaving": len(self.leaving)}
        await self.scheduler_comm.set_metadata(keys=[STATUS_KEY], value=told)

    async def _start(self, node: DaskNode) -> None:
        try:
            await asyncio.to_thread(start, node, self.state_dir)
            self.there.add(node.name)
        except Exception:
            logger.exception("%s did not start", node.name)
        self.starting.discard(node.name)
        await self.publish()

    async def _stop(self, node: str) -> None:
        await asyncio.to_thread(stop, node, self.state_dir)
        self.there.discard(node)
        self.leaving.discard(node)
        await self.publish()

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def __await__(self) -> Any:
        return self.look().__await__()


class Adapted(Adaptive):  # type: ignore[misc]
    """Adaptive that looks at nodes and workers before each round, and ends at this process's signal only."""

    async def adapt(self) -> None:
        await self.cluster.look()
        await super().adapt()


async def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--address", required=True)
    options.add_argument("--state-dir", required=True)
    options.add_argument("--like", required=True, help="a node as JSON")
    options.add_argument("--min-nodes", type=int, required=True)
    options.add_argument("--max-nodes", type=int, required=True)
    options.add_argument("--idle-s", type=float, required=True)
    options.add_argument("--ready-file", type=Path, required=True)
    given = options.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    like = DaskNode(**json.loads(given.like))
    await_nodes(like.scheduler, given.min_nodes, given.state_dir)
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with rpc(given.address, connection_args=Security().get_connection_args("client")) as scheduler:
        nodes = LocalNodes(like, given.state_dir, scheduler)
        await nodes.look()
        adaptive = Adapted(
            nodes,
            interval=INTERVAL_S,
            minimum=given.min_nodes * like.slots,
            maximum=given.max_nodes * like.slots,
            wait_count=max(1, round(given.idle_s / INTERVAL_S)),
            worker_key=node_of if like.slots > 1 else None,
        )
        partial = given.ready_file.with_suffix(".partial")
        partial.write_text(json.dumps({"autoscaler": "dask"}))
        os.replace(partial, given.ready_file)
        await ended.wait()
        adaptive.stop()
    os._exit(0)  # threads that wait for a node to start would keep the process; the supervisor ends those nodes


if __name__ == "__main__":
    asyncio.run(main())
