"""What a stack may be. Over settings, before anything is declared; over resources, as a program declares them.

Pure functions on plain values: they run in the program on every `up` (a transformation hands over each resource), in
the policy pack, and in pytest. `plan.rules.wire` says what happens to values that are not known yet.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from plan.person import Person
from plan.rules import bounds, machines, parts, workers
from plan.rules.case import Case
from plan.rules.compute import function_size, group_bounded, image_by_digest, instance_declared, metadata_v2
from plan.rules.identity import bounded_role, least_privilege
from plan.rules.network import open_load_balancer, public_ingress
from plan.rules.pods import pod_image_by_digest, pod_parity, pod_unprivileged, version_pinned
from plan.rules.storage import lasting_protected, private_buckets
from plan.rules.tags import launch_tags, owned
from plan.rules.violation import Violation
from plan.rules.wire import UNKNOWN, Resource, plain
from plan.settings import Settings

__all__ = [
    "RESOURCE_RULES",
    "SETTINGS_RULES",
    "STACK_RULES",
    "UNKNOWN",
    "Resource",
    "RulesError",
    "Violation",
    "check_resource",
    "check_settings",
    "check_stack",
    "must_pass",
    "plain",
    "warnings",
]

SETTINGS_RULES: tuple[Callable[[Case], Iterator[Violation]], ...] = (
    parts.platforms_belong,
    parts.without_effect,
    parts.cache_reachable,
    machines.architecture,
    machines.no_gpu,
    workers.memory_per_slot,
    workers.slots_have_cpu,
    workers.limit_fits,
    workers.limit_near_declared,
    workers.parity,
    workers.pods_fit,
    workers.autoscale_reachable,
    bounds.kubernetes_supported,
    bounds.function_range,
    bounds.cache_fits,
    bounds.region_priced,
    bounds.expiry,
    bounds.budget,
    bounds.quota,
)

RESOURCE_RULES: tuple[Callable[[Resource, Settings], Iterator[Violation]], ...] = (
    public_ingress,
    open_load_balancer,
    metadata_v2,
    least_privilege,
    bounded_role,
    instance_declared,
    group_bounded,
    function_size,
    image_by_digest,
    launch_tags,
    pod_parity,
    pod_unprivileged,
    pod_image_by_digest,
    version_pinned,
)

STACK_RULES: tuple[Callable[[Sequence[Resource], Settings], Iterator[Violation]], ...] = (
    private_buckets,
    lasting_protected,
    owned,
)


class RulesError(ValueError):
    """A stack was refused; the message holds every violation, one to a line."""


def check_settings(settings: Settings, person: Person | None = None, now: datetime | None = None) -> list[Violation]:
    """Every violation of a stack's settings; `now` (with its zone) is for expiry and support dates.

    Without a person, quotas are not judged and prices are those of the default region. A stack with an unknown
    instance type is judged no further, because nothing can be computed of it.
    """
    case = Case(settings, person, now or datetime.now(UTC))
    unknown = list(machines.types_known(case))
    return unknown or [violation for rule in SETTINGS_RULES for violation in rule(case)]


def check_resource(resource: Resource, settings: Settings) -> list[Violation]:
    """Every violation of one resource, whose props have been made `plain`."""
    return [violation for rule in RESOURCE_RULES for violation in rule(resource, settings)]


def check_stack(resources: Sequence[Resource], settings: Settings) -> list[Violation]:
    """Every violation that only the whole stack shows: what belongs to a bucket, and tags by the provider."""
    return [violation for rule in STACK_RULES for violation in rule(resources, settings)]


def must_pass(violations: Sequence[Violation]) -> None:
    """Raises RulesError if there are any."""
    if violations:
        if len(violations) == 1:
            raise RulesError(f"1 rule refused: {violations[0].message}")
        raise RulesError("\n  ".join([f"{len(violations)} rules refused", *(one.message for one in violations)]))


def warnings(settings: Settings) -> list[str]:
    """What is stated and not refused: unlike CPU or limits on compared platforms, memory that nothing enforces."""
    case = Case(settings, None, datetime.now(UTC))
    return [*workers.warnings(case), *parts.warnings(case)]
