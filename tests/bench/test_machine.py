"""More than a machine holds is refused before anything starts, with the arithmetic."""

import pytest

from bench import machine
from bench.machine import NoRoom, check_memory, check_room


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cores, 4 GiB."""
    monkeypatch.setattr(machine, "machine", lambda: {"cpus": 2, "memory_mib": 4096})


def test_workers_are_bound_by_cores_and_memory() -> None:
    check_room(8, "--workers")
    with pytest.raises(NoRoom, match=r"--workers 1000 .* wanted at most 8: 8 a core are 16, 512 MiB each are 8"):
        check_room(1000, "--workers")


def test_items_are_bound_by_memory() -> None:
    check_memory(2**31, "--count 1", "bytes")
    with pytest.raises(NoRoom, match=r"--count 9: .* 8 GiB in all, wanted at most half of the 4 GiB"):
        check_memory(2**33, "--count 9", "bytes")
