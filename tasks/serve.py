"""A worker of its own for one process's work: `python -m tasks.serve FD` answers calls over an inherited socket.

The baselines run in it, so that their memory, imports and interpreter are a worker's and not the driver's. It ends when
the other end does, in the middle of a call too.
"""

import os
import select
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any


def serve(connection: "Connection[Any, Any]") -> None:
    """Answer (function, args) with (True, result) or (False, exception) until the other end closes."""
    while True:
        try:
            work = connection.recv()
        except EOFError:
            return
        try:
            answer = (True, work[0](*work[1]))
        except Exception as error:  # the caller raises it on its side
            answer = (False, error)
        connection.send(answer)


def _end_when_alone(descriptor: int) -> None:
    watch = select.poll()
    watch.register(descriptor, 0)  # a hang-up alone, which is always told
    watch.poll()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_when_alone, args=(int(sys.argv[1]),), daemon=True).start()
    serve(Connection(int(sys.argv[1])))
