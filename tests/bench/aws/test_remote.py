"""A run on the driver host: the command that the host gets is run here, by a real shell and real processes, with a
`docker` on its path that runs what is inside in the scratch folder it was given; all it says goes through moto's S3."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError

from bench.aws import follow, remote
from bench.aws.mailbox import Mailbox
from bench.sessions.session import SessionError
from plan.outputs import Outputs
from tests.bench.aws.conftest import without_checkout

WORKERS = "bench-32-ray-workers"

# Takes the flags that the driver's container gets, and runs its command as that container would.
DOCKER = """#!/usr/bin/env bash
set -eu
shift # run
while [ $# -gt 0 ]; do
  case "$1" in
    --env) export "${2?}"; shift 2 ;;
    --volume) cd "${2%%:*}"; shift 2 ;;
    --rm|--init) shift ;;
    --*) shift 2 ;;
    *) break ;;
  esac
done
export PYTHONPATH=$PWD:$WITHOUT_CHECKOUT HOME=$PWD
shift # image
exec "$@"
"""


class Host:
    """Session Manager's three calls over a shell of this machine."""

    def __init__(self, folder: Path):
        self._bin, self._folder, self.boot = folder / "bin", folder, folder / "boot"
        self._bin.mkdir()
        self.boot.mkdir()
        (self.boot / "booted").touch()
        for name, text in {
            "docker": DOCKER,
            "cloud-init": "#!/bin/sh\n",
            "python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
        }.items():
            (self._bin / name).write_text(text)
            (self._bin / name).chmod(0o755)
        self.process: subprocess.Popen[bytes] | None = None
        self.cancelled: list[str] = []
        self.refusals = 0

    def send_command(self, *, InstanceIds: list[str], DocumentName: str, Parameters: Any, Comment: str) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise ClientError(
                {"Error": {"Code": "InvalidInstanceId", "Message": "not in a valid state"}}, "SendCommand"
            )
        assert DocumentName == "AWS-RunShellScript"
        (text,) = Parameters["commands"]
        self.process = subprocess.Popen(
            ["bash", "-c", text],
            env={
                **os.environ,
                "PATH": f"{self._bin}:{os.environ['PATH']}",
                "BREAKEVEN_DRIVER_DIR": str(self._folder),
                "BREAKEVEN_BOOT_DIR": str(self.boot),
                "WITHOUT_CHECKOUT": without_checkout(self._folder / "site"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            stderr=(self._folder / "stderr").open("wb"),
        )
        return {"Command": {"CommandId": "c-1"}}

    def get_command_invocation(self, *, CommandId: str, InstanceId: str) -> Any:
        assert self.process is not None
        if self.process.poll() is None:
            return {"Status": "InProgress"}
        said = (self._folder / "stderr").read_text()
        return {"Status": "Failed", "StatusDetails": "Failed", "StandardErrorContent": said}

    def cancel_command(self, *, CommandId: str, InstanceIds: list[str]) -> None:
        self.cancelled.append(CommandId)


@pytest.fixture
def host(outputs: Outputs, tmp_path: Path) -> Iterator[Host]:
    """Also after a failure nothing of a run is left: the driving process ends its workload on SIGTERM."""
    made = Host(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        family = psutil.Process(made.process.pid).children(recursive=True)
        os.killpg(made.process.pid, signal.SIGTERM)
        for left in psutil.wait_procs(family, timeout=20)[1]:
            left.kill()
        made.process.wait(timeout=20)


def capacity(group: str) -> int:
    answer = boto3.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])
    return int(answer["AutoScalingGroups"][0]["DesiredCapacity"])


def launched() -> str:
    """The id of a running instance; the image is one that moto knows from the start."""
    made = boto3.client("ec2").run_instances(ImageId="ami-12c6146b", InstanceType="t3.micro", MinCount=1, MaxCount=1)
    return str(made["Instances"][0]["InstanceId"])


def drive(host: Host, outputs: Outputs, checkout: Path, *options: str, **kwargs: Any) -> int:
    return remote.run(
        outputs,
        ["workloads/probe.py", "--stack", "bench-32", *options],
        checkout.parent / "results",
        root=checkout,
        ssm=host,
        poll_s=0.05,
        **kwargs,
    )


@pytest.mark.parametrize("terminated", [True, False], ids=["terminated", "forgotten by EC2"])
def test_a_driver_that_its_expiry_ended_is_said_at_once(
    host: Host, outputs: Outputs, checkout: Path, terminated: bool
) -> None:
    """Session Manager only says that it does not know the instance, for as long as one waits."""
    gone = str(outputs.driver_instance) if terminated else "i-0123456789abcdef0"
    if terminated:
        boto3.client("ec2").terminate_instances(InstanceIds=[gone])
    with pytest.raises(SessionError, match=rf"{gone}: found .*pulumi up --refresh -s bench-32"):
        drive(host, outputs.model_copy(update={"driver_instance": gone}), checkout)
    assert host.process is None


def test_progress_rows_and_exit_code_come_back(host: Host, outputs: Outputs, checkout: Path, tmp_path: Path) -> None:
    said = list[str]()
    host.refusals = 1  # an agent that has not called yet
    outputs = outputs.model_copy(update={"driver_instance": launched()})
    rows = tmp_path / "results" / "bench-32" / "run.jsonl"
    rows.parent.mkdir(parents=True)
    rows.write_text('{"n": 0}\n')
    remote_poll, remote.POLL_S = remote.POLL_S, 0.01
    try:
        assert drive(host, outputs, checkout, "--data", "s3://b/it's here", say=said.append) == 3
    finally:
        remote.POLL_S = remote_poll
    assert "1/2 --stack bench-32 --data s3://b/it's here\n" in "".join(said)
    assert rows.read_text() == '{"n": 0}\n{"n": 1}\n{"n": 2}\n'
    assert host.process is not None
    assert host.process.wait(timeout=20) == 3
    assert not list(tmp_path.glob("breakeven-*")), "the host keeps nothing of a run"


def test_ctrl_c_stops_the_remote_run_and_waits_until_it_says_so(
    host: Host, outputs: Outputs, checkout: Path, tmp_path: Path
) -> None:
    said = list[str]()

    def interrupted(text: str) -> None:
        said.append(text)
        if text.endswith("waiting\n"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(host, outputs, checkout, "--endless", say=interrupted)
    assert "closed in order" in "".join(said)
    assert f"at zero: {WORKERS}" in "".join(said), "the remote run itself ends what its workload left"
    assert capacity(WORKERS) == 0
    assert host.cancelled == ["c-1"]
    assert host.process is not None
    assert host.process.wait(timeout=20) == 130


def test_a_host_that_cannot_begin_says_why(
    host: Host, outputs: Outputs, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin" / "docker").write_text("#!/bin/sh\necho no such image >&2\nexit 125\n")
    monkeypatch.setattr(follow, "_LOOK_S", 0.2)
    boto3.client("autoscaling").set_desired_capacity(AutoScalingGroupName=WORKERS, DesiredCapacity=1)
    said = list[str]()
    with pytest.raises(SessionError, match=r"i-\w+ ended without a word: Failed; no such image"):
        drive(host, outputs, checkout, say=said.append)
    assert capacity(WORKERS) == 0
    assert f"groups at zero, asked for from here: {WORKERS}" in "".join(said)


def test_a_driver_host_that_ended_at_its_boot_is_told_at_once(host: Host, outputs: Outputs, checkout: Path) -> None:
    """Session Manager knows no agent of it, which alone would be waited for five minutes long."""
    instance = launched()
    boto3.client("ec2").terminate_instances(InstanceIds=[instance])
    key = f"boot/bench-32/{instance}.log"
    boto3.client("s3").put_object(Bucket="working", Key=key, Body=b"attempt 6 of 6 failed: log_in\n")
    host.refusals = 1
    gone = outputs.model_copy(update={"driver_instance": instance})
    wanted = rf"{instance}: found terminated.*6 of 6 failed: log_in\)\. `pulumi up --refresh -s bench-32` makes another"
    with pytest.raises(SessionError, match=wanted):
        drive(host, gone, checkout)


def test_a_driver_host_whose_boot_has_failed_says_why(
    host: Host, outputs: Outputs, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_LOOK_S", 0.2)
    (host.boot / "booted").unlink()
    (host.boot / "boot.log").write_text("attempt 6 of 6 failed: timeout 180 dnf install docker\n")
    with pytest.raises(SessionError, match=r"the boot of this host failed.*6 of 6 failed: timeout 180 dnf install"):
        drive(host, outputs, checkout)


def test_the_command_is_a_shell_script_without_secrets(outputs: Outputs) -> None:
    text = remote.script(outputs, "driver/k.tar.gz", "driver/runs/r/", "r", ["workloads/ingest.py"])
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
    assert "t0ken" not in text


def test_a_reader_who_comes_late_misses_nothing(outputs: Outputs) -> None:
    s3 = boto3.client("s3")
    writer, reader = Mailbox(s3, "working", "m/"), Mailbox(s3, "working", "m/")
    said = [("log", b"%d" % number) for number in range(12)]
    for name, body in said[:11]:
        writer.send(name, body)
    assert not reader.stopped()
    reader.stop()
    assert writer.stopped()
    assert list(reader.receive()) == said[:11]
    writer.send(*said[11])
    assert list(reader.receive()) == said[11:]
