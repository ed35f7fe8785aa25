"""Runs Ray's own autoscaler for a local cluster, in the foreground: its monitor, over nodes that the supervisor starts.

Run by path with the supervisor's interpreter, since nodes are parts of the stack like all others: `down` and `status`
know them. The monitor (ray 2.60, autoscaler/_private/monitor.py) is what `ray start --head` runs beside the head.
"""

import argparse
import dataclasses
import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

from ray.autoscaler._private.monitor import Monitor

from local.parts import RayNode
from local.scaling import await_nodes


def configuration(like: RayNode, state_dir: str, least: int, most: int, idle_s: float) -> dict[str, Any]:
    """The autoscaler's configuration, between `least` and `most` nodes like the one given."""
    slots = {"CPU": like.slots, "memory": like.slots * like.memory_mib * 2**20}
    return {
        "cluster_name": like.head,
        "max_workers": most,
        # All that is wanted at once, as the compared engines do; the default doubles step by step.
        "upscaling_speed": most,
        "idle_timeout_minutes": idle_s / 60,
        "provider": {
            "type": "external",
            "module": "local.ray_provider.LocalNodes",
            "state_dir": state_dir,
            "like": dataclasses.asdict(like),
            "use_node_id_as_ip": True,  # all nodes have one address; they announce their number as a resource instead
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "auth": {},
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": {"CPU": 0}, "node_config": {}, "min_workers": 0, "max_workers": 0},
            "worker": {"resources": slots, "node_config": {}, "min_workers": least, "max_workers": most},
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


class _Told(Monitor):  # type: ignore[misc]
    """The monitor, which says that it is ready once it has its autoscaler."""

    ready_file: Path

    def _initialize_autoscaler(self) -> None:
        super()._initialize_autoscaler()
        partial = self.ready_file.with_suffix(".partial")
        partial.write_text(json.dumps({"autoscaler": "ray"}))
        os.replace(partial, self.ready_file)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--address", required=True)
    options.add_argument("--state-dir", required=True)
    options.add_argument("--like", required=True, help="a node as JSON")
    options.add_argument("--min-nodes", type=int, required=True)
    options.add_argument("--max-nodes", type=int, required=True)
    options.add_argument("--idle-s", type=float, required=True)
    options.add_argument("--ready-file", type=Path, required=True)
    given = options.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for chatty in ("autoscaler", "load_metrics"):  # several lines each second
        logging.getLogger(f"ray.autoscaler._private.{chatty}").setLevel(logging.WARNING)
    like = RayNode(**json.loads(given.like))
    await_nodes(like.head, given.min_nodes, given.state_dir)
    config = configuration(like, given.state_dir, given.min_nodes, given.max_nodes, given.idle_s)
    monitor = _Told(given.address, lambda: config)
    monitor.ready_file = given.ready_file
    # On a signal the monitor would report a failure to every driver, which takes seconds; the supervisor means an end.
    monitor._signal_handler = lambda number, frame: os._exit(0)
    signal.signal(signal.SIGTERM, monitor._signal_handler)
    monitor.run()


if __name__ == "__main__":
    main()
