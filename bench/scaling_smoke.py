"""The smoke test before an experiment (EXPERIMENTS A8): calls that sleep a second, one after the other and at once."""

import time

from bench.scaling_rows import Log
from bench.sessions.session import Session

SLEEP_S = 1.0


def smoke(log: Log, session: Session, label: str) -> str:
    """Run as many calls of one second as there are workers, after an untimed call; the excess over 1 s is the engine's.

    A row each: `smoke_s`, and `smoke_excess_s`. Raises what the engine raises: an experiment on it would too.
    """
    list(session.stream(time.sleep, [(0.0,)]))
    calls = max(1, session.fleet().workers)
    began = time.perf_counter()
    done = list(session.stream(time.sleep, [(SLEEP_S,)] * calls))
    seconds = time.perf_counter() - began
    told = {"calls": calls, "one_after_the_other_s": sum(one.trace.busy_s for one in done)}
    log.add(session.engine, label, "smoke_s", seconds, parameters=told)
    log.add(session.engine, label, "smoke_excess_s", seconds - SLEEP_S, parameters=told)
    return f"{label} smoke test: {calls} calls of 1 s at once took {seconds:.2f} s"
