"""What both AWS programs do before their first resource: judge the settings, then tag and judge every resource."""

from infra.aws.guard import Judge
from plan import rules
from plan.person import Person
from plan.rules.violation import Violation
from plan.rules.wire import Resource
from plan.settings import Settings


class Refused(Exception):
    """A rule refuses the stack or one of its resources; the message has one line per violation."""


def judge(settings: Settings, person: Person) -> Judge:
    """Judge the settings now, and return what judges each resource. Raises Refused."""
    _refuse(rules.check_settings(settings, person))

    def judged(resource: Resource) -> None:
        _refuse(rules.check_resource(resource, settings))

    return judged


def tags(settings: Settings, person: Person) -> dict[str, str]:
    """Whose it is and what it belongs to; a bench stack adds when it ends."""
    return {"breakeven:stack": settings.stack, "breakeven:owner": person.owner}


def _refuse(violations: list[Violation]) -> None:
    if violations:
        raise Refused("\n".join(violation.message for violation in violations))
