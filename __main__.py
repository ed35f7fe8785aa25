"""Reads the stack's settings, calls its program, exports its outputs."""

import gc
import os
from importlib import import_module

import pulumi

from plan import person
from plan.settings import parse

# The provider's types are a quarter of a million objects that live to the end; looking through them for garbage took an
# eighth of a preview's time.
gc.disable()
config = pulumi.Config()
settings = parse(config.require_object("settings"), pulumi.get_stack())
who = None
if settings.program != "embedded":
    who = person.person({key: value for key in person.KEYS if (value := config.get(key))}, os.environ)
# Only the stack's own program is imported: the AWS provider's package takes seconds, which `dev` need not pay.
for name, value in import_module(f"stacks.{settings.program}").program(settings, who).items():
    pulumi.export(name, value)
