"""AWS stacks under a real engine: previews, and one small stack made and destroyed."""

import boto3
import pytest
import yaml

from ops.left import left
from tests.engine.conftest import Engine

pytestmark = pytest.mark.engine

# The smallest stack that has every kind of part but hosts, which take the provider 10 s to make and to end.
SMALL = {
    "program": "bench",
    "base": "base",
    "clusters": {"dask": {"engine": "dask", "platform": "ec2", "instanceType": "m6i.large", "nodes": 2}},
    "ttlH": 1,
    "budgetUsd": 5,
}


@pytest.mark.parametrize("stack", ["bench-32", "multiprocessing"])
def test_preview(described_base: Engine, stack: str) -> None:
    """The provider accepts every argument; the other stack files differ from these in numbers only."""
    planned = described_base.preview(stack)
    assert set(planned) == {"create"}
    assert len(planned["create"]) > 40


@pytest.fixture(scope="module")
def small(described_base: Engine) -> Engine:
    (described_base.project / "Pulumi.small.yaml").write_text(yaml.safe_dump({"config": {"breakeven:settings": SMALL}}))
    described_base.init("small")
    return described_base


def test_a_small_stack_comes_up_stays_and_goes(small: Engine, cloud: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets and expiry are made once, so a second preview shows no change; after destroy nothing bears its tags."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud)
    session = boto3.Session("test", "test", region_name="us-east-1")
    small.run("up", "-s", "small", "--yes", "--skip-preview")
    assert {found.kind for found in left(session, "small")} >= {"autoscaling group", "VPC", "secret", "role"}
    assert small.preview("small") == {}
    small.run("destroy", "-s", "small", "--yes", "--skip-preview")
    assert left(session, "small") == []
