"""Which keys mean something on which platform: any other is refused, since its reader would believe in an effect."""

from pydantic import BaseModel

CLUSTER_KEYS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "local": (("nodes", "slots_per_node"), {"limit_mib", "autoscale"}),
    "ec2": (("instance_type", "nodes"), {"head_instance_type", "slots_per_node", "limit_mib", "autoscale"}),
    "eks": (("workers",), {"autoscale"}),
}
"""By platform: the keys that a cluster needs, and those it may have besides. Any other would have no effect there."""


def check(part: BaseModel, platform: str, what: str, keys: tuple[tuple[str, ...], set[str]]) -> None:
    """Raises ValueError where a part of one platform lacks a key, or has one that means nothing there."""
    needed, others = keys
    alias = {key: str(field.alias) for key, field in type(part).model_fields.items()}
    if missing := [alias[key] for key in needed if getattr(part, key) is None]:
        raise ValueError(f"{what} on {platform} needs {' and '.join(missing)}")
    allowed = {"platform", "engine", *needed, *others}
    if useless := [name for key, name in alias.items() if key in part.model_fields_set - allowed]:
        known = ", ".join(name for key, name in alias.items() if key in allowed)
        raise ValueError(
            f"{' and '.join(useless)} would have no effect on {platform}: leave it out ({what} there has {known})"
        )
