"""A loading that is given up leaves nothing that goes on scaling: what follows scales the same nodes."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from bench import scaling_startup
from bench.deadline import deadline
from bench.failures import Deadline
from bench.scaling_startup import load
from bench.sessions.session import ScalingCancelled


class Cluster:
    """A session whose scaling takes until it is cancelled."""

    engine = "dask"

    def __init__(self) -> None:
        self.ended = threading.Event()

    def scale(self, nodes: int, slots: int | None, cancelled: Callable[[], bool]) -> None:
        while not cancelled():
            time.sleep(0.01)
        self.ended.set()
        raise ScalingCancelled("on its way")


class Nobody:
    """A probe that meets no worker."""

    def __init__(self, session: Any, workers: int): ...

    def look(self) -> list[Any]:
        return []


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setitem(scaling_startup.PROBES, "dask", Nobody)
    return Cluster()


def test_its_own_deadline_ends_the_create_command(cluster: Any) -> None:
    with pytest.raises(Deadline, match="0 of 2 workers have run a task"):
        load(cluster, 2, 1, 0.1)
    assert cluster.ended.is_set()


def test_the_samples_alarm_ends_the_create_command(cluster: Any) -> None:
    with pytest.raises(Deadline, match=r"not done after 0\.2 s"), deadline(0.2):
        load(cluster, 2, 1, 60)
    assert cluster.ended.is_set()
