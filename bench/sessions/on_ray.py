"""A session on a Ray cluster. Code goes as the job's working directory, so that workers see `tasks` alone."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.sessions.session import Args, Done, Fleet, Ready, Scaler, SessionError
from tasks.trace import traced


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
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        if token_at:
            os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=token_at)
        if address.startswith(("127.", "localhost")):
            # Else Ray's driver replaces a loopback address by the machine's, where nothing listens (services.py,
            # resolve_ip_for_localhost). The variable's name is of the systems for which Ray does so by itself.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        self._connect()
        if ready:
            try:
                ready(self.fleet)
            except BaseException:
                self.close()
                raise

    def _connect(self) -> None:
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
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        self._remote = ray.remote(num_cpus=self._vcpu)(traced)

    def fleet(self) -> Fleet:
        import ray

        alive = [node for node in ray.nodes() if node["Alive"]]
        slots = [int(node["Resources"].get("CPU", 0)) // self._vcpu for node in alive]
        hosts = (str(node["NodeManagerAddress"]) for node, count in zip(alive, slots, strict=True) if count)
        return Fleet(sum(slots), self._vcpu, None, frozenset(hosts))

    def stream(self, function: Callable[..., Any], items: Sequence[Args]) -> Iterator[Done]:
        import ray

        running = {self._remote.remote((function, item)): index for index, item in enumerate(items)}
        while running:
            # All that is ready at once: a wait and a get for each result take longer than a small task.
            waiting = list(running)
            ray.wait(waiting, num_returns=1, fetch_local=False)
            ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0, fetch_local=False)
            for reference, answer in zip(ready, ray.get(ready), strict=True):
                yield Done(running.pop(reference), *answer)

    def recycle(self) -> None:
        self.close()
        self._connect()

    def scale(self, nodes: int, slots: int | None = None) -> None:
        if self._scaler is None:
            raise SessionError(f"ray at {self._address} is not of this stack: its nodes are yours to scale")
        self._scaler(nodes, slots)

    def cancel(self) -> None:
        self.recycle()

    def close(self) -> None:
        import ray

        ray.shutdown()
