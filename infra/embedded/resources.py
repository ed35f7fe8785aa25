"""Dynamic resources over the supervisor: the state folder first, a resource for each part, the outputs file last.

An engine asks `diff` of every resource on every `up`, so a part whose process is gone shows there and is started again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

import local

OUTPUTS_FILE = "outputs.json"
"""Below the state folder: the stack's outputs for sessions, whether an engine or the supervisor brought it up."""


def _diff(olds: Mapping[str, Any], news: Mapping[str, Any], changes: bool) -> DiffResult:
    # A change is mended in place: a replacement would delete the old part by its name, and so end the new one.
    moved = ["state_dir"] if olds["state_dir"] != news["state_dir"] else []
    return DiffResult(changes=changes or bool(moved), replaces=moved)


class _FolderProvider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        Path(props["state_dir"]).mkdir(parents=True, exist_ok=True)
        return CreateResult(props["state_dir"], dict(props))

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return _diff(_olds, _news, changes=False)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        # Every part is gone by now; this ends whatever else carries the stack's mark and removes temporary folders.
        local.down(_props["state_dir"])


class StateFolder(Resource):
    """The stack's state folder. Made first and deleted last; data and logs in it outlive the stack."""

    state_dir: pulumi.Output[str]

    def __init__(self, name: str, state_dir: Path, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(_FolderProvider(), name, {"state_dir": str(state_dir)}, opts)


class _PartProvider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        part = local.part_of(props["part"])
        return CreateResult(part.name, {**props, "facts": local.start(part, props["state_dir"])})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        down = local.check(local.part_of(_news["part"]), _news["state_dir"]) != "up"
        moved = any(_olds["after"].get(name) != pid for name, pid in _news["after"].items())
        return _diff(_olds, _news, changes=down or moved)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult({**_news, "facts": local.start(local.part_of(_news["part"]), _news["state_dir"])})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        local.stop(_id, _props["state_dir"])


class LocalPart(Resource):
    """One part: a process and its facts (address, where its secret is kept, seconds until it answered)."""

    facts: pulumi.Output[dict[str, Any]]

    def __init__(self, folder: StateFolder, part: local.Part, needed: Mapping[str, "LocalPart"]) -> None:
        # A part that runs for another is started anew with it: the other's process is among its inputs.
        after = {name: other.facts.apply(lambda facts: facts.get("pid")) for name, other in needed.items()}
        props = {"state_dir": folder.state_dir, "part": local.to_dict(part), "after": after, "facts": None}
        opts = pulumi.ResourceOptions(parent=folder, depends_on=list(needed.values()))
        super().__init__(_PartProvider(), part.name, props, opts)


class _OutputsFileProvider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        _path(props).write_text(props["document"])
        return CreateResult(props["state_dir"], dict(props))

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        path = _path(_news)
        return _diff(_olds, _news, changes=not path.exists() or path.read_text() != _news["document"])

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self.create(_news).outs)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        _path(_props).unlink(missing_ok=True)


def _path(props: Mapping[str, Any]) -> Path:
    return Path(props["state_dir"]) / OUTPUTS_FILE


class OutputsFile(Resource):
    """The stack's outputs as a file, there exactly while all parts are."""

    def __init__(self, folder: StateFolder, document: pulumi.Output[str], parts: Sequence[LocalPart]) -> None:
        opts = pulumi.ResourceOptions(parent=folder, depends_on=list(parts))
        super().__init__(_OutputsFileProvider(), "outputs", {"state_dir": folder.state_dir, "document": document}, opts)
