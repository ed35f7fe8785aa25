"""Runs a Dask scheduler, or one node's nannies and workers, in the foreground on loopback.

Run by path with the workers' interpreter; imports distributed only. It is the documented Python form of
`dask scheduler` and `dask worker --nanny`, which lets it tell when the scheduler counts every worker of the node.
TLS comes from distributed's configuration, in the environment.
"""

import argparse
import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

from distributed import Nanny, Scheduler, rpc
from distributed.security import Security

LOOPBACK = "127.0.0.1"
MIB = 2**20


async def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, help="run a scheduler on it")
    options.add_argument("--address", help="join the scheduler there")
    options.add_argument("--slots", type=int, default=0)
    options.add_argument("--memory-mib", type=int)
    options.add_argument("--name")
    options.add_argument("--local-directory", required=True)
    options.add_argument("--ready-file", type=Path, required=True)
    given = options.parse_args()

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    async with AsyncExitStack() as running:
        if given.address is None:
            scheduler = Scheduler(
                protocol="tls", host=LOOPBACK, port=given.port, dashboard=False, dashboard_address=None
            )
            await running.enter_async_context(scheduler)
            address, names = scheduler.address, set()
        else:
            address, names = given.address, {f"{given.name}-{slot}" for slot in range(given.slots)}
            nannies = [
                Nanny(
                    address, name=name, host=LOOPBACK, nthreads=1, memory_limit=given.memory_mib * MIB,
                    local_directory=given.local_directory, dashboard=False, dashboard_address=None,
                )
                for name in sorted(names)
            ]  # fmt: skip
            await asyncio.gather(*(running.enter_async_context(nanny) for nanny in nannies))
        # Asked over the wire, as a client would: the scheduler answers and counts these workers.
        async with rpc(address, connection_args=Security().get_connection_args("client")) as remote:
            while not names <= {worker["name"] for worker in (await remote.identity(n_workers=-1))["workers"].values()}:
                await asyncio.sleep(0.05)
        partial = given.ready_file.with_suffix(".partial")
        partial.write_text(json.dumps({"workers": len(names)}))
        os.replace(partial, given.ready_file)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
