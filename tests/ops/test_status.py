"""Status against moto: since when, until when, and what it spends."""

from collections.abc import Iterator

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
