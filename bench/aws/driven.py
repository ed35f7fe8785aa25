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

from bench.aws import vm_cluster
from bench.aws.mailbox import EXIT, LOG, RESULTS, Mailbox
from bench.aws.vm_cluster import PATIENT
from plan.faults import reported
from plan.outputs import Outputs

EVERY_S = 2.0
STOP_GRACE_S = 900.0
"""For sessions to close and instances to go; then the workload is killed, and groups are zeroed from here."""


class Tail:
    """New bytes of one file since the last look, cut at the end of a line."""

    def __init__(self, path: Path):
        self._path, self._at = path, 0

    def more(self, *, last: bool = False) -> bytes:
        """What has come; the rest of an unfinished line only if nothing more will."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            body = file.read()
        body = body if last else body[: body.rfind(b"\n") + 1]
        self._at += len(body)
        return body


def drive(command: list[str], mailbox: Mailbox, outputs: Outputs, every_s: float = EVERY_S) -> int:
    """Run it, speak for it, obey the stop key. Returns its exit code, which is also the last chunk."""
    log, code = Path("driver.log"), 1
    tails = {LOG: Tail(log)}
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
    stopped_at: float | None = None
    try:
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=every_s)
            _send(mailbox, tails, last=False)
            if stopped_at is None and mailbox.stopped():
                stopped_at = time.monotonic()
                process.send_signal(signal.SIGINT)
            if stopped_at is not None and time.monotonic() - stopped_at > STOP_GRACE_S:
                os.killpg(process.pid, signal.SIGKILL)
        code = process.returncode
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        left = vm_cluster.zero(outputs)
        _send(mailbox, tails, last=True)
        if left:
            mailbox.send(LOG, f"groups at zero: {', '.join(left)}\n".encode())
        mailbox.send(EXIT, str(code).encode())
    return code


def _send(mailbox: Mailbox, tails: dict[str, Tail], *, last: bool) -> None:
    for path in sorted(Path(RESULTS).rglob("*")):
        if path.is_file():
            tails.setdefault(str(path), Tail(path))
    for name, tail in tails.items():
        if body := tail.more(last=last):
            mailbox.send(name, body)


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
    raise SystemExit(drive(list(command), mailbox, outputs, every_s))


if __name__ == "__main__":
    with reported():
        cli()
