"""A session on a Ray cluster. Code goes as the job's working directory, so that workers see `tasks` alone."""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from bench.sessions.session import Args, Cancelled, Done, Fleet, Ready, Scaler, SessionError, linger, never
from tasks.trace import Trace, called

# A wait looks at each task it is given. Ray starts them in about their order, so the first are the next to end.
_WINDOW = 1000
_GREETING_S = 20.0


class RaySession:
    """Ray's driver in this process, attached to the cluster at `address`. A new job gets new worker processes."""

    engine = "ray"
    keeps_workers = True

    def __init__(
        self,
        address: str,
        *,
        token_at: str | None,
        code: Path,
        platform: str,
        worker_vcpu: int,
        scaler: Scaler | None,
        ready: Ready | None = None,
    ):
        self.platform, self._address, self._code = platform, address, code
        self._vcpu, self._scaler = worker_vcpu, scaler
        _configure(address, token_at)
        self._connect()
        if ready:
            try:
                ready(self.fleet)
            except BaseException:
                self.close()
                raise

    def _connect(self) -> None:
        _must_answer(self._address)
        import ray
        from ray.data import DataContext  # two seconds that belong to opening a session, not to the first run

        try:
            ray.init(
                self._address,
                runtime_env={"working_dir": str(self._code)},
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=True,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise SessionError(f"ray at {self._address} does not answer: {error}") from error
        DataContext.get_current().enable_progress_bars = False
        # Its errors are raised as well: logged too, each is hundreds of lines of traceback.
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)

    def fleet(self) -> Fleet:
        import ray

        alive = [node for node in ray.nodes() if node["Alive"]]
        slots = [int(node["Resources"].get("CPU", 0)) // self._vcpu for node in alive]
        hosts = (str(node["NodeManagerAddress"]) for node, count in zip(alive, slots, strict=True) if count)
        return Fleet(sum(slots), self._vcpu, None, frozenset(hosts))

    def stream(self, function: Callable[..., Any], items: Sequence[Args]) -> Iterator[Done]:
        import ray

        def run(*item: Any) -> list[Any]:
            return called(function, *item)

        # By value, once for all items, with their arguments apart: Ray has a quick path for plain ones.
        remote = ray.remote(num_cpus=self._vcpu)(run)
        running = {remote.remote(*item): index for index, item in enumerate(items)}
        while running:
            waiting = list(islice(running, _WINDOW))
            linger(len(running))
            ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0, fetch_local=False)
            if not ready:
                ready, _ = ray.wait(waiting, num_returns=1, fetch_local=False)
            for reference, (result, *fields) in zip(ready, ray.get(ready), strict=True):
                yield Done(running.pop(reference), result, Trace(*fields))

    def recycle(self) -> None:
        self.close()
        self._connect()

    def scale(self, nodes: int, slots: int | None = None, cancelled: Cancelled = never) -> None:
        if self._scaler is None:
            raise SessionError(f"ray at {self._address} is not of this stack: its nodes are yours to scale")
        self._scaler(nodes, slots, cancelled)

    def cancel(self) -> None:
        self.recycle()

    def close(self) -> None:
        import ray

        ray.shutdown()


def _must_answer(address: str) -> None:
    """Raises SessionError where no gRPC server greets: Ray's own attempts block in C++, where no deadline is heard."""
    if os.environ.get("RAY_USE_TLS", "0") != "0":  # a user's own: it greets after a handshake
        return
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_GREETING_S) as line:
            line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))  # RFC 9113, 3.4
            if not line.recv(1):
                raise SessionError(f"ray at {address} does not answer: it closed the connection")
    except (OSError, ValueError) as error:
        raise SessionError(f"ray at {address} does not answer: {error}; wanted HOST:PORT of its head") from error


def _configure(address: str, token_at: str | None) -> None:
    """Set what Ray's driver is to know. It reads its environment at import, which the caller may have done already."""
    # By default a task whose worker was ended for its memory is tried again for ever, and no sample fails.
    os.environ.setdefault("RAY_task_oom_retries", "1")
    from ray._private import ray_constants
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Attempts to reach the head, 41 s each; by default 20, and one that is gone is told after 14 minutes.
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")
    if token_at:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=token_at)
        Config.initialize(b'{"AUTH_MODE": "token"}')
        AuthenticationTokenLoader.instance().reset_cache()  # of another stack's
    if address.startswith(("127.", "localhost")):
        # Else Ray's driver replaces a loopback address by the machine's, where nothing listens (services.py,
        # resolve_ip_for_localhost). The variable's name is of the systems for which Ray does so by itself.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        ray_constants.ENABLE_RAY_CLUSTER = False
