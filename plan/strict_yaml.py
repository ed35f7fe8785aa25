"""A stack file's text as plain values, refused wherever readers of YAML disagree or a slip would go unnoticed.

PyYAML reads YAML 1.1 (`yes` is true, `064` is 52) and takes the second of two equal keys; the Pulumi engine reads
another dialect. Here a plain scalar is what it is in JSON, a string, or refused; keys are given once; nothing is shared
by anchors, which can make a small file enormous.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from plan.stack_file import SettingsError

LARGEST_BYTES = 256 * 1024
"""A hundred times the largest file of this repository: what is larger is no stack file."""

_TAG = "tag:yaml.org,2002:"
_JSON = {
    f"{_TAG}null": re.compile(r"null|~|"),
    f"{_TAG}bool": re.compile(r"true|false"),
    f"{_TAG}int": re.compile(r"-?(0|[1-9][0-9]{0,17})"),
    f"{_TAG}float": re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,17}"),
    f"{_TAG}str": re.compile(r".*", re.DOTALL),
}


class _Loader(yaml.SafeLoader):
    """SafeLoader without what JSON lacks."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            raise _problem(event.start_mark, f"found the anchor or alias {event.anchor!r}", "write the value out")
        return super().compose_node(parent, index)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        if isinstance(node, yaml.MappingNode):
            self._distinct(node)
        if isinstance(node, yaml.ScalarNode) and not node.style:
            wanted = _JSON.get(node.tag)
            if wanted is None or not wanted.fullmatch(node.value):
                fix = "write a plain number, true or false, or put text in quotes"
                raise _problem(node.start_mark, f"found {node.value!r:.40}, which YAML readers take differently", fix)
        elif node.tag not in (f"{_TAG}map", f"{_TAG}seq", f"{_TAG}str"):
            raise _problem(node.start_mark, f"found the tag {node.tag.replace(_TAG, '!!')!r:.40}", "leave it out")
        return super().construct_object(node, deep)

    @staticmethod
    def _distinct(node: yaml.MappingNode) -> None:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _problem(key.start_mark, "found a list or mapping as a key", "wanted a name")
            if key.tag == f"{_TAG}merge":
                raise _problem(key.start_mark, "found the merge key '<<'", "write the keys out")
            if key.value in seen:
                raise _problem(
                    key.start_mark,
                    f"found the key {key.value!r:.40} again, first in line {seen[key.value]}",
                    "keep one",
                )
            seen[key.value] = key.start_mark.line + 1


def _problem(mark: Any, found: str, fix: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=f"{found}; {fix}", problem_mark=mark)


def read(path: Path) -> Any:
    """The document of one file. Raises SettingsError in one line, with the file's name and the line in it."""
    raw = path.read_bytes()
    if len(raw) > LARGEST_BYTES:
        raise SettingsError(f"{path.name}: found {len(raw)} bytes, wanted a stack file of at most {LARGEST_BYTES}")
    try:
        return yaml.load(raw.decode("utf-8"), _Loader)  # noqa: S506  a SafeLoader, and stricter
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SettingsError(
            f"{path.name}, line {line}: found the byte 0x{raw[error.start]:02x}, wanted text in UTF-8; save it as UTF-8"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        said = "; ".join(" ".join(part.split()) for part in (error.context, error.problem) if part)
        raise SettingsError(f"{path.name}{where}: {said}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        said = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise SettingsError(f"{path.name}: {said}; wanted plain YAML") from None


def config(path: Path) -> dict[str, Any]:
    """The `config` mapping of a stack file, {} where there is none. Raises SettingsError."""
    document = read(path)
    document = {} if document is None else document
    if not isinstance(document, dict):
        raise SettingsError(f"{path.name}: found {_kind(document)}, wanted a mapping with the key `config`")
    found = document.get("config")
    found = {} if found is None else found
    if not isinstance(found, dict):
        raise SettingsError(f"{path.name}, config: found {_kind(found)}, wanted a mapping")
    return found


def _kind(value: Any) -> str:
    return {"list": "a list", "str": "a string", "bool": "true or false"}.get(type(value).__name__, repr(value)[:40])
