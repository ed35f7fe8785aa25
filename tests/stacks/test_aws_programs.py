"""Every AWS stack file, run as its program without an engine."""

import base64
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from plan.outputs import Outputs
from plan.person import Person
from plan.rules import RulesError
from plan.rules.tags import EXPIRY, OWNER, STACK, TAGGABLE
from plan.settings import CONFIG_KEY, load, parse
from tests.stacks.conftest import PERSON, Ran

ROOT = Path(__file__).parents[2]


def _stacks() -> list[str]:
    found = []
    for path in sorted(ROOT.glob("Pulumi.*.yaml")):
        settings = yaml.safe_load(path.read_text())["config"][CONFIG_KEY]
        if settings["program"] in ("base", "bench") and "kubernetes" not in settings:
            found.append(path.name.removeprefix("Pulumi.").removesuffix(".yaml"))
    return found


def _plain(value: Any) -> Any:
    """An input with assets and archives as what they hold."""
    if isinstance(value, pulumi.Asset | pulumi.Archive):
        return {key: _plain(item) for key, item in vars(value).items()}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.fixture(scope="module", params=_stacks())
def ran(request: pytest.FixtureRequest, run: Callable[..., Any]) -> Any:
    """Every stack, run from the project's folder, as the engine does."""
    with contextlib.chdir(ROOT):
        return run(load(request.param, ROOT))


def test_outputs_are_the_model(ran: Any) -> None:
    """A key that sessions do not know, or one they miss, is found here and not in an experiment."""
    outputs = Outputs.model_validate(ran.outputs)
    assert set(outputs.clusters) == set(load(outputs.stack, ROOT).clusters)


def test_what_is_declared_does_not_name_the_checkout(ran: Any) -> None:
    """Else a colleague's `up` replaces what runs, because it runs from another folder."""
    assert [key for key, inputs in ran.resources.items() if str(ROOT) in repr(_plain(inputs))] == []


def test_images_are_built_for_the_platform_of_their_wheels_and_of_what_runs_them(run: Callable[..., Any]) -> None:
    built = run(load("base", ROOT)).of_type("docker-build:index:Image")
    assert {name: image["platforms"] for name, image in built.items()} == {name: ["linux/amd64"] for name in built}
    assert len(built) == 2
    assert "--python-platform x86_64-" in (ROOT / "Makefile").read_text(), "what `make pins` resolves for"
    functions = run(load("bench-32", ROOT)).of_type("aws:lambda/function:Function").values()
    assert {tuple(function["architectures"]) for function in functions if "imageUri" in function} == {("x86_64",)}


@pytest.fixture(scope="module")
def bench(run: Callable[..., Any]) -> Any:
    return run(load("bench-32", ROOT))


def test_nothing_of_a_bench_stack_is_without_its_tags(bench: Any) -> None:
    """What bears no tag is found by no audit."""
    untagged = [
        key
        for key, inputs in bench.resources.items()
        if key[0] in TAGGABLE and not {OWNER, STACK, EXPIRY} <= set(inputs.get("tags", {}))
    ]
    assert untagged == []
    for template in bench.of_type("aws:ec2/launchTemplate:LaunchTemplate").values():
        launched = {spec["resourceType"]: spec["tags"] for spec in template["tagSpecifications"]}
        assert all(tags[STACK] == "bench-32" for tags in launched.values())
        assert set(launched) == {"instance", "volume", "network-interface"}
    # When they end, the janitor and the status read from their group.
    for group in bench.of_type("aws:autoscaling/group:Group").values():
        assert {tag["key"]: tag["value"] for tag in group["tags"]}[EXPIRY] == bench.outputs["expiresAt"]


def test_groups_start_at_zero_and_each_is_ended_at_expiry(bench: Any) -> None:
    groups = bench.of_type("aws:autoscaling/group:Group")
    assert {group["desiredCapacity"] for group in groups.values()} == {0}
    targets = [schedule["target"] for schedule in bench.of_type("aws:scheduler/schedule:Schedule").values()]
    ended = [json.loads(target["input"]) for target in targets if target["arn"].endswith("updateAutoScalingGroup")]
    assert {body["AutoScalingGroupName"] for body in ended} == {group["name"] for group in groups.values()}
    assert all(body["MaxSize"] == body["DesiredCapacity"] == 0 for body in ended)
    hosts = [json.loads(target["input"]) for target in targets if target["arn"].endswith("terminateInstances")]
    assert hosts == [{"InstanceIds": [bench.outputs["driverInstance"]]}]


def test_no_call_of_a_function_is_tried_long_after_its_run(bench: Any, run: Callable[..., Any]) -> None:
    """By default Lambda tries what was throttled for six hours, also when the run was cancelled long before."""
    for ran in (bench, run(load("base", ROOT))):
        functions = ran.of_type("aws:lambda/function:Function")
        ages = {
            config["functionName"]: config["maximumEventAgeInSeconds"]
            for config in ran.of_type("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig").values()
        }
        assert set(ages) == {inputs["name"] for inputs in functions.values()}
        assert all(60 <= age <= 1800 for age in ages.values())


def test_user_data_holds_no_secret_and_names_the_image_by_digest(bench: Any) -> None:
    values = [
        v["secretString"]["value"] for v in bench.of_type("aws:secretsmanager/secretVersion:SecretVersion").values()
    ]
    parts = [part for value in values for part in json.loads(value).values()]
    assert parts
    for template in bench.of_type("aws:ec2/launchTemplate:LaunchTemplate").values():
        text = base64.b64decode(template["userData"]).decode()
        assert "@sha256:" in text
        assert not any(part in text for part in parts)


def test_the_program_does_not_grow_with_the_nodes(bench: Any, run: Callable[..., Any]) -> None:
    """1,024 nodes are as many resources as 16: nodes are a group's number."""
    small = load("bench-32", ROOT)
    large = {name: cluster.model_copy(update={"nodes": 1024}) for name, cluster in small.clusters.items()}
    wide = small.model_copy(update={"clusters": large, "budget_usd": 1e6})
    ran = run(
        wide,
        Person(
            "tester",
            "203.0.113.7/32",
            "us-east-1",
            vcpu_quota=10_000,
            lambda_concurrency=1000,
            lambda_memory_mib=10_240,
        ),
    )
    assert set(ran.resources) == set(bench.resources)


def test_a_refused_setting_stops_the_program_before_its_first_resource(run: Callable[..., Any]) -> None:
    document = yaml.safe_load((ROOT / "Pulumi.bench-32.yaml").read_text())["config"][CONFIG_KEY]
    document["clusters"]["ray"]["instanceType"] = "c6i.2xlarge"
    with pytest.raises(RulesError, match=r"memory-per-slot"):
        run(parse(document, "bench-32"))


def registered(caught: pytest.ExceptionInfo[pulumi.RunError]) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_another_region_than_bases_is_refused(run: Callable[..., Ran]) -> None:
    with pytest.raises(pulumi.RunError, match="found region 'eu-west-1', wanted 'us-east-1'") as refused:
        run(load("bench-32", ROOT), replace(PERSON, region="eu-west-1"))
    assert "BREAKEVEN_REGION=us-east-1" in registered(refused)


def test_a_base_stack_does_not_move_to_another_region(run: Callable[..., Ran]) -> None:
    with pytest.raises(
        pulumi.RunError, match="found region 'eu-west-1', wanted 'us-east-1', where its data"
    ) as refused:
        run(load("base", ROOT), replace(PERSON, region="eu-west-1"))
    assert "BREAKEVEN_REGION=us-east-1" in registered(refused)


def test_up_after_the_expiry_is_refused_with_what_to_do(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.aws.expiry.expires_after", lambda _: "2026-01-01T00:00:00Z")
    with pytest.raises(pulumi.RunError, match="'bench-32' expired at 2026-01-01T00:00:00Z") as refused:
        run(load("bench-32", ROOT))
    assert "BREAKEVEN_EXPIRES_AT" in registered(refused)
