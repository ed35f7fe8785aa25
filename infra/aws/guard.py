"""Tags on everything, and the rules on everything, without a flag: one transformation over the whole stack."""

from collections.abc import Callable, Mapping
from typing import Any

import pulumi

from plan.rules import Resource, plain

Judge = Callable[[Resource], None]
"""Called with a resource as the rules see it; raises when one refuses it."""


def watch(tags: Mapping[str, pulumi.Input[str]], judge: Judge) -> list[Resource]:
    """From here on, every resource of the program gets `tags` where its type has tags, and is judged before it is
    registered. Arguments that are outputs are judged once they are known, so a preview judges what it can.

    Returns the list that grows with the program, for the rules over a stack as a whole.
    """
    declared: list[Resource] = []

    def transform(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
        props = {**args.props, **_tagged(args, tags)}
        protect = bool(args.opts.protect)

        def seen(known: Mapping[str, Any]) -> Resource:
            return Resource(args.type_, args.name, plain(known), protect=protect)

        declared.append(seen(props))
        judge(declared[-1])
        for key, value in props.items():
            if isinstance(value, pulumi.Output):
                props[key] = value.apply(_then_judged(judge, seen, {**props}, key))
        return pulumi.ResourceTransformationResult(props, args.opts)

    pulumi.runtime.register_stack_transformation(transform)
    return declared


def _then_judged(
    judge: Judge, seen: Callable[[Mapping[str, Any]], Resource], props: Mapping[str, Any], key: str
) -> Callable[[Any], Any]:
    def judged(value: Any) -> Any:
        try:
            judge(seen({**props, key: value}))
        except ValueError as refusal:  # the engine prints a RunError's text alone, and of any other its traceback
            raise pulumi.RunError(str(refusal)) from None
        return value

    return judged


def _tagged(args: pulumi.ResourceTransformationArgs, tags: Mapping[str, pulumi.Input[str]]) -> dict[str, Any]:
    if not args.type_.startswith("aws:") or not hasattr(type(args.resource), "tags"):
        return {}
    own: Any = args.props.get("tags")
    if args.type_ == "aws:autoscaling/group:Group":
        # Not propagated: what a group launches is tagged by its launch template, volumes and interfaces too.
        listed = [{"key": key, "value": value, "propagateAtLaunch": False} for key, value in tags.items()]
        return {"tags": [*(own or []), *listed]}
    return {"tags": {**tags, **(own or {})}}
