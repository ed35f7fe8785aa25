"""Dask on EC2."""

import pulumi

from infra.aws.cluster_vms import ClusterVms, ClusterVmsArgs
from infra.aws.kept_secret import dask_certificate

BOOT = {"head": "boot-dask-scheduler.sh", "workers": "boot-dask-worker.sh"}


class DaskVms(ClusterVms):
    """A Dask cluster as two groups at zero: one scheduler and the workers, a nanny per slot.

    Why so: whoever reaches a scheduler can run code on it; under TLS only holders of the certificate made here can
    connect. Costs nothing at zero; then the nodes' prices.
    """

    def __init__(self, name: str, args: ClusterVmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:DaskVms", name, args, dask_certificate, BOOT, opts)
