"""What an instance runs at its first boot: settings as exported variables, then scripts of `runtimes/`, unchanged."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi

LIMIT_BYTES = 16384  # EC2's limit on user data before base64

RUNTIMES = Path(__file__).parents[2] / "runtimes"


def script(name: str) -> str:
    """The text of a host's first boot: what all hosts do first, and its own script, a path below `runtimes/`."""
    return (RUNTIMES / "first-boot.sh").read_text() + (RUNTIMES / name).read_text()


def render(script: str, settings: Mapping[str, str]) -> str:
    """User data from a script's text and its settings. Raises ValueError when EC2 would refuse its length."""
    exports = "".join(f"export {key}={shlex.quote(str(value))}\n" for key, value in sorted(settings.items()))
    text = f"#!/bin/bash\n{exports}{script}"
    if len(text.encode()) > LIMIT_BYTES:
        raise ValueError(
            f"user data has {len(text.encode())} bytes, wanted at most {LIMIT_BYTES}; move parts into the image"
        )
    return text


def user_data(name: str, settings: Mapping[str, pulumi.Input[str]]) -> pulumi.Output[str]:
    """User data of a host, from settings that may be outputs; `name`: its script, a path below `runtimes/`."""
    text = script(name)
    known: pulumi.Output[Any] = pulumi.Output.from_input(dict(settings))
    return known.apply(lambda values: render(text, values))
