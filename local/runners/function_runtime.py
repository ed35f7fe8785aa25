"""The functions' runtime: one interpreter that imports what functions need once, and forks for each of Lithops's jobs.

Lithops's localhost backend starts an interpreter for every job, and each call then imports afresh; a warm sandbox of a
provider has done all that. Here the first job after a start, or after `cold`, waits for the imports, and later ones
don't. Run by path with the workers' interpreter. `function_call.py`, which Lithops takes for the interpreter, asks:
it sends a job's command, environment and standard streams, and gets the exit code; when it goes, the job is ended.
"""

import argparse
import functools
import json
import os
import runpy
import signal
import socket
import struct
import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

# What Lithops's runner imports, and what almost every function does. Ours are not here: they are shipped with a job.
IMPORTED_ONCE = ("lithops.worker", "lithops.storage.backends.minio", "boto3", "numpy", "pyarrow.csv")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--socket", type=Path, required=True)
    options.add_argument("--ready-file", type=Path, required=True)
    options.add_argument("--listener", type=int, help="the socket's descriptor, kept over a start anew")
    options.add_argument("--asked-by", type=int, help="descriptor of the connection that asked for the start anew")
    given = options.parse_args()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a job's keeper
    if given.listener is None:
        given.socket.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(given.socket))
        listener.listen(128)
    else:
        listener = socket.socket(fileno=given.listener)
    if given.asked_by is not None:
        with socket.socket(fileno=given.asked_by) as asked:
            asked.sendall(struct.pack("!i", 0))
    partial = given.ready_file.with_suffix(".partial")
    partial.write_text(json.dumps({"runtime": os.getpid()}))
    os.replace(partial, given.ready_file)

    while True:
        connection, _ = listener.accept()
        with connection, suppress(ConnectionError):
            request, streams = _received(connection)
            if request["arguments"] == ["cold"]:
                for stream in streams:  # received ones survive a new interpreter, and whoever reads them would wait
                    os.close(stream)
                _begin_anew(listener, connection, given)
            _warm()
            if os.fork() == 0:
                listener.close()
                _keep(connection, request, streams)
            for stream in streams:
                os.close(stream)


@functools.cache
def _warm() -> Any:
    """Import what jobs need. Gives what has read botocore's description of S3, which takes a job 0.2 s to read."""
    for name in IMPORTED_ONCE:
        import_module(name)
    # Not the settings of whoever brought the stack up. By option: its name in a file, in the environment, its value.
    nobodys = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    session = import_module("botocore.session").Session(session_vars=nobodys)
    session.set_credentials("none", "none")
    session.create_client("s3", "us-east-1")
    return session.get_component("data_loader")


def _received(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """A request: its length, then JSON; standard input, output and error come along."""
    head, streams, _, _ = socket.recv_fds(connection, 4, 3)
    (length,) = struct.unpack("!i", head or _gone())
    text = b""
    while len(text) < length:
        text += connection.recv(length - len(text)) or _gone()
    return json.loads(text), streams


def _gone() -> bytes:
    raise ConnectionResetError("the caller went before it had asked")


def _begin_anew(listener: socket.socket, connection: socket.socket, given: argparse.Namespace) -> None:
    """The same process, by which the supervisor knows the part, with a new interpreter in it."""
    for kept in (listener, connection):
        kept.set_inheritable(True)
    options = ["--socket", str(given.socket), "--ready-file", str(given.ready_file)]
    options += ["--listener", str(listener.fileno()), "--asked-by", str(connection.fileno())]
    os.execv(sys.executable, [sys.executable, __file__, *options])


def _keep(connection: socket.socket, request: dict[str, Any], streams: list[int]) -> None:
    """In a process of its own: start the job, tell its exit code, and end it when the caller goes first."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if (job := os.fork()) == 0:
        connection.close()
        os.setsid()
        _run(request, streams)
    for stream in streams:
        os.close(stream)  # a caller that reads to the end waits for the job alone
    threading.Thread(target=_end_when_gone, args=(connection, job), daemon=True).start()
    _, status = os.waitpid(job, 0)
    with suppress(OSError):
        connection.sendall(struct.pack("!i", os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _end_when_gone(connection: socket.socket, job: int) -> None:
    with suppress(OSError):
        connection.recv(1)  # nothing more is sent: this returns when the caller is gone
    with suppress(ProcessLookupError):
        os.killpg(job, signal.SIGKILL)


def _run(request: dict[str, Any], streams: list[int]) -> None:
    code = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(request["environment"])
        session = import_module("botocore.session").Session()  # of the job's own settings
        session.register_component("data_loader", _warm())
        import_module("boto3").setup_default_session(botocore_session=session)
        os.chdir(request["folder"])
        sys.argv = request["arguments"]
        sys.path.insert(0, str(Path(sys.argv[0]).parent))  # as for a script that the interpreter is given
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
