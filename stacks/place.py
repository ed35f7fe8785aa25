"""What the parts of one bench stack share."""

from dataclasses import dataclass
from typing import Any

import pulumi

from infra.aws.cluster_vms import Site
from infra.aws.network import Network
from plan.settings import Settings
from plan.sizing import Size


@dataclass(frozen=True)
class Place:
    """Where the parts of one stack are put."""

    site: Site
    network: Network
    images: pulumi.Output[Any]
    opts: pulumi.ResourceOptions


def autoscale_outputs(settings: Settings, size: Size) -> dict[str, Any] | None:
    """A cluster's bounds as `plan.outputs` has them; None where its engine's autoscaler does not move it."""
    scale = settings.clusters[size.name].autoscale
    return scale.model_dump(by_alias=True) if scale else None
