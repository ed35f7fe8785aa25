"""The process session: work in the stack's interpreter, a lost worker is typed, nothing stays."""

import math
import os
import signal
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

import tasks
from bench.engines import Sessions
from bench.sessions.session import Session, WorkerLost, mapped
from plan.outputs import Outputs
from tasks.objects import Access

BARE = Outputs(
    stack="dev", program="embedded", region="r", worker_memory_mib=4096, worker_vcpu=1, worker_python=sys.executable
)


@pytest.fixture
def pool() -> Iterator[Session]:
    with Sessions(BARE, Access(), {}) as sessions:
        yield sessions.processes(2)


def test_results_come_in_the_items_order_from_other_processes(pool: Session) -> None:
    done = mapped(pool, math.factorial, [(n,) for n in range(5)])
    assert [d.result for d in done] == [1, 1, 2, 6, 24]
    assert os.getpid() not in {d.trace.pid for d in done}


def test_a_function_that_raises_raises_here(pool: Session) -> None:
    with pytest.raises(ValueError, match="negative"):
        mapped(pool, math.factorial, [(-1,)])


def test_workers_run_the_shipped_code(pool: Session) -> None:
    assert next(pool.stream(tasks.code_hash, [()])).result == tasks.code_hash()


def test_recycling_gives_new_processes(pool: Session) -> None:
    before = {d.trace.worker for d in mapped(pool, os.getpid, [()] * 4)}
    pool.recycle()
    assert before.isdisjoint({d.trace.worker for d in mapped(pool, os.getpid, [()] * 4)})


def test_a_killed_worker_is_typed(pool: Session) -> None:
    with pytest.raises(WorkerLost):
        mapped(pool, os._exit, [(3,)])


def test_closing_ends_the_processes(pool: Session) -> None:
    pids = {d.trace.pid for d in mapped(pool, time.time, [()] * 4)}
    pool.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_an_alarm_interrupts_a_wait(pool: Session) -> None:
    from bench.deadline import deadline
    from bench.failures import Deadline

    with pytest.raises(Deadline), deadline(0.5):
        mapped(pool, time.sleep, [(60,)])
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
