"""Reads the stack's settings, calls its program, exports its outputs."""

import gc
import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import pulumi

from catalog.prices import PriceError
from plan import person, stack_file
from plan.person import PersonError
from plan.rules import RulesError, check_settings, must_pass
from plan.settings import SettingsError, load, parse


def program(stack: str, config: pulumi.Config) -> Mapping[str, Any]:
    """Declare the stack; its outputs."""
    if stack_file.ROOT.joinpath(f"Pulumi.{stack}.yaml").is_file():
        load(stack)  # the engine's own reader takes `064` for 52, and hands over what it took
    settings = parse(config.get_object("settings"), stack)
    who = None
    if settings.program != "embedded":
        who = person.person({key: value for key in person.KEYS if (value := config.get(key))}, os.environ)
    must_pass(check_settings(settings, who))  # before the import below, for which a refusal need not wait
    # Only the stack's own program is imported: the AWS provider's package takes seconds, which `dev` need not pay.
    declared: Mapping[str, Any] = import_module(f"stacks.{settings.program}").program(settings, who)
    return declared


# The provider's types are a quarter of a million objects that live to the end; looking through them for garbage took an
# eighth of a preview's time.
gc.disable()
try:
    exports = program(pulumi.get_stack(), pulumi.Config())
except (SettingsError, PersonError, RulesError, PriceError) as refusal:
    raise pulumi.RunError(str(refusal)) from None  # of which the engine prints the text, and of any other the traceback
for name, value in exports.items():
    pulumi.export(name, value)
