"""What both AWS programs do before their first resource: judge the settings, then tag and judge every resource."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pulumi

from infra.aws.guard import Judge
from plan import rules
from plan.person import Person
from plan.rules import Resource
from plan.rules.tags import OWNER, STACK
from plan.settings import Settings


def judge(settings: Settings, person: Person) -> Judge:
    """Judge the settings now, and return what judges each resource. Raises plan.rules.RulesError."""
    rules.must_pass(rules.check_settings(settings, person))

    def judged(resource: Resource) -> None:
        rules.must_pass(rules.check_resource(resource, settings))

    return judged


def judge_stack(resources: Sequence[Resource], settings: Settings) -> None:
    """Judge what a program declared as a whole. Raises plan.rules.RulesError."""
    rules.must_pass(rules.check_stack(resources, settings))


def tags(settings: Settings, person: Person) -> dict[str, str]:
    """Whose it is and what it belongs to; a bench stack adds when it ends."""
    return {STACK: settings.stack, OWNER: person.owner}


def same_region(settings: Settings, person: Person) -> Callable[[str], str]:
    """Passes base's region on where it is the person's: buckets and images of another are dear or out of reach."""

    def judged(of_base: str) -> str:
        if of_base == person.region:
            return of_base
        raise pulumi.RunError(
            f"stack {settings.stack!r}: found region {person.region!r}, wanted {of_base!r}, where its base stack "
            f"{settings.base!r} keeps data and images; set BREAKEVEN_REGION={of_base}, or bring up a base stack there"
        )

    return judged


def stays(stack: str, region: str) -> Callable[[str | None], str]:
    """Passes the region on where the stack is there, or nowhere yet: moved, its buckets would be made anew, empty."""

    def judged(of_last: str | None) -> str:
        if of_last in (None, region):
            return region
        raise pulumi.RunError(
            f"stack {stack!r}: found region {region!r}, wanted {of_last!r}, where its data and images are; set "
            f"BREAKEVEN_REGION={of_last}, or give the other region a base stack with a file and name of its own"
        )

    return judged


def still_ahead(stack: str) -> Callable[[str], str]:
    """Passes an expiry on that is yet to come: after it, schedules have ended what an `up` would seem to bring."""

    def judged(at: str) -> str:
        if datetime.fromisoformat(at) > datetime.now(UTC):
            return at
        raise pulumi.RunError(
            f"stack {stack!r} expired at {at}, and its hosts and groups have been ended; to go on with it, set "
            "BREAKEVEN_EXPIRES_AT to an instant to come and run `pulumi up --refresh`, else `pulumi destroy` it"
        )

    return judged
