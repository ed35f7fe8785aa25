"""Runs one Ray node in the foreground, as `ray start --block` does, on loopback and with less around it.

Run by path with the workers' interpreter; imports Ray only. The command itself (ray 2.60, scripts.start) refuses
loopback for a worker node. Here the address is 127.0.0.1; no API server, log monitor, autoscaler monitor or client
server is started, and the node's agent is the one of an installation without dashboard. Python packages shipped with
a job (runtime_env) work: another agent does them.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from ray._private import services, utils
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._private.resource_isolation_config import ResourceIsolationConfig
from ray._raylet import GcsClient  # type: ignore[attr-defined]

MIB = 2**20
IDLE_MS = 3_600_000


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--head", action="store_true")
    options.add_argument("--gcs-port", type=int)
    options.add_argument("--address")
    options.add_argument("--slots", type=int, default=0)
    options.add_argument("--node-id", type=int, default=0, help="by which an autoscaler knows it; the head's is 0")
    options.add_argument("--memory-mib", type=int)
    options.add_argument("--object-store-mib", type=int, required=True)
    options.add_argument("--temp-dir", required=True)
    options.add_argument("--ready-file", type=Path, required=True)
    given = options.parse_args()

    # Seconds of imports per node that nothing here uses: see the module's text.
    services.start_api_server = lambda *args, **kwargs: (None, None)
    utils.get_dashboard_dependency_error = lambda: ImportError("no dashboard on this node")

    started = time.monotonic()
    params = RayParams(
        node_ip_address="127.0.0.1",
        gcs_address=given.address,
        gcs_server_port=given.gcs_port if given.head else None,
        num_cpus=given.slots,
        resources={"NODE_ID_AS_RESOURCE": given.node_id},
        memory=given.memory_mib * MIB if given.memory_mib else None,
        object_store_memory=given.object_store_mib * MIB,
        temp_dir=given.temp_dir,
        # A warm worker outlives the turns of other engines; by default Ray ends one after a second without work.
        _system_config={"idle_worker_killing_time_threshold_ms": IDLE_MS} if given.head else None,
        include_dashboard=False,
        include_log_monitor=False,  # annotated as text, used as a truth value
        no_monitor=True,
        resource_isolation_config=ResourceIsolationConfig(enable_resource_isolation=False),
    )
    # Returns when the node is registered in the control store, so that what follows is a second, independent look.
    node = Node(params, head=given.head, shutdown_at_exit=True, spawn_reaper=True)
    client = GcsClient(address=node.gcs_address)
    known = {key.hex() for key in client.get_all_node_info(timeout=10)}
    if node.node_id not in known:
        sys.exit(f"node {node.node_id} is not in the control store at {node.gcs_address}, which holds {sorted(known)}")

    told = {"node_id": node.node_id, "engine_startup_s": round(time.monotonic() - started, 2)}
    partial = given.ready_file.with_suffix(".partial")
    partial.write_text(json.dumps(told))
    os.replace(partial, given.ready_file)

    while not (dead := node.dead_processes()):
        time.sleep(0.5)
    sys.exit(f"ended with: {[(kind, process.returncode) for kind, process in dead]}; logs below {given.temp_dir}")


if __name__ == "__main__":
    main()
