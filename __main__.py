"""Reads the stack's settings, calls its program, exports its outputs."""

import os

import pulumi

from plan.person import person
from plan.settings import parse
from stacks import base, bench, embedded

config = pulumi.Config()
settings = parse(config.require_object("settings"), pulumi.get_stack())
if settings.program == "embedded":
    outputs = embedded.program(settings)
else:
    program = {"base": base.program, "bench": bench.program}[settings.program]
    known = {key: config.get(key) or "" for key in ("owner", "clientCidr", "region", "vcpuQuota", "lambdaConcurrency", "expiresAt")}
    outputs = program(settings, person(known, os.environ))

for name, value in outputs.items():
    pulumi.export(name, value)
