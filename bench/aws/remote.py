"""The driver in the region: the program goes to the stack's driver host, its progress and rows come back as they are.

The host gets one Session Manager command; code, progress, rows and the wish to stop go through the working bucket, so
that a line that breaks breaks no run.
"""

import shlex
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from bench import machine
from bench.aws import vm_cluster
from bench.aws.driven import STOP_GRACE_S
from bench.aws.mailbox import EXIT, LOG, RESULTS, Mailbox
from bench.bundle import FETCH, INSTALL, OUTPUTS_FILE, bundle
from bench.sessions.session import SessionError
from plan.outputs import Outputs

RUN_S = 12 * 3600
"""Longer than any stack lives by default; its expiry ends the host anyway."""
AGENT_DEADLINE_S = 300.0
"""From an instance's start until Session Manager knows it: a minute or two."""

_POLL_S = 2.0
_LOOK_S = 30.0  # silence after which the command itself is asked
_ENDED = ("Success", "Cancelled", "TimedOut", "Failed", "Undeliverable", "Terminated")


def run(
    outputs: Outputs,
    arguments: Sequence[str],
    results: Path,
    *,
    root: Path,
    ssm: Any = None,
    say: Callable[[str], None] = lambda text: click.echo(text, nl=False, err=True),
    poll_s: float = _POLL_S,
) -> int:
    """Run `arguments` (a workload's path below `root`, and its options) on the driver host; returns its exit code.

    Rows are appended below `results` as they come. Ctrl-C stops the remote run and waits until it has said that it
    ended; the groups are at zero when this returns or raises. Raises SessionError where the command cannot run.
    """
    ssm = ssm or boto3.client("ssm", region_name=outputs.region)
    s3, bucket = boto3.client("s3", region_name=outputs.region), str(outputs.working_bucket)
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    prefix = f"driver/runs/{run_id}/"
    key, body = bundle(root, outputs)
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    mailbox = Mailbox(s3, bucket, prefix)
    text = script(outputs, key, prefix, run_id, arguments, poll_s, machine.commit(root))
    instance, command = str(outputs.driver_instance), None
    follow = _Follow(ssm, instance, mailbox, results, say, poll_s)
    try:
        command = follow.command = _send(ssm, instance, text)
        say(f"driver host {instance}: run {run_id}\n")
        return follow.until_end()
    except KeyboardInterrupt:
        mailbox.stop()  # heeded also by a run that begins only now
        if command:
            say("stopping the remote run; its clusters go to zero first\n")
            with suppress(SessionError):
                follow.until_end(STOP_GRACE_S)
        raise
    finally:
        if command:
            with suppress(ClientError, BotoCoreError):
                ssm.cancel_command(CommandId=command, InstanceIds=[instance])
        if left := vm_cluster.zero(outputs):
            say(f"groups at zero, asked for from here: {', '.join(left)}\n")


def script(
    outputs: Outputs,
    key: str,
    prefix: str,
    run_id: str,
    arguments: Sequence[str],
    every_s: float = _POLL_S,
    commit: str | None = None,
) -> str:
    """What the host runs as root: a container of the workers' image that fetches the code and drives the workload."""
    bucket, region = str(outputs.working_bucket), outputs.region
    driven: list[object] = [
        "-m",
        "bench.aws.driven",
        "--bucket",
        bucket,
        "--prefix",
        prefix,
        "--region",
        region,
        "--every",
        every_s,
    ]
    driven += ["--", *arguments]
    inside = "\n".join(
        [
            "set -eu",
            f"python -c {shlex.quote(FETCH)} {shlex.quote(bucket)} {key}",
            INSTALL,
            f"exec python {shlex.join(str(part) for part in driven)}",
        ]
    )
    environment = {
        "AWS_DEFAULT_REGION": region,
        "BREAKEVEN_COMMIT": commit or "",
        "BREAKEVEN_OUTPUTS": OUTPUTS_FILE,
        "COLUMNS": str(shutil.get_terminal_size((120, 40)).columns),
        "HOME": "/work",
        "PYTHONPATH": "/work",
        "PYTHONUNBUFFERED": "1",
    }
    # The host's network, whose addresses are Ray's and whose metadata answers no farther hop; its memory, for objects.
    docker = ["docker", "run", "--rm", "--init", "--name", f"driver-{run_id}", "--network", "host", "--ipc", "host"]
    docker += [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
    docker += ["--stop-timeout", str(int(STOP_GRACE_S)), "--workdir", "/work"]
    image = [outputs.images["cluster"], "bash", "-c", inside]
    return "\n".join(
        [
            "set -eu",
            "cloud-init status --wait >/dev/null || true # the image is pulled at first boot",
            'folder=$(mktemp -d "${BREAKEVEN_DRIVER_DIR:-/var/tmp}/breakeven-XXXXXX")',
            "trap 'rm -rf \"$folder\"' EXIT",
            'chmod 777 "$folder" # the container has a user of its own, who is not root',
            f'{shlex.join(docker)} --volume "$folder:/work" {shlex.join(image)}',
        ]
    )


def _send(ssm: Any, instance: str, text: str) -> str:
    until = time.monotonic() + AGENT_DEADLINE_S
    while True:
        try:
            sent = ssm.send_command(
                InstanceIds=[instance],
                DocumentName="AWS-RunShellScript",
                Parameters={"commands": [text], "executionTimeout": [str(RUN_S)]},
                Comment="a breakeven workload",
            )
            return str(sent["Command"]["CommandId"])
        except ClientError as error:
            # Also what Session Manager says of an instance whose agent has not called yet.
            if error.response["Error"]["Code"] != "InvalidInstanceId" or time.monotonic() > until:
                raise SessionError(
                    f"driver host {instance}: Session Manager says {error}; is it up (`python -m ops.status`), and may "
                    "you send commands (docs/deployer-policy.json)? `--driver local` drives from here"
                ) from error
        time.sleep(_POLL_S)


class _Follow:
    """Reads a run's chunks until its last word, or until the command has ended without one."""

    def __init__(
        self,
        ssm: Any,
        instance: str,
        mailbox: Mailbox,
        results: Path,
        say: Callable[[str], None],
        poll_s: float,
    ):
        self._ssm, self._instance, self.command = ssm, instance, ""
        self._mailbox, self._results, self._say, self._poll_s = mailbox, results, say, poll_s
        self._heard = time.monotonic()

    def until_end(self, deadline_s: float = RUN_S) -> int:
        """The exit code. Raises SessionError where it ended without one, or at the deadline."""
        until, ended = time.monotonic() + deadline_s, False
        while time.monotonic() < until:
            try:
                for name, body in self._mailbox.receive():
                    self._heard = time.monotonic()
                    if name == EXIT:
                        return int(body)
                    self._take(name, body)
            except HTTPClientError as error:  # this side's line, not the run
                self._say(f"no answer from the bucket, trying on: {error}\n")
                time.sleep(_LOOK_S)
                continue
            if ended:
                raise SessionError(f"the run on {self._instance} ended without a word: {self._why()}")
            if time.monotonic() - self._heard > _LOOK_S:
                self._heard = time.monotonic()
                ended = self._invocation().get("Status") in _ENDED  # and one more look for what it said last
                continue
            time.sleep(self._poll_s)
        raise SessionError(f"the run on {self._instance} has not ended in {deadline_s:.0f} s: {self._why()}")

    def _take(self, name: str, body: bytes) -> None:
        if name == LOG:
            self._say(body.decode(errors="replace"))
            return
        below = PurePosixPath(name).relative_to(RESULTS)
        if ".." in below.parts:
            raise SessionError(f"found a result {name!r}, wanted one below {RESULTS}/")
        path = self._results / below
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(body)

    def _invocation(self) -> dict[str, Any]:
        with suppress(ClientError):  # not there yet, right after it was sent
            return dict(self._ssm.get_command_invocation(CommandId=self.command, InstanceId=self._instance))
        return {}

    def _why(self) -> str:
        found = self._invocation()
        said = str(found.get("StandardErrorContent") or "nothing on its standard error").strip()[-1500:]
        return f"{found.get('StatusDetails') or found.get('Status') or 'no status'}; {said}"


def workload(root: Path) -> list[str]:
    """The command line of this process, its script as a path below `root`."""
    return [Path(sys.argv[0]).resolve().relative_to(root.resolve()).as_posix(), *sys.argv[1:]]
