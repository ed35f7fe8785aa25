"""Stacks on EKS under a real engine: AWS's half against a server on loopback, the cluster's half by its provider."""

import json
import shutil
from typing import Any, NamedTuple

import boto3
import pytest
import yaml

from infra.kubernetes.order import LAYERS, layer
from ops.left import left
from tests.engine.conftest import Engine

SCALER = "kubernetes:kubernetes.dask.org/v1:DaskAutoscaler"


@pytest.fixture(scope="module")
def eks(described_base: Engine) -> Engine:
    """The engine with a provider for Kubernetes."""
    if not has_kubernetes(described_base):
        pytest.skip("no plugin `kubernetes`, neither installed nor as pulumi-resource-kubernetes on PATH")
    return described_base


@pytest.mark.engine
def test_preview(eks: Engine) -> None:
    """The AWS half is planned with every value known; the cluster's, whose address is not, as far as it can be."""
    planned = eks.preview("k8s-50")
    assert set(planned) == {"create"}
    tokens = {name.split("::")[0].split("$")[-1] for name in planned["create"]}
    wanted = {token.partition("#")[0] for _, tokens in LAYERS for token in tokens} - {SCALER}
    assert wanted <= tokens


@pytest.mark.slow_engine
@pytest.mark.parametrize("stack", ["k8s-50", "k8s-autoscale"])
def test_up_preview_change_destroy(eks: Engine, stack: str, cloud: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made and unmade in the order of `infra.kubernetes.order`, at the first try; nothing left, no change between."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud)
    eks.init(stack)
    made = _events(eks, "up", stack)
    _assert_upwards(made)
    assert eks.preview(stack) == {}

    path = eks.project / f"Pulumi.{stack}.yaml"
    document = yaml.safe_load(path.read_text())
    for cluster in document["config"]["breakeven:settings"]["clusters"].values():
        cluster["workers"] = 40
        if "autoscale" in cluster:
            cluster["autoscale"]["maxWorkers"] = 40
    path.write_text(yaml.safe_dump(document))
    changed = {did.kind for did in _events(eks, "up", stack)}
    scaled = {"kubernetes:ray.io/v1:RayCluster"} | ({SCALER} if stack == "k8s-autoscale" else set())
    assert changed == scaled

    ended = _events(eks, "destroy", stack)
    assert {did.kind for did in ended} >= {did.kind for did in made}
    _assert_upwards([did._replace(begun=-did.ended, ended=-did.begun) for did in ended])
    assert left(boto3.Session("test", "test", region_name="us-east-1"), stack) == []


class Did(NamedTuple):
    """What the engine did to one resource, and the places of its start and its end in the engine's own event log."""

    kind: str
    name: str
    begun: int
    ended: int


def _events(engine: Engine, verb: str, stack: str) -> list[Did]:
    """What an operation did. Components, which do nothing themselves, and what stayed the same are left out."""
    log = engine.project / f"{stack}-{verb}.log"
    log.unlink(missing_ok=True)
    engine.run(verb, "-s", stack, "--yes", "--skip-preview", "--event-log", str(log), PULUMI_DEBUG_COMMANDS="true")
    begun: dict[str, int] = {}
    found: list[Did] = []
    for place, line in enumerate(log.read_text().splitlines()):
        event: dict[str, Any] = json.loads(line)
        data = (event.get("resourcePreEvent") or event.get("resOutputsEvent") or {}).get("metadata")
        if data is None or data["op"] == "same" or data["type"].startswith(("breakeven:", "pulumi:")):
            continue
        if "resourcePreEvent" in event:
            begun[data["urn"]] = place
        else:
            found.append(Did(data["type"], data["urn"].rpartition("::")[2], begun[data["urn"]], place))
    return found


def _assert_upwards(done: list[Did]) -> None:
    """Nothing of a layer begins before everything under it has ended."""
    placed = [(height, did) for did in done if (height := layer(did.kind, did.name)) is not None]
    assert {height for height, _ in placed} == set(range(len(LAYERS)))
    for height, did in placed:
        for under, other in placed:
            assert under >= height or other.ended < did.begun, f"{did.name} begins before {other.name} has ended"


def has_kubernetes(engine: Engine) -> bool:
    """Whether the engine finds a provider for Kubernetes."""
    if shutil.which("pulumi-resource-kubernetes"):
        return True
    listed = engine.run("plugin", "ls", "--json", check=False)
    return '"kubernetes"' in listed
