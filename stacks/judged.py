"""What both AWS programs do before their first resource: judge the settings, then tag and judge every resource."""

from collections.abc import Sequence

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
