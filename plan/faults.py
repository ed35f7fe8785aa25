"""How a command ends on what it did not expect: in one place, for every command line of the project."""

import errno
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from plan.redaction import redacted
from plan.stack_file import SettingsError

FAILED, FAULT, INTERRUPTED = 1, 70, 130
# What the user's machine refused: no fault of this program, and the system's own words say which file.
_REFUSED = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR),
    *(errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG, errno.ELOOP, errno.EFBIG, errno.ENOMEM),
}


@contextmanager
def reported(*expected: type[Exception]) -> Iterator[None]:
    """Around a command. What the machine, AWS or a stack's file refused, what a command that this one calls has said
    already, and the `expected` are one line and exit code 1; anything else is a traceback, then one last line that says
    where to report it, and exit code 70. Ctrl-C is 130, and SIGTERM is as Ctrl-C: what a command began, it ends."""
    try:
        with _terminable():
            yield
    except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
        raise  # click's own to show
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        if isinstance(error, expected) or _is_refusal(error):
            click.echo(f"Error: {redacted(_one_line(error))}", err=True)
            raise SystemExit(FAILED) from None
        click.echo(redacted(traceback.format_exc()), err=True, nl=False)
        click.echo(redacted(f"{type(error).__name__} was not expected: {_one_line(error)}. {_where()}"), err=True)
        raise SystemExit(FAULT) from None


@contextmanager
def _terminable() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # which alone may set what a signal does
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_refusal(error: Exception) -> bool:
    """Whether the system, AWS or a stack's file said no. AWS's errors are known by module, since not every command
    imports them."""
    of_aws = any(kind.__module__ == "botocore.exceptions" for kind in type(error).__mro__)
    ours = isinstance(error, SettingsError | subprocess.CalledProcessError)
    return of_aws or ours or (isinstance(error, OSError) and error.errno in _REFUSED)


def _one_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def _where() -> str:
    return (
        "This is a fault of breakeven and not of what you gave it: please report it, with the lines above and this "
        f"command ({Path(sys.argv[0]).name} {' '.join(sys.argv[1:])}), as an issue of {_origin()}"
    )


def _origin() -> str:
    """The repository that this checkout was cloned from, where git knows it."""
    command = ["git", "-C", str(Path(__file__).parent), "config", "--get", "remote.origin.url"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "the repository that you have it from"
    return done.stdout.strip() or "the repository that you have it from"
