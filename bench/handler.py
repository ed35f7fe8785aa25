"""`python -m bench.handler`: seconds that a function is billed beside the user's code, measured on an embedded stack.

Lithops's own handler, the one in the functions' image, is called in a new interpreter as Lambda calls it in a new
sandbox: it downloads the function and its data, forks, runs the call, and uploads result and status. What it takes from
entry to exit, less what its worker says of the call, is `handler_s`; the imports before the first call are `init_s`.
Both are in `catalog/parameters.csv`. The object store is on loopback: S3 answers later. CPU seconds are told beside the
wall's, since a machine that does other work lengthens only these.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from bench import command, stats
from bench.sessions.on_lithops import LithopsSession
from plan.estimate import parameters
from plan.estimate.parameters import Draws
from plan.narrow import echo
from plan.stack_option import StackName
from tasks.empty import empty

# What a sandbox does before and at each call, as lithops.serverless.backends.aws_lambda.entry_point has it.
_SANDBOX = """
import json, os, sys, time
told = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Lithops logs there
def timed(work):
    wall, cpu = time.time(), time.process_time()
    work()
    print(json.dumps([time.time() - wall, time.process_time() - cpu]), file=told, flush=True)
def imports():
    global function_handler
    import pandas, pyarrow
    from lithops.worker import function_handler
timed(imports)
for line in sys.stdin:
    timed(lambda: function_handler(json.loads(line)))
"""


@dataclass(frozen=True)
class Held:
    """Seconds of one import or one call: by the wall, and of the sandbox's own CPU, without the call's process."""

    wall_s: float
    cpu_s: float


class Sandbox:
    """One interpreter that runs a call at a time. `init`: its imports; `calls`: each call, in order."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SANDBOX], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.init = self._told()
        self.calls: list[Held] = []

    def invoke(self, payload: dict[str, Any]) -> None:
        """Stands in for the backend's own: the job's only call is run here, to its end."""
        assert self._process.stdin
        print(json.dumps(payload | {"worker_processes": 1}, default=str), file=self._process.stdin, flush=True)
        self.calls.append(self._told())

    def _told(self) -> Held:
        assert self._process.stdout
        return Held(*json.loads(self._process.stdout.readline()))

    def end(self) -> None:
        """Wait for its end."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=30)


@contextmanager
def sandbox(session: LithopsSession) -> Iterator[Sandbox]:
    """A session whose calls run in one new sandbox."""
    own, made = session.executor.compute_handler.invoke, Sandbox()
    session.executor.compute_handler.invoke = made.invoke
    try:
        yield made
    finally:
        session.executor.compute_handler.invoke = own
        made.end()


def measure(session: LithopsSession, sandboxes: int, calls: int) -> dict[str, list[Held]]:
    """Each sandbox's imports, its first call and its later ones, without what the worker says that the call took."""
    found: dict[str, list[Held]] = {"init_s": [], "handler_s, first call": [], "handler_s, later calls": []}
    known_s = Draws(parameters.read(), "lithops", session.platform)["handler_s"]  # which the session has added
    for _ in range(sandboxes):
        with sandbox(session) as made:
            told_s = [done.trace.held_s - known_s for n in range(calls) for done in session.stream(empty, [(n,)])]
        around = [Held(one.wall_s - told, one.cpu_s) for one, told in zip(made.calls, told_s, strict=True)]
        found["init_s"].append(made.init)
        found["handler_s, first call"].append(around[0])
        found["handler_s, later calls"] += around[1:]
    return found


@click.command(context_settings={"show_default": True}, epilog="Example: python -m bench.handler --stack dev")
@click.option("--stack", type=StackName(), default="dev", help="An embedded stack that is up.")
@click.option("--sandboxes", type=click.IntRange(1), default=5, help="New interpreters, one after the other.")
@click.option("--calls", type=click.IntRange(2), default=6, help="Calls in each.")
def main(stack: str, sandboxes: int, calls: int) -> None:
    """Measure what Lithops's handler takes around a call, and a sandbox before its first."""
    with command.told(), command.open_stack(stack, None, None) as sessions:
        (session,) = sessions.of("lithops")
        assert isinstance(session, LithopsSession)
        for name, found in measure(session, sandboxes, calls).items():
            wall, cpu = stats.estimate([one.wall_s for one in found]), stats.estimate([one.cpu_s for one in found])
            echo(
                f"{name:24} wall {wall.median:.3f} s ({wall.least:.3f} to {wall.greatest:.3f}), "
                f"CPU {cpu.median:.3f} s ({cpu.least:.3f} to {cpu.greatest:.3f}), n={wall.n}"
            )


if __name__ == "__main__":
    main()
