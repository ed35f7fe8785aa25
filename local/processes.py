"""Processes as this stack knows them: started in a session of their own, known by identity, ended with all descendants.

A descendant that left its parent or its session is still ours: it inherits the environment variable MARK, whose value
is the state folder and the part. That finds what the tree and the process group lose.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

import psutil

from local.state import Identity

MARK = "BREAKEVEN_STACK"
PART = "BREAKEVEN_PART"
KILL_DEADLINE_S = 15

T = TypeVar("T")


class PartFailed(RuntimeError):
    """A part did not come up; the message names part, cause, log and the log's tail."""


class Interrupted(RuntimeError):
    """`up` was asked to stop while a part was starting."""


@cache
def boot_id() -> str:
    """Names this boot of the machine: after another, recorded pids mean nothing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(int(psutil.boot_time()))


def spawn(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path
) -> tuple[subprocess.Popen[bytes], Identity]:
    """Starts `command` in a session of its own, with its output in `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return process, Identity(process.pid, psutil.Process(process.pid).create_time(), boot_id())


def find(identity: Identity | None) -> psutil.Process | None:
    """The very process that was started, if it still runs."""
    if identity is None or identity.boot_id != boot_id():
        return None
    try:
        process = psutil.Process(identity.pid)
        # create_time has the clock's tick (10 ms) as its grain.
        same = abs(process.create_time() - identity.created) < 0.02
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def marked(root: Path, part: str | None = None) -> list[psutil.Process]:
    """Live processes of this user that carry the mark of the stack in `root` (and of `part`), whoever their parent is.

    A process in another mount namespace is left alone: a container may hold a stack at the same path.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            environ = process.environ()
            mine = environ.get(MARK) == str(root) and (part is None or environ.get(PART) == part)
            if (
                mine
                and process.pid != os.getpid()
                and process.status() != psutil.STATUS_ZOMBIE
                and _same_files(process.pid)
            ):
                found.append(process)
    return found


def _same_files(pid: int) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    except FileNotFoundError:  # no /proc: no mount namespaces either
        return True


def end(identity: Identity | None, root: Path, part: str | None, grace_s: float = 0.0, shm: Sequence[str] = ()) -> int:
    """Ends a part: its first process is asked and given `grace_s`, then whatever still carries its mark is killed.

    `shm` are segments it is known to have made: those and what its processes map now are removed. Returns how many
    processes were ended. Raises PartFailed if one outlives SIGKILL.
    """
    tree = tree_of(identity)
    first = tree[0] if tree else None
    tree += [process for process in marked(root, part) if process not in tree]
    segments = {*shm, *shared_memory(tree)}
    ended = {process.pid for process in tree}
    if first and grace_s > 0:
        with suppress(psutil.NoSuchProcess):
            first.terminate()
        psutil.wait_procs(tree, timeout=grace_s)
    _kill(tree)
    until = time.monotonic() + KILL_DEADLINE_S
    while rest := marked(root, part):  # a process may have forked between the look and the kill
        ended |= {process.pid for process in rest}
        _kill(rest)
        if time.monotonic() > until:
            names = ", ".join(str(process.pid) for process in rest)
            raise PartFailed(f"{part or root}: processes {names} outlived SIGKILL for {KILL_DEADLINE_S} s")
    for name in segments:
        Path(name).unlink(missing_ok=True)
    return len(ended)


def shared_memory(tree: Sequence[psutil.Process]) -> list[str]:
    """Named segments that these processes map and that exist: multiprocessing's semaphores outlive a killed owner.

    Empty where there is no /proc.
    """
    names: set[str] = set()
    for process in tree:
        with suppress(OSError):
            names |= set(
                re.findall(r" (/dev/shm/[^\s/]+)$", Path(f"/proc/{process.pid}/maps").read_text(), re.MULTILINE)
            )
    return sorted(name for name in names if os.path.exists(name))


def tree_of(identity: Identity | None) -> list[psutil.Process]:
    """The process that was started and its descendants, as far as they run."""
    first = find(identity)
    return [first, *_children(first)] if first else []


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # psutil compares the start time before it sends: a reused pid is safe
            process.kill()
    psutil.wait_procs(processes, timeout=5)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, indented for an error message."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 16384))
            text = stream.read().decode(errors="replace")
    except OSError as error:
        return f"  (no log: {error})"
    return "\n".join(f"  | {line}" for line in text.splitlines()[-lines:]) or "  (the log is empty)"


def wait_for(
    probe: Callable[[], T | None], deadline_s: float, alive: Callable[[], bool], cancelled: Callable[[], bool]
) -> T:
    """Asks `probe` until it answers. Raises TimeoutError, ChildProcessError (it ended) or Interrupted."""
    until = time.monotonic() + deadline_s
    while True:
        if cancelled():
            raise Interrupted
        living = alive()
        answer = probe() if living else None
        if answer is not None:
            return answer
        if not living:
            raise ChildProcessError
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.03)
