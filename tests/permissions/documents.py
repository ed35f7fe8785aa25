"""The shipped policies, and those that Amazon manages."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "docs/permissions"
REGIONS = re.compile(r"\b[a-z]{2}-[a-z]+-\d\b")


def shipped(name: str) -> dict[str, Any]:
    """One of docs/permissions, by its file's name without `.json`."""
    return dict(json.loads((SHIPPED / f"{name}.json").read_text()))


@cache
def deployer() -> list[dict[str, Any]]:
    """All that a deployer has."""
    return [shipped(path.stem) for path in sorted(SHIPPED.glob("deployer-*.json"))]


@cache
def boundary() -> dict[str, Any]:
    """The most that a role can have."""
    return shipped("boundary")


@cache
def managed(arn: str) -> dict[str, Any]:
    """The document of a policy that Amazon manages, as of moto's release."""
    return dict(json.loads(aws_managed_policies_data)[arn.rpartition("/")[2]]["Document"])
