"""Settings are parsed once, strictly."""

import re
from pathlib import Path
from typing import Any

import pytest

from plan.settings import SettingsError, load, parse

ROOT = Path(__file__).parents[2]
EC2 = {"engine": "ray", "platform": "ec2", "instanceType": "m6i.large", "nodes": 2}
LOCAL = {"engine": "ray", "platform": "local", "nodes": 1, "slotsPerNode": 1}
POOL = {"platform": "local", "maxWorkers": 2}
BAD_NAMES = ("my ray", "a/b", "Ray", "räy", "ray_1", "1ray", "ray-", "a" * 15, "")
EKS = {"engine": "ray", "platform": "eks", "workers": 2}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"program": "bench", "buget": 3}, "nearest known key is 'budgetUsd'"),
        ({"program": "bench", "clusters": {"a": {**EC2, "instancetype": "x"}}}, "nearest known key is 'instanceType'"),
        ({"program": "bench", "worker": {"memoryMib": 1024}}, "needs `reason`"),
        ({"program": "bench", "clusters": {"a": {"engine": "ray", "platform": "ec2"}}}, "needs instanceType and nodes"),
        ({"program": "bench", "clusters": {"a": EKS}}, "declares no `kubernetes`"),
        ({"program": "bench", "clusters": {"a": {**EKS, "limitMib": 1024}}}, "limitMib would have no effect on eks"),
        ({"program": "bench", "clusters": {"functions": EC2}}, "cannot be named 'functions'"),
        ({"program": "bench", "compare": ["ray"]}, "compare names 'ray'"),
        ({"program": "bench", "compare": ["functions"]}, "declares none"),
        ({"program": "bench", "cache": {"platform": "ec2"}}, "needs instanceType"),
        (
            {
                "program": "bench",
                "kubernetes": {"version": "1.35", "instanceType": "m6i.large", "nodes": 2, "minNodes": 1},
            },
            "belong together",
        ),
        (
            {
                "program": "bench",
                "kubernetes": {
                    "version": "1.35",
                    "instanceType": "m6i.large",
                    "nodes": 9,
                    "minNodes": 1,
                    "maxNodes": 3,
                },
            },
            "nodes 9 is not between",
        ),
        (
            {"program": "bench", "clusters": {"a": {**EC2, "autoscale": {"minWorkers": 5, "maxWorkers": 4}}}},
            "minWorkers 5 is above maxWorkers 4",
        ),
        ({"program": "bensch"}, "program"),
        ({}, "program"),
        (None, "found nothing, wanted a mapping"),
        ([1], "found [1], wanted a mapping"),
        ("embedded", "found 'embedded', wanted a mapping"),
        ({"program": "bench", "stack": "x"}, "the file's name is the stack's name"),
        ({"program": "bench", "driver": None}, "driver: found nothing"),
        ({"program": "bench", "compare": [None]}, "compare.0: found nothing"),
        ({"program": "bench", "clusters": []}, "clusters: found [], wanted a mapping"),
        ({"program": "bench", "ttl_h": 4}, "ttl_h: unknown key"),
        # Strict types: what the engine hands over as JSON is judged as what a file holds.
        ({"program": "bench", "clusters": {"a": {**EC2, "nodes": True}}}, "valid integer (found True)"),
        ({"program": "bench", "clusters": {"a": {**EC2, "nodes": "2"}}}, "valid integer (found '2')"),
        ({"program": "bench", "clusters": {"a": {**EC2, "nodes": 2.0}}}, "valid integer (found 2.0)"),
        ({"program": "bench", "clusters": {"a": {**EC2, "nodes": 10**30}}}, "less than or equal to 1000"),
        ({"program": "bench", "clusters": {"a": {**EC2, "instanceType": 5}}}, "valid string (found 5)"),
        ({"program": "bench", "ttlH": True}, "valid number (found True)"),
        ({"program": "bench", "ttlH": float("inf")}, "finite number (found inf)"),
        ({"program": "bench", "budgetUsd": float("nan")}, "finite number (found nan)"),
        ({"program": "bench", "budgetUsd": "60"}, "valid number (found '60')"),
        ({"program": "bench", "equalLimits": "true"}, "valid boolean (found 'true')"),
        ({"program": "bench", "kubernetes": {"version": 1.35, "instanceType": "m6i.large", "nodes": 1}}, "found 1.35"),
        ({"program": "bench", "worker": {"memoryMib": 1024, "reason": " "}}, "reason is empty"),
        # Keys without effect on their platform.
        ({"program": "bench", "clusters": {"a": {**EC2, "workers": 3}}}, "workers would have no effect on ec2"),
        ({"program": "bench", "clusters": {"a": {**EKS, "nodes": 3}}}, "nodes would have no effect on eks"),
        ({"program": "bench", "clusters": {"a": {**EKS, "instanceType": "m6i.large"}}}, "instanceType would have no"),
        ({"program": "bench", "clusters": {"a": {**LOCAL, "instanceType": "m6i.large"}}}, "no effect on local"),
        ({"program": "bench", "functions": {**POOL, "architecture": "x86_64"}}, "architecture would have no effect"),
        ({"program": "bench", "functions": {**POOL, "inVpc": False}}, "inVpc would have no effect on local"),
        ({"program": "bench", "cache": {"platform": "local", "instanceType": "m6i.large"}}, "no effect on local"),
        # Names that AWS, Kubernetes or a part of the stack could not bear.
        *(({"program": "bench", "clusters": {name: EC2}}, "a cluster's name") for name in BAD_NAMES),
        ({"program": "bench", "clusters": {"cache": EC2}}, "cannot be named 'cache'"),
        ({"program": "bench", "clusters": {"ray": EC2, "ray-2": EC2}}, "'ray-2' begins with 'ray'"),
        ({"program": "bench", "base": "../base"}, "the base stack's name"),
        ({"program": "bench", "clusters": {"a": EC2}, "compare": ["a", "a"]}, "compare names 'a' twice"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(document: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)) as refused:
        parse(document, "t")
    assert "Pulumi.t.yaml, breakeven:settings" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_misspelt_stack_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'bench-32'"):
        load("bench-23", ROOT)


def test_a_misspelt_key_of_a_persons_is_refused_by_file_and_key(tmp_path: Path) -> None:
    text = (ROOT / "Pulumi.bench-32.yaml").read_text()
    (tmp_path / "Pulumi.x.yaml").write_text(text + "  breakeven:vcpuQuotas: 64\n")
    with pytest.raises(SettingsError, match=r"Pulumi.x.yaml, breakeven:vcpuQuotas: .* 'breakeven:vcpuQuota'"):
        load("x", tmp_path)
