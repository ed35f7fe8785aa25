"""Nodes for Ray's own autoscaler on one machine, by its documented extension point (`provider: {type: external}`).

A node is a part of the stack, started and ended by the supervisor. What the autoscaler waits for is published in the
cluster's key-value store under `STATUS_KEY`, so that a session can see nodes that are starting or leaving.
"""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
from ray.experimental.internal_kv import _internal_kv_put

from local.parts import RayNode
from local.scaling import end_lost, nodes_of, numbered
from local.supervisor import start, stop

STATUS_KEY = "breakeven:nodes"
HEAD = "0"
logger = logging.getLogger(__name__)


class LocalNodes(NodeProvider):  # type: ignore[misc]
    """The nodes of one local cluster. A node's id is its number plus one, the head's is 0, as `RayNode.node_id`."""

    def __init__(self, provider_config: dict[str, Any], cluster_name: str) -> None:
        super().__init__(provider_config, cluster_name)
        self.state_dir: str = provider_config["state_dir"]
        self.like = RayNode(**provider_config["like"])
        self.lock = threading.RLock()  # launcher threads of the autoscaler call in parallel
        self.starting: set[str] = set()
        self.leaving: set[str] = set()

    def non_terminated_nodes(self, tag_filters: dict[str, str]) -> list[str]:
        """Ids of the nodes that bear these tags. A node whose process is gone is ended here, so that it is replaced."""
        with self.lock:
            moving = self.starting | self.leaving
            for name in end_lost(self.cluster_name, self.state_dir, moving):
                logger.warning("%s is gone: others do its work", name)
            found = [node for node in nodes_of(self.cluster_name, self.state_dir) if node.name not in moving]
            ids = [HEAD, *(str(node.node_id) for node in found if isinstance(node, RayNode))]
        return [node for node in ids if tag_filters.items() <= self.node_tags(node).items()]

    def is_running(self, node_id: str) -> bool:
        """Whether it is there: nodes that are starting are not listed yet, the autoscaler counts them as launching."""
        return node_id in self.non_terminated_nodes({})

    def is_terminated(self, node_id: str) -> bool:
        """Whether it is not."""
        return not self.is_running(node_id)

    def node_tags(self, node_id: str) -> dict[str, str]:
        """Ray's tags, which follow from the id alone."""
        kind = NODE_KIND_HEAD if node_id == HEAD else NODE_KIND_WORKER
        return {TAG_RAY_NODE_KIND: kind, TAG_RAY_USER_NODE_TYPE: kind, TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE}

    def set_node_tags(self, node_id: str, tags: dict[str, str]) -> None:
        """Nothing reads others than `node_tags`."""

    def internal_ip(self, node_id: str) -> str:
        """The id, by which Ray's load report knows the node (`use_node_id_as_ip`)."""
        return node_id

    def external_ip(self, node_id: str) -> str:
        """The same."""
        return node_id

    def create_node(self, node_config: dict[str, Any], tags: dict[str, str], count: int) -> None:
        """Start `count` nodes at the same time and return when they have joined or failed; a failed one is logged."""
        with self.lock:
            nodes = numbered(self.like, count, self.state_dir, taken=self.starting)
            names = {node.name for node in nodes}
            self.starting |= names
        self._publish()
        threads = [threading.Thread(target=self._start, args=(node,)) for node in nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def terminate_node(self, node_id: str) -> None:
        """End one node, which the autoscaler has drained before."""
        self.terminate_nodes([node_id])

    def terminate_nodes(self, node_ids: list[str]) -> None:
        """End these nodes at the same time; the head is not ours to end."""
        nodes = nodes_of(self.cluster_name, self.state_dir)
        names = [node.name for node in nodes if isinstance(node, RayNode) and str(node.node_id) in node_ids]
        with self._shown(self.leaving, names):
            threads = [threading.Thread(target=stop, args=(name, self.state_dir)) for name in names]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def _start(self, node: RayNode) -> None:
        try:
            start(node, self.state_dir)
        except Exception:
            logger.exception("%s did not start", node.name)
        finally:
            with self.lock:
                self.starting.discard(node.name)
            self._publish()

    @contextmanager
    def _shown(self, where: set[str], names: list[str]) -> Iterator[None]:
        with self.lock:
            where |= set(names)
        self._publish()
        try:
            yield
        finally:
            with self.lock:
                where -= set(names)
            self._publish()

    def _publish(self) -> None:
        with self.lock:
            told = {"starting": len(self.starting), "leaving": len(self.leaving)}
        try:
            _internal_kv_put(STATUS_KEY, json.dumps(told), overwrite=True)
        except Exception:  # only what a session sees; scaling goes on
            logger.exception("could not tell %s", told)

    @staticmethod
    def bootstrap_config(cluster_config: dict[str, Any]) -> dict[str, Any]:
        """Nothing to prepare."""
        return cluster_config
