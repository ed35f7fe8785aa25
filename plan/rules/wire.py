"""Resources as plain data on wire names (camelCase), wherever they come from: a program, the engine, a mock.

A value that is not plain yet, such as another resource's output in a preview, is UNKNOWN. What a rule does with it is
its own decision, and one of two. *Plain*: the value is always the program's own (an instance type, an address range, a
size), so an unknown one is refused, or a rule could be slipped past by computing it. *Later*: the value contains
identifiers of other resources (a policy document, an image's digest), so it passes now and is judged when it is known:
by the pack during `up`, by the program's guard as the value arrives, and by tests, whose mocks know everything.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

# Maps whose keys are the user's own words and are not translated to camelCase.
_FREE_KEYS = frozenset({"tags", "tagsAll", "labels", "matchLabels", "annotations", "variables", "data", "stringData"})

# How the engine's protocol spells a value that it does not know yet (one for each type).
_SENTINELS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)


class _Unknown:
    def __repr__(self) -> str:
        return "a value that is not known before the deploy"

    def __bool__(self) -> bool:
        raise TypeError("an unknown value is neither true nor false: compare with UNKNOWN first")


UNKNOWN: Final = _Unknown()
"""Stands for a value that cannot be seen yet. Has no truth value, so that no rule takes it for absent by accident."""


@dataclass(frozen=True)
class Resource:
    """One resource as rules see it.

    `type`: Pulumi's token. `props`: wire names, plain (see `plain`). `id`: its identifier where known. `refs`: for each
    property, the names of the resources it was made from, where the engine tells. `provider`: the name of its provider
    resource, None for the default one.
    """

    type: str
    name: str
    props: Mapping[str, Any]
    id: str | None = None
    refs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    protect: bool = False
    provider: str | None = None

    def __str__(self) -> str:
        return f"{self.type.rsplit(':', 1)[-1]} {self.name!r}"


def plain(value: Any, *, free_keys: bool = False) -> Any:
    """A copy of `value` in dicts, lists and scalars: Python names become wire names, absent values go, and what is no
    plain value (an output, an asset, the engine's own sign for unknown) becomes UNKNOWN."""
    if value is UNKNOWN or (isinstance(value, str) and value in _SENTINELS):
        return UNKNOWN
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if hasattr(type(value), "_pulumi_input_type"):  # pulumi's typed arguments keep their fields in their own dict
        value = vars(value)
    if isinstance(value, Mapping):
        pairs = ((key if free_keys else _wire(key), item) for key, item in _items(value))
        kept = {key: plain(item, free_keys=key in _FREE_KEYS) for key, item in pairs}
        return {key: item for key, item in kept.items() if item is not None}
    if isinstance(value, Sequence):
        return [plain(_get(value, index)) for index in range(len(value))]
    return UNKNOWN


def at(props: Any, *path: str) -> Any:
    """The value below `path`; None where it is absent, UNKNOWN where it, or something above it, is unknown.

    A list of one object on the way is that object: providers write single blocks both ways.
    """
    for key in path:
        if isinstance(props, list) and len(props) == 1:
            props = props[0]
        if props is UNKNOWN or props is None:
            return props
        props = props.get(key) if isinstance(props, Mapping) else None
    return props


def items(value: Any) -> list[Any]:
    """A list of what is there: nothing for None, the elements of a list, or the one value itself (UNKNOWN too)."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def below(value: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping at or below `value`, each with where it is."""
    if isinstance(value, Mapping):
        yield path, value
        for key, item in value.items():
            yield from below(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from below(item, f"{path}[{index}]")


def _items(value: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for key in value:
        yield str(key), _get(value, key)


def _get(value: Any, key: Any) -> Any:
    try:
        return value[key]
    except LookupError:
        raise
    except Exception as error:  # the policy SDK raises an error of its own when an unknown value is touched
        if type(error).__name__ != "UnknownValueError":
            raise
        return UNKNOWN


def _wire(key: str) -> str:
    return re.sub(r"(?<=[a-z0-9])_([a-z0-9])", lambda match: match[1].upper(), key)
