"""A child process that ends with its parent, however the parent ends, and takes its own children along.

The parent holds one end of a pipe for as long as it lives. The other end is watched by a small process between the two,
this file run as a script, which leads the child's process group: at the pipe's end it ends the group.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

GRACE_S = 10.0


class Leashed(subprocess.Popen[Any]):
    """As Popen, in a session of its own: Ctrl-C in a terminal reaches only the parent, which ends it in order. SIGINT
    and SIGTERM are passed on to the child, and its exit code is given."""

    def __init__(self, command: Sequence[str], **options: Any):
        kept, self._line = os.pipe()
        watched = [sys.executable, "-I", "-S", __file__, str(kept), *command]
        try:
            super().__init__(watched, pass_fds=[kept], start_new_session=True, **options)
        except BaseException:
            os.close(self._line)
            raise
        finally:
            os.close(kept)

    def end(self, grace_s: float = GRACE_S) -> None:
        """Ask it to end, wait, and kill it with all that came from it. Fine where it has ended."""
        self.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.wait(timeout=grace_s)
        _kill_group(self.pid, signal.SIGKILL)
        self.wait()
        if self._line >= 0:
            os.close(self._line)
            self._line = -1


def run(command: Sequence[str], **options: Any) -> int:
    """Its exit code, once it has ended. Where this waits no longer, as after Ctrl-C, it is ended first."""
    process = Leashed(command, **options)
    try:
        return process.wait()
    finally:
        process.end()


def _kill_group(leader: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, number)


def _watch(line: int, child: "subprocess.Popen[bytes]", alone: threading.Event) -> None:
    while os.read(line, 1):
        pass
    alone.set()
    child.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.wait(timeout=GRACE_S)
    _kill_group(os.getpid(), signal.SIGKILL)


def _main(line: int, command: list[str]) -> int:
    alone = threading.Event()
    with subprocess.Popen(command) as child:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda told, frame: child.send_signal(told))
        threading.Thread(target=_watch, args=(line, child, alone), daemon=True).start()
        code = child.wait()
    if alone.is_set():
        _kill_group(os.getpid(), signal.SIGKILL)  # what it started, and this process too
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1]), sys.argv[2:]))
