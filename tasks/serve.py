"""A worker of its own for one process's work: `python -m tasks.serve FD` answers calls over an inherited socket.

The baselines run in it, so that their memory, imports and interpreter are a worker's and not the driver's.
"""

import sys
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


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
