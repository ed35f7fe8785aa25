"""What the stacks' programs declare, run without an engine over a base that is named as base names it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from plan.settings import CONFIG_KEY, load
from tests.permissions.documents import managed
from tests.stacks import conftest as programs

ROOT = Path(__file__).parents[2]
BUCKETS = {kind: f"breakeven-base-{kind}-0000000" for kind in ("data", "working", "results")}
ROLE, INLINE = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
ATTACHED, PROFILE = "aws:iam/rolePolicyAttachment:RolePolicyAttachment", "aws:iam/instanceProfile:InstanceProfile"


def stacks() -> list[str]:
    """Every stack file of AWS."""
    names = [path.name.split(".")[1] for path in sorted(ROOT.glob("Pulumi.*.yaml"))]
    documents = {name: yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text()) for name in names}
    return [name for name in names if documents[name]["config"][CONFIG_KEY]["program"] in ("base", "bench")]


@cache
def ran(stack: str) -> programs.Ran:
    """What a stack's program declares."""
    with _named_base():
        return programs.run_program(load(stack, ROOT))


@contextmanager
def _named_base() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as named:
        images = {
            image: f"{programs.REGISTRY}/breakeven-base-{image}@{programs.DIGEST}" for image in programs.BASE["images"]
        }
        named.setitem(programs.BASE, "images", images)
        for kind, name in BUCKETS.items():
            named.setitem(programs.BASE, f"{kind}Bucket", name)
        yield


def policies_of(stack: str, role: str) -> list[Mapping[str, Any]]:
    """All policies of a declared role, inline and Amazon's own, by the role's name in the program."""
    made = ran(stack)
    inline = [
        json.loads(given["policy"]) for given in made.of_type(INLINE).values() if given["role"] in (role, f"{role}-id")
    ]
    attached = [
        managed(given["policyArn"])
        for given in made.of_type(ATTACHED).values()
        if given["role"] in (role, f"{role}-id")
    ]
    assert made.of_type(ROLE).keys() >= {role}
    return [*inline, *attached]
