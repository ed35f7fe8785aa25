"""Settings are parsed once, strictly."""

import re
from pathlib import Path
from typing import Any

import pytest

from plan.settings import SettingsError, load, parse

ROOT = Path(__file__).parents[2]
EC2 = {"engine": "ray", "platform": "ec2", "instanceType": "m6i.large", "nodes": 2}
EKS = {"engine": "ray", "platform": "eks", "workers": 2}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"program": "bench", "buget": 3}, "nearest known key is 'budgetUsd'"),
        ({"program": "bench", "clusters": {"a": {**EC2, "instancetype": "x"}}}, "nearest known key is 'instanceType'"),
        ({"program": "bench", "worker": {"memoryMib": 1024}}, "needs `reason`"),
        ({"program": "bench", "clusters": {"a": {"engine": "ray", "platform": "ec2"}}}, "needs instanceType and nodes"),
        ({"program": "bench", "clusters": {"a": EKS}}, "declares no `kubernetes`"),
        ({"program": "bench", "clusters": {"a": {**EKS, "limitMib": 1024}}}, "limitMib is for local and ec2"),
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
    ],
)
def test_what_cannot_be_used_is_refused_by_name(document: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)) as refused:
        parse(document, "t")
    assert "'t'" in str(refused.value)


def test_a_misspelt_stack_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'bench-32'"):
        load("bench-23", ROOT)
