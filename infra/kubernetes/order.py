"""The order in which a stack on Kubernetes is made; it is destroyed in the reverse one.

From the bottom: nothing of a layer is made before all of the layers under it are, and nothing of it is deleted while
anything above it exists. Components follow it by `depends_on`; the tests read it off the engine's own event log.

Why it matters on the way down: a custom resource carries finalizers that only its operator takes off; pods and Services
hold interfaces and load balancers that block subnets (a stack's Services are ClusterIP, and the rules refuse a load
balancer that the world reaches; one of a user's own goes with what made it, before the nodes); nodes that go before
their network plugin's addon release their interfaces, nodes that go after it leave them behind.
"""

LAYERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("network", ("aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet", "aws:ec2/routeTable:RouteTable")),
    ("control plane", ("aws:eks/cluster:Cluster",)),
    # Named by its end: the addon of the cluster's own names needs a node. It is what takes pods' interfaces away.
    (
        "interfaces and access",
        ("aws:eks/addon:Addon#vpc-cni", "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"),
    ),
    ("nodes", ("aws:eks/nodeGroup:NodeGroup",)),
    ("operators", ("kubernetes:helm.sh/v3:Release",)),
    (
        "custom resources",
        (
            "kubernetes:ray.io/v1:RayCluster",
            "kubernetes:kubernetes.dask.org/v1:DaskCluster",
            "kubernetes:kubernetes.dask.org/v1:DaskAutoscaler",
        ),
    ),
)

DELETE_TIMEOUT = "5m"
"""How long the deletion of a custom resource may take. With its operator gone, a finalizer would hold it for ever; the
engine then gives up and says which resource it was, and docs/kubernetes.md how to take the finalizer off."""


def layer(token: str, name: str) -> int | None:
    """How high above the ground a resource of this type and name stands; None for one whose place does not matter."""
    for height, (_, tokens) in enumerate(LAYERS):
        for kind, _, end in (wanted.partition("#") for wanted in tokens):
            if kind == token and name.endswith(end):
                return height
    return None
