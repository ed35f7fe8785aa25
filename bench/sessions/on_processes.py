"""A session on plain processes of the worker's interpreter: one for the baselines, more to generate data."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from bench.sessions.session import Args, Cancelled, Done, Fleet, SessionError, WorkerLost, never
from tasks.trace import traced


class ProcessSession:
    """`workers` processes, each answering one call at a time. They end when this process does."""

    engine = "process"
    platform = "local"
    keeps_workers = True

    def __init__(self, worker_python: str, code: Path, workers: int = 1):
        self._python, self._code, self._count = worker_python, code, workers
        self._workers: dict[Connection, subprocess.Popen[bytes]] = {}

    def _start(self) -> None:
        while len(self._workers) < self._count:
            ours, theirs = socket.socketpair()
            process = subprocess.Popen(
                [self._python, "-m", "tasks.serve", str(theirs.fileno())],
                cwd=self._code,
                pass_fds=[theirs.fileno()],
                env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                stdin=subprocess.DEVNULL,
                # Its own session: Ctrl-C in a terminal reaches only the driver, which ends it in order.
                start_new_session=True,
            )
            theirs.close()
            self._workers[Connection(ours.detach())] = process

    def fleet(self) -> Fleet:
        return Fleet(self._count, float(os.cpu_count() or 1), None)

    def stream(self, function: Callable[..., Any], items: Sequence[Args]) -> Iterator[Done]:
        self._start()
        todo = list(enumerate(items))[::-1]
        running: dict[Connection, int] = {}
        idle = list(self._workers)
        while todo or running:
            while todo and idle:
                connection = idle.pop()
                index, item = todo.pop()
                connection.send((traced, ((function, item),)))
                running[connection] = index
            for connection in (ended for ended in wait(list(running)) if isinstance(ended, Connection)):
                try:
                    fine, answer = connection.recv()
                except (EOFError, ConnectionError) as error:
                    code = self._workers[connection].wait(timeout=5)
                    raise WorkerLost(f"the worker process ended with exit code {code}") from error
                if not fine:
                    raise answer
                yield Done(running.pop(connection), *answer)
                idle.append(connection)

    def recycle(self) -> None:
        self.close()

    def scale(self, nodes: int, slots: int | None = None, cancelled: Cancelled = never) -> None:
        raise SessionError("a process has no nodes to scale")

    def cancel(self) -> None:
        self.close()

    def close(self) -> None:
        for connection, process in self._workers.items():
            connection.close()
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
        self._workers = {}
