"""Every AWS stack file, run as its program without an engine."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from plan.outputs import Outputs
from plan.person import Person
from plan.rules import RulesError
from plan.rules.tags import EXPIRY, OWNER, STACK, TAGGABLE
from plan.settings import CONFIG_KEY, load, parse

ROOT = Path(__file__).parents[2]


def _stacks() -> list[str]:
    found = []
    for path in sorted(ROOT.glob("Pulumi.*.yaml")):
        settings = yaml.safe_load(path.read_text())["config"][CONFIG_KEY]
        if settings["program"] in ("base", "bench") and "kubernetes" not in settings:
            found.append(path.name.removeprefix("Pulumi.").removesuffix(".yaml"))
    return found


@pytest.mark.parametrize("stack", _stacks())
def test_outputs_are_the_model(stack: str, run: Callable[..., Any]) -> None:
    """A key that sessions do not know, or one they miss, is found here and not in an experiment."""
    ran = run(load(stack, ROOT))
    outputs = Outputs.model_validate(ran.outputs)
    assert outputs.stack == stack
    assert set(outputs.clusters) == set(load(stack, ROOT).clusters)


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
    ran = run(wide, Person("tester", "203.0.113.7/32", "us-east-1", vcpu_quota=10_000, lambda_concurrency=1000))
    assert set(ran.resources) == set(bench.resources)


def test_a_refused_setting_stops_the_program_before_its_first_resource(run: Callable[..., Any]) -> None:
    document = yaml.safe_load((ROOT / "Pulumi.bench-32.yaml").read_text())["config"][CONFIG_KEY]
    document["clusters"]["ray"]["instanceType"] = "c6i.2xlarge"
    with pytest.raises(RulesError, match=r"memory-per-slot"):
        run(parse(document, "bench-32"))
