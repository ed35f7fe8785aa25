"""On the driver host: a workload as a child process, what it prints and writes sent to the bucket as it comes.

    python -m bench.aws.driven --bucket B --prefix driver/runs/ID/ --region us-east-1 -- workloads/ingest.py ...

A stop key in the bucket is as Ctrl-C to the workload, which then ends its clusters. However it ends, every group of
the stack is asked for zero before the last word, which is the exit code.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3
import click

from bench.aws.follow import STOP_GRACE_S
from bench.aws.line import is_broken
from bench.aws.mailbox import EXIT, LOG, RESULTS, Mailbox
from bench.aws.vm_cluster import PATIENT
from bench.leash import Leashed
from bench.sessions.session import LeftRunning
from bench.verdict import LEFT_RUNNING
from bench.zero import zero
from plan.faults import reported
from plan.outputs import Outputs

EVERY_S = 2.0
UNHEARD_S = 1800.0
"""A bucket that takes nothing for so long is given up on: the run is ended in order, since nobody hears of it."""

_END_S = 60.0  # of a `docker stop`, which leaves the rest of its time to bring what is paid for to zero


class Tail:
    """New bytes of one file, cut at the end of a line, until they are sent."""

    def __init__(self, path: Path):
        self._path, self._at = path, 0

    def more(self, *, last: bool = False) -> bytes:
        """What has come; the rest of an unfinished line only if nothing more will."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            body = file.read()
        return body if last else body[: body.rfind(b"\n") + 1]

    def sent(self, body: bytes) -> None:
        """It is in the bucket, and not sent again."""
        self._at += len(body)


class Voice:
    """What the run prints and writes, sent as it comes; a bucket that fails for a while ends no run."""

    def __init__(self, mailbox: Mailbox, log: Path):
        self._mailbox, self._tails, self._heard = mailbox, {LOG: Tail(log)}, time.monotonic()

    def speak(self, *, last: bool = False) -> None:
        """Send what has come. Raises what the bucket said, if that can't pass by itself or has gone on too long."""
        try:
            self._send(last=last)
        except Exception as error:
            if not is_broken(error) or time.monotonic() - self._heard > UNHEARD_S:
                raise
        else:
            self._heard = time.monotonic()

    def asked_to_stop(self) -> bool:
        """Whether the run is to end; not, as far as is known, while the bucket does not answer."""
        try:
            return self._mailbox.stopped()
        except Exception as error:
            if not is_broken(error):
                raise
            return False

    def last_words(self, text: str, code: int) -> None:
        """The rest of the log and of the rows, a line about what was left, and the exit code."""
        until = time.monotonic() + UNHEARD_S
        while True:
            try:
                self._send(last=True)
                if text:
                    self._mailbox.send(LOG, text.encode())
                    text = ""
                self._mailbox.send(EXIT, str(code).encode())
            except Exception as error:
                if not is_broken(error) or time.monotonic() > until:
                    raise
                time.sleep(EVERY_S)
            else:
                return

    def _send(self, *, last: bool) -> None:
        for path in sorted(Path(RESULTS).rglob("*")):
            if path.is_file():
                self._tails.setdefault(str(path), Tail(path))
        for name, tail in self._tails.items():
            if body := tail.more(last=last):
                self._mailbox.send(name, body)
                tail.sent(body)


def drive(command: list[str], mailbox: Mailbox, outputs: Outputs, every_s: float = EVERY_S) -> int:
    """Run it, speak for it, obey the stop key. Returns its exit code, which is also the last chunk; that of what was
    left running where something was."""
    log, code = Path("driver.log"), 1
    with log.open("wb") as said:
        process = Leashed([sys.executable, *command], stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    voice, stopped_at = Voice(mailbox, log), None
    try:
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=every_s)
            voice.speak()
            if stopped_at is None and voice.asked_to_stop():
                stopped_at = time.monotonic()
                process.send_signal(signal.SIGINT)
            if stopped_at is not None and time.monotonic() - stopped_at > STOP_GRACE_S:
                process.end()
        code = process.returncode
    finally:
        process.end(_END_S if process.poll() is None else 0)
        text, code = _zeroed(outputs, code)
        voice.last_words(text, code)
    return code


def sweep(mailbox: Mailbox, outputs: Outputs) -> int:
    """After a run that was killed with the process that drove it: everything to zero, and the last word it owes."""
    killed = "the process that drove this run was killed from outside; its rows so far are kept\n"
    text, code = _zeroed(outputs, 1)
    mailbox.send(LOG, (killed + text).encode())
    mailbox.send(EXIT, str(code).encode())
    return code


def _zeroed(outputs: Outputs, code: int) -> tuple[str, int]:
    """What to say of what was left, and the exit code with it."""
    try:
        left = zero(outputs)
    except LeftRunning as error:
        return f"Error: {error}\n", LEFT_RUNNING
    return (f"at zero: {', '.join(left)}\n" if left else ""), code


@click.command()
@click.option("--bucket", required=True)
@click.option("--prefix", required=True)
@click.option("--region", required=True)
@click.option("--every", "every_s", default=EVERY_S, show_default=True)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def cli(bucket: str, prefix: str, region: str, every_s: float, command: tuple[str, ...]) -> None:
    """Run a workload and send what it says to the bucket."""
    outputs = Outputs.model_validate_json(Path(os.environ["BREAKEVEN_OUTPUTS"]).read_text())
    # A bucket that is slow for a minute must not end the run.
    mailbox = Mailbox(boto3.client("s3", region_name=region, config=PATIENT), bucket, prefix)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `docker stop`: what is paid for ends all the same
    begun, ended = mailbox.begun()
    if begun:  # a Job's second pod, or a host's second start
        raise SystemExit(0 if ended else sweep(mailbox, outputs))
    raise SystemExit(drive(list(command), mailbox, outputs, every_s))


if __name__ == "__main__":
    with reported():
        cli()
