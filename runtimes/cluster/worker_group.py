"""The autoscaling group of a cluster's workers, moved by the engine's own autoscaler on the head.

The engine decides how many nodes and which of them go; the group makes and ends them, so that whatever an autoscaler
started is known to the stack and gone with it.
"""

import os
import re
import time
from typing import Any

import boto3
from botocore.config import Config

APPEAR_DEADLINE_S = 60


class WorkerGroup:
    """At most `maximum` instances. Calls AWS with the head's role, which may move this group and no other."""

    def __init__(self, name: str, maximum: int) -> None:
        patient = Config(retries={"mode": "standard", "max_attempts": 8})
        self.name, self.maximum = name, maximum
        self.scaling = boto3.client("autoscaling", config=patient)
        self.ec2 = boto3.client("ec2", config=patient)

    @classmethod
    def of_this_host(cls) -> "WorkerGroup":
        """The group that the boot settings name."""
        return cls(os.environ["BREAKEVEN_WORKERS_GROUP"], int(os.environ["BREAKEVEN_MAX_NODES"]))

    def instances(self) -> dict[str, str]:
        """Instance id to private address of every member that is coming or there, those that are leaving left out."""
        members = [
            item["InstanceId"]
            for item in self._described()["Instances"]
            if item["LifecycleState"].startswith(("Pending", "InService"))
        ]
        if not members:
            return {}
        reservations = self.ec2.describe_instances(InstanceIds=members)["Reservations"]
        found = [instance for reservation in reservations for instance in reservation["Instances"]]
        return {instance["InstanceId"]: instance.get("PrivateIpAddress", "") for instance in found}

    def grow_to(self, nodes: int) -> None:
        """Ask for so many nodes, at most `maximum`, and return when the group lists them (not yet booted), so that an
        autoscaler that counts again does not ask twice. Never shrinks. Raises TimeoutError."""
        wanted = min(nodes, self.maximum)
        if wanted <= self._described()["DesiredCapacity"]:
            return
        self.scaling.set_desired_capacity(AutoScalingGroupName=self.name, DesiredCapacity=wanted, HonorCooldown=False)
        deadline = time.monotonic() + APPEAR_DEADLINE_S
        while len(found := self.instances()) < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"group {self.name}: found {len(found)} instances {APPEAR_DEADLINE_S} s after asking for {wanted}; "
                    "its activity history says why (capacity or quota, most often)"
                )
            time.sleep(1)

    def end(self, instance: str) -> None:
        """End this very instance and make the group smaller by it, so that it is not replaced."""
        try:
            self.scaling.terminate_instance_in_auto_scaling_group(
                InstanceId=instance, ShouldDecrementDesiredCapacity=True
            )
        except self.scaling.exceptions.ClientError as error:
            # It left by itself: its engine had ended before.
            if instance in self.instances():
                raise error

    def _described(self) -> dict[str, Any]:
        answer = self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
        return dict(answer["AutoScalingGroups"][0])


def node_of(worker: str) -> str:
    """The instance in a Dask worker's name: `dask worker --name i-1 --nworkers 2` names them i-1-0 and i-1-1."""
    found = re.fullmatch(r"(i-[0-9a-z]+)(-\d+)?", str(worker))
    return found[1] if found else str(worker)
