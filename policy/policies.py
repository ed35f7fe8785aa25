"""Each rule of `plan.rules` as a policy. Kept apart from the entry file, whose import starts a server and blocks."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from plan.person import KEYS, PersonError, person
from plan.rules import RESOURCE_RULES, STACK_RULES, Resource, Violation, check_settings, plain
from plan.settings import CONFIG_KEY, Settings, parse

# The pack's own default is advisory, which stops nothing.
_LEVEL = EnforcementLevel.MANDATORY


def policies() -> list[Policy]:
    """One mandatory policy per rule: over settings as a whole, over each resource, over the stack."""
    whole = StackValidationPolicy("settings", "The stack's settings keep every rule over them.", _settings, _LEVEL)
    return [whole, *map(_of_resource, RESOURCE_RULES), *map(_of_stack, STACK_RULES)]


def _of_resource(rule: Callable[[Resource, Settings], Iterator[Violation]]) -> Policy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = Resource(args.resource_type, args.name, plain(args.props), protect=args.opts.protect)
        _report(rule(resource, _stack()), report)

    return ResourceValidationPolicy(_title(rule), _sentence(rule), validate, _LEVEL)


def _of_stack(rule: Callable[[Sequence[Resource], Settings], Iterator[Violation]]) -> Policy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        _report(rule([_seen(resource) for resource in args.resources], _stack()), report)

    return StackValidationPolicy(_title(rule), _sentence(rule), validate, _LEVEL)


def _settings(args: StackValidationArgs, report: ReportViolation) -> None:
    config = pulumi.Config("breakeven")
    try:
        who = person({key: config.get(key) or "" for key in KEYS}, os.environ)
    except PersonError:
        who = None  # an embedded stack belongs to nobody; the program of another has refused this already
    _report(check_settings(_stack(), who), report)


def _seen(resource: PolicyResource) -> Resource:
    return Resource(
        type=resource.resource_type,
        name=resource.name,
        props=plain(resource.props),
        refs={key: [made.name for made in of] for key, of in resource.property_dependencies.items()},
        protect=resource.opts.protect,
        provider=resource.provider.name if resource.provider else None,
    )


def _stack() -> Settings:
    project, key = CONFIG_KEY.split(":")
    return parse(pulumi.Config(project).require_object(key), pulumi.get_stack())


def _report(violations: Iterable[Violation], report: ReportViolation) -> None:
    for violation in violations:
        report(violation.message, None)


def _title(rule: Callable[..., Any]) -> str:
    return rule.__name__.replace("_", "-")


def _sentence(rule: Callable[..., Any]) -> str:
    """The docstring's first sentence: the engine repeats it with each violation."""
    return " ".join((rule.__doc__ or "").split()).split(". ")[0].rstrip(".") + "."
