"""AWS stacks under a real engine: previews, and one small stack made and destroyed."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from ops.left import left
from tests.engine.conftest import ROOT, Engine

pytestmark = pytest.mark.engine

# The smallest stack that has every kind of part but hosts, which take the provider 10 s to make and to end.
SMALL = {
    "program": "bench",
    "base": "base",
    "clusters": {"dask": {"engine": "dask", "platform": "ec2", "instanceType": "m6i.large", "nodes": 2}},
    "ttlH": 1,
    "budgetUsd": 5,
}


STACKS = sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in ROOT.glob("Pulumi.*.yaml"))
PLUGIN = {"k8s": "kubernetes", "dev": "pulumi-python"}  # what stacks of that name need besides


def _runnable(stack: str) -> bool:
    plugin = PLUGIN.get(stack.split("-", maxsplit=1)[0])
    return plugin is None or shutil.which(f"pulumi-resource-{plugin}") is not None


@pytest.fixture(scope="module")
def previews(described_base: Engine) -> dict[str, Any]:
    """Every stack file's preview: operation to number of resources. A process for each core takes its share."""
    script, project = Path(__file__).with_name("previews.py"), described_base.project
    cores = os.cpu_count() or 1
    shares = [[stack for stack in STACKS if _runnable(stack)][first::cores] for first in range(cores)]

    def run(share: list[str]) -> list[dict[str, Any]]:
        command = [sys.executable, str(script), str(project), *share]
        environment = {**described_base.environment, "BREAKEVEN_ROOT": str(project)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"stack"')]

    with ThreadPoolExecutor() as at_once:
        found = [preview for share in at_once.map(run, filter(None, shares)) for preview in share]
    described_base.made += [preview["stack"] for preview in found if preview["stack"] not in described_base.made]
    return {preview["stack"]: preview["found"] for preview in found}


@pytest.mark.parametrize("stack", STACKS)
def test_preview(previews: dict[str, Any], stack: str) -> None:
    """The providers accept every argument of every stack file, and would only make."""
    if not _runnable(stack):
        pytest.skip(f"no pulumi-resource-{PLUGIN[stack.split('-', maxsplit=1)[0]]} on PATH")
    found = previews[stack]
    assert isinstance(found, dict), found[-3000:]
    assert set(found) <= {"create", "read", "same"}  # `same`: the outputs that stand for a base stack
    assert found["create"] >= (5 if stack.startswith("dev") else 30)


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
