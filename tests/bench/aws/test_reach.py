"""Whether an engine answers: to anybody, or to who holds the stack's certificate."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.aws import reach
from bench.aws.reach import answers
from infra.aws.kept_secret import dask_certificate


def _pem(folder: Path) -> Path:
    folder.mkdir()
    for entry, text in json.loads(dask_certificate()).items():
        (folder / f"{entry}.pem").write_text(text)
    return folder


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """The folder of a stack's certificate."""
    return _pem(tmp_path / "ours")


@pytest.fixture
def listening(ours: Path) -> Iterator[int]:
    """A port that wants a client's certificate of the stack, as a Dask scheduler does."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ours / "ca.pem"))
    context.load_cert_chain(ours / "cert.pem", ours / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    context.wrap_socket(server.accept()[0], server_side=True).close()
                except ssl.SSLError:
                    continue
                except OSError:  # the test is over
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _soon() -> float:
    return time.monotonic() + 0.3


def test_only_the_stacks_own_certificate_counts(
    listening: int, ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "_POLL_S", 0.01)
    assert answers("127.0.0.1", listening, _soon())
    assert answers("127.0.0.1", listening, _soon(), ours)
    assert not answers("127.0.0.1", listening, _soon(), _pem(tmp_path / "anothers")), "a head of another stack"
    assert not answers("127.0.0.1", 1, _soon())
    assert not answers("127.0.0.1", 1, _soon(), ours)
