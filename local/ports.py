"""Ports on loopback: a free one, whether one is taken and by whom, whether something answers."""

import socket
from contextlib import suppress

import psutil

LOOPBACK = "127.0.0.1"


class PortTaken(RuntimeError):
    """A port that the settings ask for is in use; the message says which, by whom if known, and what to do."""


def is_free(port: int) -> bool:
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # lingering connections don't hold a port
        try:
            candidate.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def choose(part: str, wanted: int, before: int | None) -> int:
    """The wanted port, else the one that the part had before if it is free, else any free one."""
    if wanted:
        if not is_free(wanted):
            raise PortTaken(
                f"{part}: port {wanted} on {LOOPBACK} is taken by {_holder(wanted)}; "
                f"end that process, or give {part} another port (0: any free one)"
            )
        return wanted
    if before and is_free(before):
        return before
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        return int(free.getsockname()[1])


def _holder(port: int) -> str:
    with suppress(psutil.Error):  # other users' processes are hidden, and on some systems all
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return "a process that this user may not see"


def answers(port: int, timeout_s: float = 1.0) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout_s):
            return True
    except OSError:
        return False
