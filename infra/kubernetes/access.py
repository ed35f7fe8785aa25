"""Service accounts of a stack's namespace and what each may ask of the API server: nothing, unless it is said here."""

from collections.abc import Mapping, Sequence

from infra.kubernetes.pods import Body
from plan.settings import Engine

WORKERS, HEADS, SCHEDULERS, DRIVER, EXPIRY = "workers", "heads", "schedulers", "driver", "expiry"

GROUP: Mapping[Engine, str] = {"ray": "ray.io", "dask": "kubernetes.dask.org"}
PLURALS: Mapping[Engine, tuple[str, ...]] = {"ray": ("rayclusters",), "dask": ("daskautoscalers", "daskclusters")}
"""What of each engine ends at expiry, in this order: an autoscaler that is left would only log errors."""


def accounts(namespace: str, engines: Sequence[Engine]) -> list[Body]:
    """One account per kind of pod. KubeRay binds what its autoscaler needs to the head's account by itself."""
    names = [
        WORKERS,
        DRIVER,
        EXPIRY,
        *([HEADS] if "ray" in engines else []),
        *([SCHEDULERS] if "dask" in engines else []),
    ]
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace},
            "automountServiceAccountToken": False,  # a pod that speaks to the API server says so itself
        }
        for name in names
    ]


def driver_access(namespace: str, clusters: Mapping[str, Engine]) -> list[Body]:
    """A session's driver scales its clusters, reads its pods and their events, and reads Ray's tokens: by name."""
    rules: list[Body] = [
        {"apiGroups": [""], "resources": ["pods", "events", "services"], "verbs": ["get", "list", "watch"]},
    ]
    ray = sorted(name for name, engine in clusters.items() if engine == "ray")
    dask = sorted(name for name, engine in clusters.items() if engine == "dask")
    if ray:
        rules.append({"apiGroups": [""], "resources": ["secrets"], "resourceNames": ray, "verbs": ["get"]})
        rules += _scaled("ray.io", ["rayclusters"], ray)
    if dask:
        groups = [f"{name}-default" for name in dask]  # the operator's own name for a cluster's workers
        rules += _scaled(
            "kubernetes.dask.org", ["daskclusters", "daskautoscalers", "daskworkergroups"], [*dask, *groups]
        )
    return _bound(DRIVER, namespace, rules)


def expiry_access(namespace: str, engines: Sequence[Engine]) -> list[Body]:
    """What ends the stack may delete the engines' custom resources and the sessions' Jobs of this namespace."""
    ended = [(GROUP[engine], list(PLURALS[engine])) for engine in engines] + [("batch", ["jobs"])]
    return _bound(
        EXPIRY,
        namespace,
        [{"apiGroups": [group], "resources": plurals, "verbs": ["deletecollection"]} for group, plurals in ended],
    )


def _scaled(group: str, plurals: list[str], names: list[str]) -> list[Body]:
    return [{"apiGroups": [group], "resources": plurals, "resourceNames": names, "verbs": ["get", "patch"]}]


def _bound(account: str, namespace: str, rules: list[Body]) -> list[Body]:
    metadata = {"name": account, "namespace": namespace}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": dict(metadata), "rules": rules}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": dict(metadata),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
    return [role, binding]
