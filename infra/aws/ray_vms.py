"""Ray on EC2."""

import pulumi

from infra.aws.cluster_vms import ClusterVms, ClusterVmsArgs
from infra.aws.kept_secret import ray_token

BOOT = {"head": "boot-ray-head.sh", "workers": "boot-ray-worker.sh"}


class RayVms(ClusterVms):
    """A Ray cluster as two groups at zero: one head (GCS, no slots) and the workers.

    Why so: Ray's job and client ports run code for whoever reaches them, so every process needs the token that is
    made here, and only the driver's security group has a way in. Costs nothing at zero; then the nodes' prices.
    """

    def __init__(self, name: str, args: ClusterVmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:RayVms", name, args, ray_token, BOOT, opts)
