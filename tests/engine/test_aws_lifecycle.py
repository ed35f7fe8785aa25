"""The long suite: every kind of AWS stack made, changed, refreshed, broken off, mended and destroyed.

Stacks live side by side, as many at once as there are cores: most of a life is waiting for a provider's own waits.
"""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import boto3
import pytest
import yaml

from ops.left import Found, left
from plan.settings import CONFIG_KEY
from tests.engine.conftest import Engine
from tests.engine.failing_proxy import FailingProxy

pytestmark = [pytest.mark.engine, pytest.mark.slow_engine]

STACKS = ("bench-128", "multiprocessing", "hybrid", "bench-32")
# The first, a middle and the last third of what `up` of a small stack makes.
REFUSED = (
    "Action=CreateInternetGateway",
    "Action=CreateLaunchTemplate",
    "secretsmanager.PutSecretValue",
    "Action=CreateAutoScalingGroup",
)
SMALL = {
    "program": "bench",
    "base": "base",
    "clusters": {"ray": {"engine": "ray", "platform": "ec2", "instanceType": "m6i.large", "nodes": 2}},
    "ttlH": 1,
    "budgetUsd": 5,
}


@pytest.fixture(scope="module")
def base(engine: Engine) -> Iterator[Engine]:
    """The real base stack, up; at the end destroyed but for its results, which refuse and stay."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", engine.environment["AWS_ENDPOINT_URL"])
        engine.init("base")
        engine.run("up", "-s", "base", "--yes", "--skip-preview")
        yield engine
        assert engine.preview("base") == {}
        before = _left("base")
        refused = engine.run("destroy", "-s", "base", "--yes", "--skip-preview", check=False)
        assert "protected" in refused, refused[-2000:]
        assert _left("base") == before, "it is refused before the first deletion, not when 29 of 33 are gone"
        assert engine.preview("base") == {}, "and the engine's own state has lost nothing either"
        engine.run("state", "unprotect", "-s", "base", "--all", "--yes")
        engine.run("destroy", "-s", "base", "--yes", "--skip-preview")
        kept = _left("base")
        assert [found.kind for found in kept] == ["bucket"], "the results bucket is retained, and nothing else"
        assert "results" in kept[0].id


@pytest.fixture(scope="module")
def lives(base: Engine, cloud: str) -> Iterator[dict[str, Future[None]]]:
    """By stack or by the call that is refused: what comes of it, begun here and told by the tests below."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as at_once:
        begun = {stack: at_once.submit(_life, base, stack) for stack in STACKS}
        for number, call in enumerate(REFUSED):
            begun[call] = at_once.submit(_broken, base, cloud, f"broken-{number}", call, mended=number % 2 == 1)
        yield begun
        at_once.shutdown(cancel_futures=True)


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_lives_and_leaves_nothing(lives: dict[str, Future[None]], stack: str) -> None:
    lives[stack].result()


@pytest.mark.parametrize("call", REFUSED)
def test_an_up_that_breaks_off_is_mended_or_destroyed(lives: dict[str, Future[None]], call: str) -> None:
    lives[call].result()


def _life(engine: Engine, stack: str) -> None:
    engine.init(stack)
    engine.run("up", "-s", stack, "--yes", "--skip-preview")
    outputs = engine.outputs(stack)
    assert engine.preview(stack) == {}

    file = engine.project / f"Pulumi.{stack}.yaml"
    file.write_text(yaml.safe_dump(_changed(yaml.safe_load(file.read_text()))))
    planned = engine.preview(stack, BREAKEVEN_OWNER="another")
    assert set(planned) == {"update"}, "a change of number, size and tag replaces and makes nothing"
    engine.run("up", "-s", stack, "--yes", "--skip-preview", BREAKEVEN_OWNER="another")
    assert engine.outputs(stack)["expiresAt"] == outputs["expiresAt"], "a deploy doesn't move the expiry"

    engine.run("refresh", "-s", stack, "--yes", "--skip-preview", BREAKEVEN_OWNER="another")
    engine.run("destroy", "-s", stack, "--yes", "--skip-preview")
    assert _left(stack) == []


def _broken(engine: Engine, cloud: str, stack: str, call: str, *, mended: bool) -> None:
    """An `up` in which this call is refused, then a second `up` where `mended`, then a `destroy`."""
    proxy = FailingProxy(cloud)
    (engine.project / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": {CONFIG_KEY: SMALL}}))
    engine.init(stack)
    try:
        proxy.refuse(call)
        said = engine.run("up", "-s", stack, "--yes", "--skip-preview", check=False, AWS_ENDPOINT_URL=proxy.endpoint)
        assert proxy.hits > 0, f"{call} was never made\n{said[-2000:]}"
        assert "AccessDenied" in said or "403" in said, said[-2000:]
        assert _left(stack), "it broke off after something was made"
        if mended:
            engine.run("up", "-s", stack, "--yes", "--skip-preview")
            assert engine.preview(stack) == {}
    finally:
        proxy.end()
        engine.run("destroy", "-s", stack, "--yes", "--skip-preview")
    assert _left(stack) == []


def _changed(document: dict[str, Any]) -> dict[str, Any]:
    """One node more of the next larger type for every cluster, or a longer time-out where there is none."""
    settings = document["config"][CONFIG_KEY]
    for cluster in settings.get("clusters", {}).values():
        cluster.update(nodes=cluster["nodes"] + 1, instanceType="m6i.xlarge", headInstanceType="m6i.large")
    settings["functions"]["timeoutS"] = 240
    settings["budgetUsd"] = 500
    return document


def _left(stack: str) -> list[Found]:
    return left(boto3.Session("test", "test", region_name="us-east-1"), stack)
