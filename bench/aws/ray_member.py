"""This host as a member of a Ray cluster, without slots: a driver needs a raylet beside it."""

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress

from bench.leash import Leashed
from bench.sessions.session import SessionError

_READY_S = 60.0
_END_S = 20.0
# The ports of runtimes/cluster/boot-ray-worker.sh: the network lets these through and no others.
_PORTS = {
    "node-manager-port": 8076,
    "object-manager-port": 8077,
    "runtime-env-agent-port": 8078,
    "min-worker-port": 10002,
    "max-worker-port": 19999,
}


class RayMember:
    """`ray start --block` as a child of this process, up when its raylet listens. Raises SessionError where it does
    not."""

    def __init__(self, head: str, port: int, token_at: str):
        self._head = head
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", f"--address={head}:{port}"]
        command += ["--num-cpus=0", "--disable-usage-stats", *(f"--{name}={value}" for name, value in _PORTS.items())]
        self._process = Leashed(
            command,
            env={**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": token_at},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            self._wait()
        except BaseException:
            self.end()
            raise

    def of(self, head: str) -> bool:
        """Whether it is alive and joined that head."""
        return self._head == head and self._process.poll() is None

    def end(self) -> None:
        """End it with all of its processes."""
        self._process.end(_END_S)

    def _wait(self) -> None:
        until = time.monotonic() + _READY_S
        while time.monotonic() < until and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", _PORTS["node-manager-port"]), timeout=2):
                return
            time.sleep(0.2)
        raise SessionError(f"this host has not joined Ray at {self._head}: found exit code {self._process.poll()}, "
                           "what Ray said is above; only the stack's driver host may join")  # fmt: skip
