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
from pathlib import Path
from typing import Any

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from bench import machine
from bench.aws import boot_log
from bench.aws.follow import RUN_S, STOP_GRACE_S, Follow, There, attended
from bench.aws.line import is_broken
from bench.aws.mailbox import Mailbox
from bench.bundle import FETCH, OUTPUTS_FILE, bundle, install
from bench.sessions.session import SessionError
from bench.zero import zero
from plan.outputs import Outputs

AGENT_DEADLINE_S = 300.0
"""From an instance's start until Session Manager knows it: a minute or two."""

POLL_S = 2.0
_ENDED = ("Success", "Cancelled", "TimedOut", "Failed", "Undeliverable", "Terminated")


def to_stderr(text: str) -> None:
    """What a run says, as it comes."""
    click.echo(text, nl=False, err=True)


def run(
    outputs: Outputs,
    arguments: Sequence[str],
    results: Path,
    *,
    root: Path,
    ssm: Any = None,
    say: Callable[[str], None] = to_stderr,
    poll_s: float = POLL_S,
) -> int:
    """Run `arguments` (a workload's path below `root`, and its options) on the driver host; returns its exit code.

    Rows are appended below `results` as they come. Ctrl-C stops the remote run and waits until it has said that it
    ended; the groups are at zero when this returns or raises. Raises SessionError where the command cannot run.
    """
    _must_be_there(outputs)
    ssm = ssm or boto3.client("ssm", region_name=outputs.region)
    s3, bucket = boto3.client("s3", region_name=outputs.region), str(outputs.working_bucket)
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    prefix = prefix_of(run_id)
    key, body = bundle(root, outputs)
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    mailbox = Mailbox(s3, bucket, prefix)
    text = script(outputs, key, prefix, run_id, arguments, poll_s, machine.commit(root))
    host = _Host(ssm, str(outputs.driver_instance))
    follow = Follow(host, mailbox, results, say, poll_s, resume=resume(outputs, run_id))

    def begin() -> None:
        host.command = _send(ssm, outputs, text)
        follow.resume = resume(outputs, run_id, host.command)
        say(f"driver host {host.name}: run {run_id}\n")

    def end() -> None:
        if host.command:
            with suppress(ClientError, BotoCoreError):
                ssm.cancel_command(CommandId=host.command, InstanceIds=[host.name])
        if left := zero(outputs):
            say(f"groups at zero, asked for from here: {', '.join(left)}\n")

    return attended(follow, mailbox, say, begin, end)


def prefix_of(run_id: str) -> str:
    """Where in the working bucket a run and this program hear each other."""
    return f"driver/runs/{run_id}/"


def resume(outputs: Outputs, run_id: str, command: str = "") -> str:
    """The command line that follows a run again. command: Session Manager's id of it, on a driver host."""
    told = f" --command {command}" if command else ""
    return f"python -m bench.aws.resume --stack {outputs.stack} --run {run_id}{told}"


def there(outputs: Outputs, command: str) -> There:
    """The driver host with a run on it."""
    host = _Host(boto3.client("ssm", region_name=outputs.region), str(outputs.driver_instance))
    host.command = command
    return host


def script(
    outputs: Outputs,
    key: str,
    prefix: str,
    run_id: str,
    arguments: Sequence[str],
    every_s: float = POLL_S,
    commit: str | None = None,
) -> str:
    """What the host runs as root: a container of the workers' image that fetches the code and drives the workload."""
    bucket, region = str(outputs.working_bucket), outputs.region
    driven: list[object] = ["-m", "bench.aws.driven", "--bucket", bucket, "--prefix", prefix, "--region", region]
    driven += ["--every", every_s, "--", *arguments]
    inside = "\n".join(
        [
            "set -eu",
            f"python -c {shlex.quote(FETCH)} {shlex.quote(bucket)} {key}",
            install(outputs),
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
            "boot=${BREAKEVEN_BOOT_DIR:-/var/lib/breakeven}",
            'if [ ! -e "$boot/booted" ]; then',
            '  echo "the boot of this host failed and it is about to end: $(tail -n 5 "$boot/boot.log")" >&2',
            "  exit 1",
            "fi",
            'folder=$(mktemp -d "${BREAKEVEN_DRIVER_DIR:-/var/tmp}/breakeven-XXXXXX") # closed to all but root',
            "trap 'rm -rf \"$folder\"' EXIT",
            'mkdir -m 777 "$folder/work" # the container has a user of its own, who is not root',
            f'{shlex.join(docker)} --volume "$folder/work:/work" {shlex.join(image)}',
        ]
    )


def _send(ssm: Any, outputs: Outputs, text: str) -> str:
    instance = str(outputs.driver_instance)
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
                    "you send commands (docs/aws.md, Permissions)? `--driver local` drives from here"
                ) from error
            _must_be_there(outputs)
        time.sleep(POLL_S)


def _must_be_there(outputs: Outputs) -> None:
    """Raises SessionError where the driver host has ended, which no waiting for its agent would show: it does so at the
    stack's expiry, and when its boot fails."""
    instance = str(outputs.driver_instance)
    filters = [{"Name": "instance-id", "Values": [instance]}]
    answer = boto3.client("ec2", region_name=outputs.region).describe_instances(Filters=filters)
    states = [one["State"]["Name"] for reservation in answer["Reservations"] for one in reservation["Instances"]]
    if states not in (["pending"], ["running"]):
        found = states[0] if states else "no such instance"
        why = boot_log.why_gone(boto3.client("s3", region_name=outputs.region), outputs, instance)
        raise SessionError(
            f"driver host {instance}: found {found}, wanted one that runs; an expiry that has fired terminates it, as "
            f"does a boot that failed ({why}). `pulumi up --refresh -s {outputs.stack}` makes another"
        )


class _Host:
    """The driver host, as Session Manager tells of it."""

    def __init__(self, ssm: Any, instance: str):
        self._ssm, self.name, self.command = ssm, instance, ""

    def ended(self) -> bool:
        return self._invocation().get("Status") in _ENDED

    def why(self) -> str:
        found = self._invocation()
        said = str(found.get("StandardErrorContent") or "nothing on its standard error").strip()[-1500:]
        return f"{found.get('StatusDetails') or found.get('Status') or 'no status'}; {said}"

    def _invocation(self) -> dict[str, Any]:
        if not self.command:  # nobody knows: its last word tells
            return {}
        try:
            return dict(self._ssm.get_command_invocation(CommandId=self.command, InstanceId=self.name))
        except ClientError as error:
            if is_broken(error):
                raise
            return {}  # not there yet, right after it was sent


def workload(root: Path) -> list[str]:
    """The command line of this process, its script as a path below `root`."""
    return [Path(sys.argv[0]).resolve().relative_to(root.resolve()).as_posix(), *sys.argv[1:]]
