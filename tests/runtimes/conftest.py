"""One endpoint with moto's answers for all tests of runtimes."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    """An endpoint with moto's answers."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()
