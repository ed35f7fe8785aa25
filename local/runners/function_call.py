"""What Lithops takes for the functions' interpreter: hands a script to the runtime (function_runtime.py) and waits.

    function_call.py SOCKET PYTHON SCRIPT [ARGUMENT ...]     runs it, in the runtime where there is one
    function_call.py SOCKET PYTHON cold                      makes the runtime forget what it imported

Without a runtime, and for anything but a script, it becomes the plain interpreter: slower, and the same. It imports
little, since it is started for each job.
"""

import json
import os
import select
import signal
import socket
import struct
import sys


def main() -> None:
    address, python, *arguments = sys.argv[1:]
    if arguments == ["cold"] or (arguments and os.path.isfile(arguments[0])):
        with socket.socket(socket.AF_UNIX) as runtime:
            try:
                runtime.connect(address)
            except OSError:
                if arguments == ["cold"]:  # nothing is warm
                    return
            else:
                _end(_answer(runtime, arguments))
    os.execv(python, [python, *arguments])


def _answer(runtime: socket.socket, arguments: list[str]) -> int:
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    text = json.dumps(request).encode()
    socket.send_fds(runtime, [struct.pack("!i", len(text))], [0, 1, 2])
    runtime.sendall(text)
    answer = _awaited(runtime)
    if len(answer) < 4:
        sys.exit("the functions' runtime ended during the job; its log is in the stack's logs/functions.log")
    return int(struct.unpack("!i", answer)[0])


def _awaited(runtime: socket.socket) -> bytes:
    """The answer; or the end of this process where its caller has gone, at which the runtime ends the job."""
    caller = os.getppid()
    while not select.select([runtime], [], [], 1.0)[0]:
        if os.getppid() != caller:
            sys.exit(1)
    return runtime.recv(4)


def _end(code: int) -> None:
    """End as the job did; of a signal as well."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
