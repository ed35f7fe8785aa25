"""What `destroy` meets first, and is refused by."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True)
class DestroyGuardArgs:
    """`after`: all that may not be deleted before the guard was."""

    stack: str
    after: Sequence[pulumi.Resource]


class DestroyGuard(pulumi.ComponentResource):
    """A protected parameter that depends on everything else of its stack.

    Why so: `destroy --skip-preview` deletes in the reverse order of dependencies until it meets something protected, by
    when all that came before is gone. What depends on everything goes first, so that the refusal comes before the first
    deletion. Costs nothing. No outputs.
    """

    def __init__(self, name: str, args: DestroyGuardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:DestroyGuard", name, {}, opts)
        aws.ssm.Parameter(
            name,
            name=f"/breakeven/{args.stack}/protected",
            type="String",
            insecure_value=f"pulumi state unprotect --all -s {args.stack}, before a destroy that is meant",
            opts=pulumi.ResourceOptions(parent=self, protect=True, depends_on=list(args.after)),
        )
        self.register_outputs({})
