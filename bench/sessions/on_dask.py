"""A session on a Dask cluster. Code goes as an uploaded archive, which the scheduler gives to restarted workers too."""

import pickle
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from bench.sessions.session import Args, Cancelled, Done, Fleet, OutOfMemory, Ready, Scaler, SessionError, linger, never
from tasks.trace import Trace, packed

_TIMEOUT_S = 60
# A wait looks at each task it is given. They start in about their order, so the first are the next to end.
_WINDOW = 1000


class DaskSession:
    """Dask's client in this process. Nannies start new worker processes on `recycle`."""

    engine = "dask"
    keeps_workers = True

    def __init__(
        self,
        address: str,
        tls_at: str | None,
        *,
        code: Path,
        code_hash: str,
        platform: str,
        scaler: Scaler | None,
        ready: Ready | None = None,
    ):
        import dask.dataframe  # noqa: F401  a second that belongs to opening a session, not to the first run
        from distributed import Client, Security

        self.platform, self._address, self._scaler = platform, address, scaler
        security = None
        if tls_at and address.startswith("tls://"):
            ca, cert, key = (str(Path(tls_at) / name) for name in ("ca.pem", "cert.pem", "key.pem"))
            security = Security(tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key, require_encryption=True)
        try:
            self.client = Client(address, security=security, timeout=10)
        except OSError as error:
            raise SessionError(f"dask at {address} does not answer: {error}") from error
        try:
            if ready:
                ready(self.fleet)
            self._ship(code, code_hash)
        except BaseException:
            self.close()
            raise

    def _ship(self, code: Path, code_hash: str) -> None:
        """Give workers this code, unless they have it. Other code that they imported goes only with their process.

        The probes are Python's own `eval` and `exec`: a function of ours is what workers may not have. The name
        differs with its content, since Python keeps the directory of an archive it has imported from.
        """
        found = self.client.run(eval, "__import__('tasks').code_hash()", on_error="return")
        if found and all(held == code_hash for held in found.values()):
            return
        forget = (
            "import sys\nfor name in [n for n in sys.modules if n.partition('.')[0] == 'tasks']: del sys.modules[name]"
        )
        self.client.run_on_scheduler(exec, forget)
        archive = shutil.make_archive(str(code.parent / f"breakeven-tasks-{code_hash}"), "zip", code)
        self.client.upload_file(archive)
        self._restart()

    def _restart(self) -> None:
        """New worker processes. The signal that cancels this client's futures comes by another connection than the
        answer to the request: work submitted before it is here would be cancelled."""
        before, until = self.client.generation, time.monotonic() + _TIMEOUT_S
        self.client.restart(timeout=_TIMEOUT_S)
        while self.client.generation == before:
            if time.monotonic() > until:
                raise SessionError(f"dask at {self._address} restarted its workers and did not tell this client")
            time.sleep(0.005)

    def fleet(self) -> Fleet:
        workers = list(self.client.scheduler_info(n_workers=-1)["workers"].values())
        vcpu = min((float(w["nthreads"]) for w in workers), default=0.0)
        held = [int(w["memory_limit"]) // 2**20 for w in workers if w["memory_limit"]]
        hosts = frozenset(str(w["host"]) for w in workers)
        return Fleet(len(workers), vcpu, min(held, default=0) if len(held) == len(workers) else None, hosts)

    def stream(self, function: Callable[..., Any], items: Sequence[Args]) -> Iterator[Done]:
        from distributed import wait

        arguments = zip(*items, strict=True)
        futures = self.client.map(packed, [function] * len(items), *arguments, pure=False)
        running = {future: index for index, future in enumerate(futures)}
        while running:
            # What has ended is fetched together. Looking costs nothing, where as_completed keeps a coroutine for each.
            linger(len(running))
            ended = [future for future in running if future.done()]
            if not ended:
                wait(list(islice(running, _WINDOW)), return_when="FIRST_COMPLETED")
                continue
            with self._memory_told():
                results = self.client.gather(ended)
            for future, told in zip(ended, results, strict=True):
                result, *fields = pickle.loads(told) if isinstance(told, bytes) else told  # noqa: S301  our own workers'
                yield Done(running.pop(future), result, Trace(*fields))

    def computed(self, collection: Any) -> Any:
        """The result of a Dask collection. Raises OutOfMemory, and what the work raised."""
        with self._memory_told():
            return self.client.compute(collection).result()

    def persisted(self, collection: Any) -> Any:
        """A Dask collection, held by the workers. Raises OutOfMemory, and what the work raised."""
        from distributed import futures_of, wait

        held = self.client.persist(collection)
        with self._memory_told():
            wait(futures_of(held))
            for future in futures_of(held):
                if future.status == "error":
                    future.result()
        return held

    @contextmanager
    def _memory_told(self) -> Iterator[None]:
        """To the scheduler a worker that its nanny ended is lost like any other; the nanny's events say why."""
        from distributed import KilledWorker

        try:
            yield
        except KilledWorker as error:
            for _, event in self.client.get_events("worker-restart-memory"):
                if event["worker"] == error.last_worker.address:
                    held = f"dask worker {event['worker']} held {event['rss'] // 2**20} MiB and was ended for it"
                    raise OutOfMemory(f"{held}: give workers more memory, or read smaller pieces") from error
            raise

    def recycle(self) -> None:
        self._restart()

    def scale(self, nodes: int, slots: int | None = None, cancelled: Cancelled = never) -> None:
        if self._scaler is None:
            raise SessionError(f"dask at {self._address} is not of this stack: its nodes are yours to scale")
        self._scaler(nodes, slots, cancelled)

    def cancel(self) -> None:
        self._restart()

    def close(self) -> None:
        self.client.close(timeout=5)
