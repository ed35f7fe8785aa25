"""A node provider for Ray's own autoscaler, over the group of the workers.

python ray_group_provider.py ADDRESS      the autoscaler's configuration, for `ray start --autoscaling-config`
"""

import json
import os
import sys
import threading
from typing import Any

from ray.autoscaler.node_provider import NodeProvider
from ray.autoscaler.tags import (
    NODE_KIND_HEAD,
    NODE_KIND_WORKER,
    STATUS_UP_TO_DATE,
    TAG_RAY_NODE_KIND,
    TAG_RAY_NODE_STATUS,
    TAG_RAY_USER_NODE_TYPE,
)
from worker_group import WorkerGroup

HEAD = "head"


class GroupProvider(NodeProvider):  # type: ignore[misc]
    """Nodes are the group's instances and the head. They start Ray by their boot script, so the autoscaler's own
    updaters (SSH) are off; it chooses which node goes."""

    def __init__(self, provider_config: dict[str, Any], cluster_name: str) -> None:
        super().__init__(provider_config, cluster_name)
        self.group = WorkerGroup.of_this_host()
        self.lock = threading.RLock()  # the autoscaler's launcher threads call in parallel
        self.addresses: dict[str, str] = {}
        self.given_tags: dict[str, dict[str, str]] = {}

    def non_terminated_nodes(self, tag_filters: dict[str, str]) -> list[str]:
        """Ids of the nodes that bear all these tags."""
        with self.lock:
            self.addresses = {HEAD: self.provider_config["head_address"], **self.group.instances()}
            return [node for node in self.addresses if tag_filters.items() <= self.node_tags(node).items()]

    def is_running(self, node_id: str) -> bool:
        """Whether the group listed it last time."""
        return node_id in self.addresses

    def is_terminated(self, node_id: str) -> bool:
        """Whether it is no longer listed."""
        return not self.is_running(node_id)

    def node_tags(self, node_id: str) -> dict[str, str]:
        """Ray's tags: kind and type are the group's, so that they need no call to AWS."""
        kind = NODE_KIND_HEAD if node_id == HEAD else NODE_KIND_WORKER
        own = {TAG_RAY_NODE_KIND: kind, TAG_RAY_USER_NODE_TYPE: kind, TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE}
        return {**self.given_tags.get(node_id, {}), **own}

    def set_node_tags(self, node_id: str, tags: dict[str, str]) -> None:
        """Kept in memory: only this autoscaler reads them."""
        self.given_tags.setdefault(node_id, {}).update(tags)

    def internal_ip(self, node_id: str) -> str:
        """Private address, by which Ray's load report knows a node."""
        return self.addresses[node_id]

    def external_ip(self, node_id: str) -> str:
        """The private one: nothing comes in from outside."""
        return self.internal_ip(node_id)

    def create_node(self, node_config: dict[str, Any], tags: dict[str, str], count: int) -> None:
        """Grow the group by `count`; returns when it lists them."""
        with self.lock:
            self.group.grow_to(len(self.group.instances()) + count)

    def terminate_node(self, node_id: str) -> None:
        """End this instance; the head is not ours to end."""
        if node_id != HEAD:
            with self.lock:
                self.group.end(node_id)
                self.addresses.pop(node_id, None)

    @staticmethod
    def bootstrap_config(cluster_config: dict[str, Any]) -> dict[str, Any]:
        """Nothing to prepare: the stack has declared the group."""
        return cluster_config


def configuration(address: str, environment: dict[str, str]) -> dict[str, Any]:
    """The autoscaler's configuration for the head at `address`, from the boot settings."""
    slots, vcpu = int(environment["BREAKEVEN_SLOTS"]), int(environment["BREAKEVEN_VCPU_PER_SLOT"])
    memory = slots * int(environment["BREAKEVEN_LIMIT_MIB"]) * 2**20
    least, most = int(environment["BREAKEVEN_MIN_NODES"]), int(environment["BREAKEVEN_MAX_NODES"])
    worker = {"CPU": slots * vcpu, "memory": memory}
    return {
        "cluster_name": environment["BREAKEVEN_WORKERS_GROUP"],
        "max_workers": most,
        # Ask for all that is wanted at once, as the compared engines do; the default doubles step by step.
        "upscaling_speed": most,
        "idle_timeout_minutes": float(environment["BREAKEVEN_IDLE_S"]) / 60,
        "provider": {
            "type": "external",
            "module": "ray_group_provider.GroupProvider",
            "head_address": address,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "auth": {},
        "head_node_type": NODE_KIND_HEAD,
        "available_node_types": {
            NODE_KIND_HEAD: {"resources": {"CPU": 0}, "node_config": {}, "min_workers": 0, "max_workers": 0},
            NODE_KIND_WORKER: {"resources": worker, "node_config": {}, "min_workers": least, "max_workers": most},
        },
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
        **{
            f"{part}_commands": []
            for part in ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
        },
    }


if __name__ == "__main__":
    json.dump(configuration(sys.argv[1], dict(os.environ)), sys.stdout)
