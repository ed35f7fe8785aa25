"""No child outlives its parent, however that ends: here by SIGKILL, which no parent sees coming."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.leash import Leashed

ROOT = Path(__file__).resolve().parents[2]
# Each starts one child of the project's, and says the numbers of all processes below it.
SAY = (
    "import psutil, time; time.sleep({wait})\n"
    "print(*[p.pid for p in psutil.Process().children(recursive=True)], flush=True); time.sleep(60)"
)
PARENTS = {
    "a leashed command and its own child": (
        "from bench.leash import Leashed; import sys\n"
        "child = Leashed(['sh', '-c', 'sleep 60 & sleep 60'])\n" + SAY.format(wait=0.5)
    ),
    "a worker process in the middle of a call": (
        "import sys, threading, time; from pathlib import Path\n"
        "from bench.sessions.on_processes import ProcessSession\n"
        f"pool = ProcessSession(sys.executable, Path({str(ROOT)!r}))\n"
        "threading.Thread(target=lambda: list(pool.stream(time.sleep, [(60.0,)])), daemon=True).start()\n"
        + SAY.format(wait=1.5)
    ),
}


@pytest.mark.parametrize("what", PARENTS)
def test_a_child_ends_with_a_parent_that_is_killed(what: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENTS[what]], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    try:
        assert children
        parent.kill()
        parent.wait()
        assert psutil.wait_procs(children, timeout=20)[1] == []
    finally:
        for left in (child for child in children if child.is_running()):
            left.kill()
        parent.stdout.close()


def test_a_command_that_is_terminated_ends_what_it_runs_and_cleans_up(tmp_path: Path) -> None:
    """`timeout` and service managers send SIGTERM, to the command alone."""
    program = (
        "import sys\n"
        "from bench import leash\n"
        "from plan.faults import reported\n"
        "with reported():\n"
        "    try:\n"
        "        leash.run([sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'])\n"
        "    finally:\n"
        "        print('cleaned up', flush=True)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = psutil.Process(int(parent.stdout.readline()))
    parent.terminate()
    assert parent.stdout.read() == "cleaned up\n"
    assert parent.wait(timeout=20) == 130
    assert psutil.wait_procs([child], timeout=20)[1] == []
    parent.stdout.close()


def test_signals_and_exit_code_pass() -> None:
    asked = (
        "import signal, sys, time; signal.signal(signal.SIGINT, lambda *_: sys.exit(7))\n"
        "print(flush=True); time.sleep(60)"
    )
    with Leashed([sys.executable, "-c", asked], stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=20) == 7
        child.end()


def test_what_does_not_listen_is_killed_with_its_children() -> None:
    child = Leashed(["sh", "-c", "trap '' TERM; sleep 60 & echo $!; wait; sleep 60"], stdout=subprocess.PIPE, text=True)
    grandchild = psutil.Process(int(child.stdout.readline()))
    began = time.monotonic()
    child.end(grace_s=0.2)
    assert time.monotonic() - began < 20
    assert psutil.wait_procs([grandchild], timeout=20)[1] == []
    child.stdout.close()
