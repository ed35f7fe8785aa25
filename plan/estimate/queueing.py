"""Simulation of what a closed form cannot say: workers that come one by one, tasks that queue for shared servers."""

import math
from collections.abc import Generator, Sequence

import simpy

MAX_WORKERS = 1000
"""More are simulated in groups that come, take and finish together, so that 10,000 workers take a second."""

MAX_TASKS = 100_000
"""More are simulated in bundles of equal tasks, so that a billion takes seconds; a worker still has a hundred."""


def makespan_s(ready_s: Sequence[float], tasks: int, task_s: float, serial_s: Sequence[float] = ()) -> float:
    """Seconds until the last of `tasks` equal tasks is done.

    ready_s: when each worker is there to take tasks. serial_s: for each server that all workers share (the scheduler's
    dispatch, the requests allowed to one prefix), the seconds for which one task holds it. Dispatch comes before the
    task; the others run beside it, for requests are spread over the task.
    """
    if not ready_s or tasks < 1:
        raise ValueError(f"found {len(ready_s)} workers and {tasks} tasks, wanted one or more of each")
    together = math.ceil(len(ready_s) / MAX_WORKERS)
    ready_s, tasks = ready_s[::together], math.ceil(tasks / together)
    bundle = math.ceil(tasks / MAX_TASKS)
    tasks, task_s = math.ceil(tasks / bundle), task_s * bundle
    serial_s = [seconds * together * bundle for seconds in serial_s]
    world = simpy.Environment()
    servers = [(simpy.Resource(world, capacity=1), seconds) for seconds in serial_s]
    left, done_s = tasks, 0.0

    def served(server: simpy.Resource, seconds: float) -> Generator[simpy.Event, None, None]:
        with server.request() as turn:
            yield turn
            yield world.timeout(seconds)

    def worker(ready: float) -> Generator[simpy.Event, None, None]:
        nonlocal left, done_s
        yield world.timeout(ready)
        while left:
            left -= 1
            if servers:
                yield world.process(served(*servers[0]))
            beside = [world.process(served(server, seconds)) for server, seconds in servers[1:]]
            yield simpy.AllOf(world, [world.timeout(task_s), *beside])
            done_s = world.now

    for ready in ready_s:
        world.process(worker(ready))
    world.run()
    return done_s


def arrivals_s(count: int, burst: int, per_s: float, first_s: float = 0.0) -> list[float]:
    """When each of `count` arrives out of a bucket of `burst` at once that refills at `per_s`."""
    return [first_s + max(0, number - burst + 1) / per_s for number in range(count)]
