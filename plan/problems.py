"""What pydantic found wrong with a document, in the words of its author."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel


def explain(model: type[BaseModel], problem: Mapping[str, Any]) -> str:
    """One error of pydantic as one clause: the key's path, what is wrong, what was found; nearest keys for a slip."""
    loc = problem["loc"]
    where = ".".join(str(part) for part in loc) or "settings"
    if problem["type"] == "extra_forbidden":
        known = _known_keys(model, loc[:-1])
        near = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.0)
        return f"{where}: unknown key; the nearest known key is {near[0]!r} (known: {', '.join(known)})"
    if problem["type"] == "missing":
        return f"{where}: found nothing, wanted a value"
    if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"{where}: found {problem['input']!r:.60}, wanted a mapping"
    said = " ".join(problem["msg"].removeprefix("Value error, ").split())
    shown = "" if problem["type"] == "value_error" else f" (found {problem['input']!r:.60})"
    return f"{where}: {said}{shown}"


def empty_keys(value: Any, at: str = "") -> Iterator[str]:
    """Keys that are there without a value, by their paths: what was meant by them cannot be known."""
    if value is None:
        yield at
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from empty_keys(inner, f"{at}.{key}" if at else str(key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from empty_keys(inner, f"{at}.{place}")


def _known_keys(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    top = model
    for part in loc:
        for field in model.model_fields.values():
            if field.alias == part:
                nested = [t for t in _types_in(field.annotation) if isinstance(t, type) and issubclass(t, BaseModel)]
                model = nested[0] if nested else model
    own = "stack" if model is top else None  # the name of the file, not a key in it
    return sorted(str(field.alias) for name, field in model.model_fields.items() if name != own)


def _types_in(annotation: Any) -> list[Any]:
    return [annotation, *(inner for arg in getattr(annotation, "__args__", ()) for inner in _types_in(arg))]
