"""The nodes of a stack's cluster, moved through the handle that the stack exports: what a session's `scale` calls."""

import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import boto3

from bench.aws.vm_cluster import PATIENT
from bench.leash import Leashed
from bench.sessions.session import Cancelled, Scaler, ScalingCancelled, SessionError, never
from plan.outputs import ClusterOutputs, Outputs

DEADLINE_S = 900.0
_LOOK_S = 0.5


def of(outputs: Outputs, engine: str) -> Scaler | None:
    """The scaler of the stack's first cluster of an engine; None where this driver has no hold of it."""
    for name, cluster in outputs.clusters.items():
        if cluster.engine == engine and cluster.platform == "local":
            return partial(_local, outputs.stack, name)
        if cluster.engine == engine and cluster.platform == "ec2":
            return partial(_group, outputs, cluster)
    return None


def _local(stack: str, cluster: str, nodes: int, slots: int | None, cancelled: Cancelled = never) -> None:
    """The embedded stack's own command, as a user would give it. It ends with this process; ended early, it ends the
    nodes that it was starting."""
    command = [sys.executable, "-m", "stacks.embedded", "scale", "--stack", stack]
    command += ["--cluster", cluster, "--nodes", str(nodes), *(["--slots", str(slots)] if slots else [])]
    root = Path(__file__).resolve().parents[1]
    process = Leashed(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    until, said = time.monotonic() + DEADLINE_S, None
    try:
        while said is None:
            with suppress(subprocess.TimeoutExpired):
                said, _ = process.communicate(timeout=_LOOK_S)
            if said is None and cancelled():
                raise ScalingCancelled(f"{cluster}: on its way to {nodes} nodes")
            if said is None and time.monotonic() > until:
                raise SessionError(f"{cluster}: not at {nodes} nodes after {DEADLINE_S:.0f} s")
    finally:
        process.end()
    if process.returncode != 0:
        raise SessionError(f"{cluster}: not at {nodes} nodes: {said.strip()[-800:]}")


def _group(
    outputs: Outputs, cluster: ClusterOutputs, nodes: int, slots: int | None, cancelled: Cancelled = never
) -> None:
    """The autoscaling group: asked, and waited for until it lists as many instances in service."""
    if slots not in (None, cluster.slots_per_node):
        raise SessionError(f"{cluster.group}: a node has {cluster.slots_per_node} slots by its type: use another stack")
    scaling = boto3.client("autoscaling", region_name=outputs.region, config=PATIENT)
    scaling.set_desired_capacity(AutoScalingGroupName=cluster.group, DesiredCapacity=nodes, HonorCooldown=False)
    until = time.monotonic() + DEADLINE_S
    while (there := _in_service(scaling, str(cluster.group))) != nodes:
        if cancelled():
            raise ScalingCancelled(f"{cluster.group}: on its way to {nodes} nodes")
        if time.monotonic() > until:
            raise SessionError(f"{cluster.group}: found {there} nodes {DEADLINE_S:.0f} s after asking for {nodes}")
        time.sleep(2)


def _in_service(scaling: Any, group: str) -> int:
    described = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"][0]
    states = [instance["LifecycleState"] for instance in described["Instances"]]
    return states.count("InService") if all(state == "InService" for state in states) else -1
