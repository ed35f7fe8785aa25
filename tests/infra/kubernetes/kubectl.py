"""Objects put on a real API server and taken off again, and the nodes that kwok plays there."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from catalog.eks import allocatable
from catalog.instances import instance
from plan.settings import load

ROOT = Path(__file__).parents[3]


def simulated_nodes(stack: str) -> list[dict[str, Any]]:
    """The stack's nodes with what EKS leaves of them, for kwok to play."""
    settings = load(stack, ROOT)
    assert settings.kubernetes is not None
    offered = allocatable(instance(settings.kubernetes.instance_type))
    size = {"cpu": f"{offered.cpu_m}m", "memory": f"{offered.memory_mib}Mi", "pods": str(offered.pods)}
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": f"test-{number}",
                "labels": {"kubernetes.io/hostname": f"test-{number}"},
                "annotations": {"kwok.x-k8s.io/node": "fake"},
            },
            "status": {"allocatable": size, "capacity": size},
        }
        for number in range(settings.kubernetes.nodes)
    ]


def gone(kubectl: list[str], space: str, *, wait: bool = False) -> None:
    """Delete a namespace; with `wait`, until nothing is left of it."""
    options = ["--ignore-not-found", f"--wait={str(wait).lower()}", "--timeout=110s"]  # Dask's operator may rest for 60
    run([*kubectl, "delete", "namespace", space, *options])


def run(command: list[str]) -> str:
    """What it prints. Its failure is the test's."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def apply(kubectl: list[str], bodies: Iterable[dict[str, Any]], *options: str) -> "subprocess.CompletedProcess[str]":
    """On the server, unknown fields refused."""
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(bodies)})
    command = [*kubectl, "apply", "--server-side", "--validate=strict", "-f", "-", *options]
    return subprocess.run(command, input=document, capture_output=True, text=True, check=False, timeout=120)
