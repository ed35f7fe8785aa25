"""Workloads that scale hold workers against what the stack declares, as others do, and heed --allow-unequal."""

from types import SimpleNamespace
from typing import Any

import pytest

from bench.autoscale import Bounds
from bench.parity import Unequal
from bench.samples import Sample
from bench.sessions.session import Fleet
from tasks.trace import Trace
from workloads import palette, startup

DECLARED = Fleet(2, 1, 4096)
LOG = SimpleNamespace(sessions=SimpleNamespace(declared=lambda engine: DECLARED, sharing=lambda engine: 1))


@pytest.mark.parametrize(
    ("found", "moves", "unequal"),
    [
        (DECLARED, False, False),
        (Fleet(3, 1, 4096), False, True),
        (Fleet(1, 1, 4096), True, False),  # how many there are is the autoscaler's
        (Fleet(1, 1, 2048), True, True),
        (Fleet(2, 2, 4096), False, True),
    ],
)
@pytest.mark.parametrize("allowed", [True, False])
def test_palette_checks_the_fleet_before_it_times(found: Fleet, moves: bool, unequal: bool, allowed: bool) -> None:
    job: Any = SimpleNamespace(allow_unequal=allowed)
    arguments: Any = (LOG, job, Sample("ray", "ray", "warm", 0), found, Bounds(1, 2 if moves else 1))
    if unequal and not allowed:
        with pytest.raises(Unequal, match="--allow-unequal"):
            palette._unequal(*arguments)
    else:
        assert palette._unequal(*arguments) is unequal


@pytest.mark.parametrize(("seen_mib", "unequal"), [(4096, False), (2048, True), (8192, True)])
@pytest.mark.parametrize("allowed", [True, False])
def test_startup_checks_what_workers_report(seen_mib: int, unequal: bool, allowed: bool) -> None:
    loading: Any = SimpleNamespace(log=LOG, allow_unequal=allowed)
    found: Any = [SimpleNamespace(trace=Trace("w", 1, 0.0, 1.0, seen_mib, "nanny"))]
    if unequal and not allowed:
        with pytest.raises(Unequal, match="--allow-unequal"):
            startup._unequal(loading, "dask", found, 1)
    else:
        assert startup._unequal(loading, "dask", found, 1) is unequal


@pytest.mark.parametrize(("seen_mib", "unequal"), [(4096, False), (2048, True)])
@pytest.mark.parametrize("allowed", [True, False])
def test_palette_drops_what_ran_in_other_memory(seen_mib: int, unequal: bool, allowed: bool) -> None:
    job: Any = SimpleNamespace(allow_unequal=allowed)
    ran: Any = SimpleNamespace(done=[SimpleNamespace(trace=Trace("w", 1, 0.0, 1.0, seen_mib, "nanny"))])
    fields: dict[str, Any] = {"unequal": False}
    log: Any = LOG
    failure = palette._seen(log, job, "dask", ran, fields)
    assert (failure.kind if failure else None) == ("unequal" if unequal and not allowed else None)
    assert fields["unequal"] is unequal
