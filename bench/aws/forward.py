"""A port of a host in the stack's network, on this machine: Session Manager's port forwarding, no way in opened."""

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from bench.aws.reach import handshake
from bench.leash import Leashed
from bench.sessions.session import SessionError

# To the host's own private address, since engines don't listen on its loopback.
_DOCUMENT = "AWS-StartPortForwardingSessionToRemoteHost"
_POLL_S = 0.5


def must_have_tools() -> None:
    """Raises SessionError where the AWS command line or its Session Manager plugin is not installed."""
    for tool in ("aws", "session-manager-plugin"):
        if shutil.which(tool) is None:
            raise SessionError(
                f"from here a scheduler is reached through Session Manager: found no `{tool}` on PATH; install it "
                "(docs/aws.md), or leave out --driver local"
            )


class PortForward:
    """`127.0.0.1:self.port` is `host:port` as the instance sees it, until `end`."""

    def __init__(self, instance: str, host: str, port: int, region: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._to = f"{host}:{port} by {instance}"
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  until `end`
        command = [
            "aws",
            "ssm",
            "start-session",
            "--region",
            region,
            "--target",
            instance,
            "--document-name",
            _DOCUMENT,
        ]
        command += ["--parameters", f"host={host},portNumber={port},localPortNumber={self.port}"]
        self._process = Leashed(command, stdin=subprocess.DEVNULL, stdout=self._said, stderr=self._said)

    def speaks_tls(self, secret: Path, until: float) -> bool:
        """Whether the far end answers in TLS with the stack's certificate before `until`, on the monotonic clock: the
        near end accepts connections long before. Raises SessionError where the forwarding itself has ended."""
        while time.monotonic() < until:
            if self._process.poll() is not None:
                self._said.seek(0)
                said = self._said.read().decode(errors="replace").strip()[-500:]
                raise SessionError(f"the forwarding to {self._to} ended: {said or 'it said nothing'}")
            if handshake("127.0.0.1", self.port, secret):
                return True
            time.sleep(_POLL_S)
        return False

    def end(self) -> None:
        """End it with its plugin."""
        self._process.end()
        self._said.close()
