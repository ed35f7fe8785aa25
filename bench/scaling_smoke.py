"""The smoke test before an experiment (EXPERIMENTS A8): calls that sleep a second, one after the other and at once."""

import time

from bench.attempt import attempt, line, raise_if_interrupted
from bench.budget import Guard
from bench.rows import Failure
from bench.scaling_rows import Log

SLEEP_S = 1.0


def smoke(log: Log, engine: str, label: str, *, guard: Guard, timeout_s: float) -> str:
    """Run as many calls of one second as there are workers, after an untimed call; the excess over 1 s is the engine's.

    A row each: `smoke_s`, and `smoke_excess_s`. A failure is a row, and what follows is tried all the same. Returns a
    line for people.
    """

    def work() -> tuple[int, float, float]:
        session = log.sessions.of(engine)[0]
        list(session.stream(time.sleep, [(0.0,)]))
        calls = max(1, session.fleet().workers)
        began = time.perf_counter()
        done = list(session.stream(time.sleep, [(SLEEP_S,)] * calls))
        seconds = time.perf_counter() - began
        log.seen.workers |= {one.trace.worker for one in done}
        return calls, seconds, sum(one.trace.busy_s for one in done)

    found = attempt(log.sessions, guard, engine, timeout_s, work)
    if isinstance(found, Failure):
        log.add(engine, label, "smoke_s", None, failure=found)
        raise_if_interrupted(found)
        return f"{label} smoke test: {line(found)}"
    calls, seconds, one_by_one_s = found
    told = {"calls": calls, "one_after_the_other_s": one_by_one_s}
    log.add(engine, label, "smoke_s", seconds, parameters=told)
    log.add(engine, label, "smoke_excess_s", seconds - SLEEP_S, parameters=told)
    return f"{label} smoke test: {calls} calls of 1 s at once took {seconds:.2f} s"
