"""Status against moto: since when, until when, and what it spends."""

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner

from ops.status import status
from plan.rules.tags import EXPIRY, OWNER, STACK


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from moto import mock_aws

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield


@pytest.mark.usefixtures("account")
def test_status_says_since_when_until_when_and_what_it_spends() -> None:
    assert "no host is up" in CliRunner().invoke(status, []).output
    ec2 = boto3.client("ec2", "us-east-1")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    # What a group launches bears its stack's name alone; the rest is on the stack's parameter.
    kept = [{"Key": key, "Value": value} for key, value in {OWNER: "ada", EXPIRY: "2026-11-21T20:00:00Z"}.items()]
    parameter = "/breakeven/bench-32/expires-at"
    boto3.client("ssm", "us-east-1").put_parameter(
        Name=parameter, Value="2026-11-21T20:00:00Z", Type="String", Tags=kept
    )
    tags = {STACK: "bench-32", "Name": "driver"}
    ec2.run_instances(
        ImageId=image,
        InstanceType="m6i.large",
        MinCount=2,
        MaxCount=2,
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}],
    )
    shown = CliRunner().invoke(status, ["--stack", "bench-32"], env={"COLUMNS": "160"})
    assert shown.exit_code == 0, shown.output
    # Two hosts at 0.096 USD/h (m6i.large), each with a volume and an address.
    for text in ("bench-32", "driver", "ada", "2026-11-21T20:00:00Z", "0.211"):
        assert text in shown.output


@pytest.mark.parametrize(
    ("environment", "words", "said"),
    [
        ({"AWS_PROFILE": "nosuch"}, (), "profile (nosuch) could not be found"),
        ({}, (), "give --region, or set BREAKEVEN_REGION"),
        ({"BREAKEVEN_REGION": "us-east-1"}, (), "found no AWS credentials"),
        ({}, ("--stack", "bench 32"), "stack name: found 'bench 32'"),
    ],
)
def test_status_without_an_account_is_one_line(
    environment: dict[str, str], words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for key in [key for key in os.environ if key.startswith("AWS_")] + ["BREAKEVEN_REGION"]:
        monkeypatch.delenv(key, raising=False)
    elsewhere = {"AWS_CONFIG_FILE": tmp_path / "c", "AWS_SHARED_CREDENTIALS_FILE": tmp_path / "s", "HOME": tmp_path}
    for key, value in {**elsewhere, "AWS_EC2_METADATA_DISABLED": "true", **environment}.items():
        monkeypatch.setenv(key, str(value))
    shown = CliRunner().invoke(status, words)
    assert (shown.exit_code, isinstance(shown.exception, SystemExit)) == (1, True)
    assert said in shown.output
    assert shown.output.count("\n") == 1


@pytest.mark.usefixtures("account")
def test_status_cuts_no_figure_and_knows_a_misspelt_stack_and_a_type_without_a_price() -> None:
    assert "did you mean 'bench-32'" in CliRunner().invoke(status, ["--stack", "bench-23"]).output
    ec2 = boto3.client("ec2", "us-east-1")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    tags = {STACK: "bench-32", OWNER: "ada@example.org", EXPIRY: "2026-11-21T20:00:00Z", "Name": "driver"}
    for kind in ("m6i.large", "a1.medium"):
        ec2.run_instances(
            ImageId=image,
            InstanceType=kind,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v + kind[:1]} for k, v in tags.items()]}
            ],
        )
    shown = CliRunner().invoke(status, [], env={"COLUMNS": "60"})
    assert shown.exit_code == 0, shown.output
    assert "…" not in shown.output
    assert "USD/h 0.105" in shown.output
    assert "USD/h unknown" in shown.output
    assert max(map(len, shown.output.splitlines()[:-1])) <= 60
