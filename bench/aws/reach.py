"""Whether an engine on a host answers, to anybody or to who holds its stack's secret."""

import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path

_POLL_S = 0.5


def answers(host: str, port: int, until: float, secret: Path | None = None) -> bool:
    """Whether something listens there before `until`, on the monotonic clock; with `secret`, whether it speaks TLS by
    the certificate in that folder."""
    while time.monotonic() < until:
        if secret is None:
            with suppress(OSError), socket.create_connection((host, port), timeout=2):
                return True
        elif handshake(host, port, secret):
            return True
        time.sleep(_POLL_S)
    return False


def handshake(host: str, port: int, secret: Path) -> bool:
    """Whether something answers there in TLS with the stack's certificate. `secret`: the folder of its PEM files."""
    context = ssl.create_default_context(cafile=str(secret / "ca.pem"))
    context.check_hostname = False
    context.load_cert_chain(secret / "cert.pem", secret / "key.pem")
    with (
        suppress(OSError),  # ssl.SSLError too
        socket.create_connection((host, port), timeout=5) as plain,
        context.wrap_socket(plain),
    ):
        return True
    return False
