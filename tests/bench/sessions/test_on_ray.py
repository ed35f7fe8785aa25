"""A Ray head that does not answer is told in time: Ray's own attempts block in C++, where no alarm is heard."""

import socket
import threading
from collections.abc import Iterator

import pytest

from bench.deadline import deadline
from bench.failures import Deadline
from bench.sessions.on_ray import _must_answer
from bench.sessions.session import SessionError


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def test_a_head_that_only_listens_ends_at_the_deadline(listener: socket.socket) -> None:
    with pytest.raises(Deadline), deadline(0.3):
        _must_answer(f"127.0.0.1:{listener.getsockname()[1]}")


def test_one_that_hangs_up_is_told(listener: socket.socket) -> None:
    def hang_up() -> None:
        listener.accept()[0].close()

    threading.Thread(target=hang_up, daemon=True).start()
    with pytest.raises(SessionError, match="does not answer"):
        _must_answer(f"127.0.0.1:{listener.getsockname()[1]}")


@pytest.mark.parametrize("address", ["127.0.0.1:9", "127.0.0.1", "nowhere.invalid:6379"])
def test_no_head_at_all_is_told(address: str) -> None:
    with pytest.raises(SessionError, match="wanted HOST:PORT of its head"):
        _must_answer(address)
