"""The long suite: every kind of AWS stack made, changed, refreshed, broken off, mended and destroyed."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import yaml

from ops.left import Found, left
from tests.engine.conftest import Engine
from tests.engine.failing_proxy import FailingProxy

pytestmark = [pytest.mark.engine, pytest.mark.slow_engine]


@pytest.fixture(scope="module")
def base(engine: Engine) -> Iterator[Engine]:
    """The real base stack, up; at the end destroyed but for its results, which refuse and stay."""
    engine.init("base")
    engine.run("up", "-s", "base", "--yes", "--skip-preview")
    yield engine
    refused = engine.run("destroy", "-s", "base", "--yes", "--skip-preview", check=False)
    assert "protected" in refused, refused[-2000:]
    engine.run("state", "unprotect", "-s", "base", "--all", "--yes")
    engine.run("destroy", "-s", "base", "--yes", "--skip-preview")
    kept = {found.kind for found in _left(engine, "base")}
    assert kept == {"bucket"}, "the results bucket is retained, and nothing else"


@pytest.mark.parametrize("stack", ["bench-32", "bench-128", "hybrid", "multiprocessing"])
def test_a_stack_lives_and_leaves_nothing(base: Engine, stack: str) -> None:
    base.init(stack)
    base.run("up", "-s", stack, "--yes", "--skip-preview")
    outputs = base.outputs(stack)
    assert base.preview(stack) == {}

    file = base.project / f"Pulumi.{stack}.yaml"
    kept = file.read_text()
    try:
        file.write_text(yaml.safe_dump(_changed(yaml.safe_load(kept))))
        planned = base.preview(stack, BREAKEVEN_OWNER="another")
        assert set(planned) == {"update"}, "a change of number, size and tag replaces and makes nothing"
        base.run("up", "-s", stack, "--yes", "--skip-preview", BREAKEVEN_OWNER="another")
    finally:
        file.write_text(kept)
    assert base.outputs(stack)["expiresAt"] == outputs["expiresAt"], "a deploy doesn't move the expiry"

    base.run("refresh", "-s", stack, "--yes", "--skip-preview", BREAKEVEN_OWNER="another")
    base.run("destroy", "-s", stack, "--yes", "--skip-preview")
    assert _left(base, stack) == []


@pytest.mark.parametrize(
    "call", ["Action=CreateAutoScalingGroup", "Action=CreateInternetGateway", "secretsmanager.PutSecretValue"]
)
def test_an_up_that_breaks_off_is_mended_by_the_next(base: Engine, cloud: str, call: str) -> None:
    proxy = FailingProxy(cloud)
    file = base.project / "Pulumi.broken.yaml"
    file.write_text(yaml.safe_dump({"config": {"breakeven:settings": SMALL}}))
    base.init("broken")
    try:
        proxy.refuse(call)
        said = base.run("up", "-s", "broken", "--yes", "--skip-preview", check=False, AWS_ENDPOINT_URL=proxy.endpoint)
        assert proxy.hits > 0, f"{call} was never made\n{said[-2000:]}"
        assert "AccessDenied" in said or "403" in said, said[-2000:]
        assert _left(base, "broken"), "it broke off after something was made"
        proxy.refuse("")
        base.run("up", "-s", "broken", "--yes", "--skip-preview", AWS_ENDPOINT_URL=proxy.endpoint)
        assert base.preview("broken") == {}
    finally:
        proxy.end()
        base.run("destroy", "-s", "broken", "--yes", "--skip-preview")
    assert _left(base, "broken") == []


def test_a_stack_that_broke_off_is_destroyed(base: Engine, cloud: str) -> None:
    proxy = FailingProxy(cloud)
    base.init("broken")
    (base.project / "Pulumi.broken.yaml").write_text(yaml.safe_dump({"config": {"breakeven:settings": SMALL}}))
    try:
        proxy.refuse("Action=CreateLaunchTemplate")
        base.run("up", "-s", "broken", "--yes", "--skip-preview", check=False, AWS_ENDPOINT_URL=proxy.endpoint)
        assert proxy.hits > 0
    finally:
        proxy.end()
    base.run("destroy", "-s", "broken", "--yes", "--skip-preview")
    assert _left(base, "broken") == []


SMALL = {
    "program": "bench",
    "base": "base",
    "clusters": {"ray": {"engine": "ray", "platform": "ec2", "instanceType": "m6i.large", "nodes": 2}},
    "ttlH": 1,
    "budgetUsd": 5,
}


def _changed(document: dict[str, Any]) -> dict[str, Any]:
    """One node more of the next larger type for every cluster, or a longer time-out where there is none."""
    settings = document["config"]["breakeven:settings"]
    for cluster in settings.get("clusters", {}).values():
        cluster.update(nodes=cluster["nodes"] + 1, instanceType="m6i.xlarge", headInstanceType="m6i.large")
    settings["functions"]["timeoutS"] = 240
    settings["budgetUsd"] = 500
    return document


def _left(engine: Engine, stack: str) -> list[Found]:
    session = boto3.Session("test", "test", region_name="us-east-1")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", engine.environment["AWS_ENDPOINT_URL"])
        return left(session, stack)
