"""The longest names that a stack and its clusters may have still make names that AWS and Kubernetes take."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from plan.settings import CONFIG_KEY, parse
from plan.stack_file import LONGEST_CLUSTER, LONGEST_STACK
from tests.stacks.conftest import Ran

ROOT = Path(__file__).parents[2]
BY_PULUMI = len("-1234567")
"""What Pulumi adds to a logical name where the program gives no name of its own."""

# Characters that a service allows: AWS's API references; DNS labels in Kubernetes, RayCluster by KubeRay's check.
LONGEST = {
    "aws:iam/role:Role": 64,
    "aws:iam/instanceProfile:InstanceProfile": 128,
    "aws:lambda/function:Function": 64,
    "aws:scheduler/schedule:Schedule": 64,
    "aws:s3/bucket:Bucket": 63,
    "aws:eks/cluster:Cluster": 100,
    "aws:eks/nodeGroup:NodeGroup": 63,
    "aws:ecr/repository:Repository": 256,
    "kubernetes:core/v1:Namespace": 63,
    "kubernetes:ray.io/v1:RayCluster": 53,
    "kubernetes:kubernetes.dask.org/v1:DaskCluster": 63 - len("-default-worker-1234567890"),
}


def longest_names(stack: str) -> Any:
    """A stack file's settings with each cluster's name as long as may be."""
    document = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"][CONFIG_KEY]
    names = {old: f"{old[0]}{'x' * (LONGEST_CLUSTER - 1)}" for old in document.get("clusters", {})}
    if names:
        document["clusters"] = {names[old]: cluster for old, cluster in document["clusters"].items()}
        document["compare"] = [names.get(name, name) for name in document["compare"]]
    return parse(document, "s" * LONGEST_STACK)


@pytest.mark.parametrize("stack", ["base", "bench-32", "k8s-32"])
def test_the_longest_names_fit(stack: str, run: Callable[..., Ran]) -> None:
    over = []
    for (token, logical), inputs in run(longest_names(stack)).resources.items():
        given = inputs.get("name") or inputs.get("namePrefix") or (inputs.get("metadata") or {}).get("name")
        length = len(given) if isinstance(given, str) else len(logical) + BY_PULUMI
        if length > LONGEST.get(token, 255):
            over.append(f"{token} {given or logical}: {length}")
    assert over == []
