"""A line that breaks ends no run: it is waited for, in bounds, and what is given up on can be followed again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import exceptions
from botocore.exceptions import ClientError

from bench import zero as zeroing
from bench.aws import driven, follow
from bench.aws.driven import Voice, sweep
from bench.aws.follow import Follow, LineLost, attended
from bench.aws.line import is_broken
from bench.aws.mailbox import EXIT, Mailbox
from bench.sessions.session import LeftRunning, SessionError
from bench.zero import zero
from plan.outputs import Outputs

AT = {"endpoint_url": "https://s3.us-east-1.amazonaws.com"}


def refused(status: int, code: str = "InternalError") -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "ListObjectsV2")  # type: ignore[typeddict-item]


BROKEN = [
    exceptions.EndpointConnectionError(**AT),
    exceptions.ConnectTimeoutError(**AT),
    exceptions.ReadTimeoutError(**AT),
    exceptions.SSLError(error="certificate has expired", **AT),
    exceptions.ProxyConnectionError(proxy_url="http://proxy:3128", **AT),
    exceptions.ConnectionClosedError(**AT),
    exceptions.ResponseStreamingError(error="broken off"),
    ConnectionResetError("reset by peer"),
    TimeoutError("timed out"),
    refused(500),
    refused(503, "SlowDown"),
    refused(400, "ExpiredToken"),
]


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
def test_errors_of_the_line(error: Exception) -> None:
    assert is_broken(error)


@pytest.mark.parametrize(
    "error",
    [refused(403, "AccessDenied"), refused(404, "NoSuchBucket"), exceptions.NoCredentialsError(), OSError(28, "full"),
     SessionError("a result elsewhere"), ValueError("a fault")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_waiting_does_not_mend(error: Exception) -> None:
    assert not is_broken(error)


class Host:
    name = "i-0driver"

    def ended(self) -> bool:
        return False

    def why(self) -> str:
        return "no word"


class Line:
    """A mailbox whose line breaks as often as it is told, then says two lines and the exit code."""

    def __init__(self, *errors: Exception):
        self.errors, self.said = list(errors), [("log", b"1/2\n"), ("log", b"2/2\n"), (EXIT, b"3")]

    def receive(self) -> Iterator[tuple[str, bytes]]:
        while self.said:
            if self.errors:
                raise self.errors.pop(0)
            yield self.said.pop(0)

    def stop(self) -> None:
        raise exceptions.EndpointConnectionError(**AT)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_FIRST_WAIT_S", 0.0)
    monkeypatch.setattr(follow, "_LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr(zeroing, "PAUSE_S", 0.0)


def followed(line: Any, folder: Path, said: list[str], **options: Any) -> Follow:
    return Follow(Host(), line, folder, said.append, 0.0, resume="python -m bench.aws.resume --run r", **options)


def test_a_line_that_breaks_in_every_way_is_waited_for(tmp_path: Path) -> None:
    said: list[str] = []
    assert followed(Line(*BROKEN), tmp_path, said).until_end(20) == 3
    assert [text for text in said if "/2" in text] == ["1/2\n", "2/2\n"]
    assert len([text for text in said if "trying again" in text]) == len(BROKEN)


def test_a_refusal_ends_it(tmp_path: Path) -> None:
    with pytest.raises(ClientError):
        followed(Line(refused(403, "AccessDenied")), tmp_path, []).until_end(20)


def test_given_up_it_says_how_to_go_on_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "PATIENCE_S", -1.0)
    line, ended = Line(*BROKEN), list[str]()
    one = followed(line, tmp_path, [])
    with pytest.raises(LineLost, match=r"goes on .* follow it again with: python -m bench.aws.resume --run r"):
        attended(one, line, print, lambda: None, lambda: ended.append("ended"))  # type: ignore[arg-type]
    assert ended == []


def test_ctrl_c_without_a_line_still_ends_what_is_paid_for(tmp_path: Path) -> None:
    ended: list[str] = []

    def begin() -> None:
        raise KeyboardInterrupt

    line = Line()
    with pytest.raises(KeyboardInterrupt):
        attended(followed(line, tmp_path, []), line, lambda text: None, begin, lambda: ended.append("ended"))  # type: ignore[arg-type]
    assert ended == ["ended"]


def test_followed_again_rows_are_there_once(outputs: Outputs, tmp_path: Path) -> None:
    mailbox = Mailbox(boto3.client("s3"), "working", "again/")
    for name, body in (("results/s/r.jsonl", b"1\n"), ("results/s/r.jsonl", b"2\n"), (EXIT, b"0")):
        mailbox.send(name, body)
    for _ in range(2):
        reader = Mailbox(boto3.client("s3"), "working", "again/")
        assert followed(reader, tmp_path, [], again=True).until_end(20) == 0
        assert (tmp_path / "s" / "r.jsonl").read_text() == "1\n2\n"


class Deaf:
    """A bucket that does not take the first words."""

    def __init__(self, failures: int):
        self.failures, self.heard = failures, list[tuple[str, bytes]]()

    def send(self, name: str, body: bytes) -> None:
        if self.failures:
            self.failures -= 1
            raise exceptions.EndpointConnectionError(**AT)
        self.heard.append((name, body))


def test_a_run_goes_on_while_its_bucket_does_not_answer_and_loses_no_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(driven, "EVERY_S", 0.0)
    log = tmp_path / "driver.log"
    log.write_text("1/2\n")
    deaf = Deaf(2)
    voice = Voice(deaf, log)  # type: ignore[arg-type]
    for _ in range(3):
        voice.speak()
    deaf.failures = 1
    log.write_text("1/2\n2/2")
    voice.last_words("at zero: g\n", 0)
    assert deaf.heard == [("log", b"1/2\n"), ("log", b"2/2"), ("log", b"at zero: g\n"), (EXIT, b"0")]


def test_one_group_that_cannot_be_asked_spares_no_other(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [str(group) for c in outputs.clusters.values() for group in (c.group, c.head_group)]
    scaling = boto3.client("autoscaling")
    for group in groups:
        scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=1)
    ask, tries = zeroing.vm_cluster.group_to_zero, list[str]()

    def throttled(of: Outputs, group: str) -> bool:
        if group == groups[0]:
            tries.append(group)
            raise refused(400, "Throttling")
        return ask(of, group)

    monkeypatch.setattr(zeroing.vm_cluster, "group_to_zero", throttled)
    with pytest.raises(LeftRunning, match=rf"could not be asked for zero: {groups[0]}: ClientError.*pulumi destroy"):
        zero(outputs)
    assert len(tries) == 3
    found = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=groups)["AutoScalingGroups"]
    assert {one["AutoScalingGroupName"]: one["DesiredCapacity"] for one in found} == dict.fromkeys(groups, 0) | {
        groups[0]: 1
    }


def test_what_a_killed_driver_left_is_ended_by_the_next_pod(outputs: Outputs) -> None:
    group = str(outputs.clusters["ray"].group)
    boto3.client("autoscaling").set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=1)
    Mailbox(boto3.client("s3"), "working", "killed/").send("log", b"1/2\n")
    second = Mailbox(boto3.client("s3"), "working", "killed/")
    assert second.begun() == (True, False)
    assert sweep(second, outputs) == 1
    heard = list(Mailbox(boto3.client("s3"), "working", "killed/").receive())
    assert heard[0] == ("log", b"1/2\n")
    assert f"killed from outside; its rows so far are kept\nat zero: {group}" in heard[1][1].decode()
    assert heard[2] == (EXIT, b"1")
    assert Mailbox(boto3.client("s3"), "working", "killed/").begun() == (True, True)
