"""A stack on paper: nodes, slots, workers, memory, CPU, price per hour, worst cost. No account, no network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from catalog.prices import PriceError
from plan import cost, rules
from plan.narrow import Fitted
from plan.person import Person
from plan.rules.case import Case
from plan.settings import Settings
from plan.sizing import FUNCTIONS, Size, concurrency_needed, sizes, vcpu_needed


@dataclass(frozen=True)
class DryRun:
    """What `python -m plan` prints. `usd_per_h`: by platform, with all it declares scaled up.

    `hours`: for which `worst_usd` is reckoned. `unjudged` says why quotas were not judged, where no person was given.
    Where the rules refuse an instance type or a price is missing, sizes or prices are empty and a violation says why.
    """

    settings: Settings
    region: str
    sizes: dict[str, Size]
    usd_per_h: dict[str, Decimal]
    hours: float
    worst_usd: Decimal | None
    warnings: list[str]
    violations: list[rules.Violation]
    unjudged: str | None


def dry_run(settings: Settings, person: Person | None = None, unjudged: str | None = None) -> DryRun:
    """Reckon one stack; `person` gives region and quotas, without it prices are those of the default region."""
    region = person.region if person else cost.DEFAULT_REGION
    now = datetime.now(UTC)
    violations, hours = rules.check_settings(settings, person, now), Case(settings, person, now).hours
    if any(violation.rule == "instance-known" for violation in violations):
        return DryRun(settings, region, {}, {}, hours, None, [], violations, unjudged)
    try:
        per_hour = cost.per_platform(cost.hourly(settings, region))
        lasting = settings.model_copy(update={"ttl_h": hours or None})
        worst = cost.worst_until_expiry(lasting, region) if settings.ttl_h or not per_hour else None
    except PriceError:
        per_hour, worst = {}, None
    said = rules.warnings(settings)
    return DryRun(settings, region, sizes(settings), per_hour, hours, worst, said, violations, unjudged)


def render(run: DryRun) -> RenderableType:
    """The dry run for a terminal."""
    return Group(*_parts(run))


def _parts(run: DryRun) -> Iterator[RenderableType]:
    settings = run.settings
    yield Text(f"stack {settings.stack} ({settings.program}), prices of {run.region}", style="bold")
    if run.sizes:
        yield _workers(run)
        yield from _lines("memory", sorted({f"{_named(run, size)}: {size.arithmetic}" for size in run.sizes.values()}))
    if run.usd_per_h:
        yield _prices(run)
    if run.worst_usd is not None and run.usd_per_h:
        budget = f", budget {settings.budget_usd:.2f}" if settings.budget_usd else ""
        yield Text(f"worst cost until expiry after {run.hours:g} h: {run.worst_usd:.2f} USD{budget}", style="bold")
    elif not run.usd_per_h and not run.violations:
        yield Text("nothing here is paid by the hour")
    yield from _lines("declared", list(_declared(settings)))
    yield from _lines("quotas to have, beside what else you run", list(_quotas(run)))
    yield from _lines("note", run.warnings)
    yield from _lines("not judged", [run.unjudged] if run.unjudged else [])
    yield from _lines("refused", [violation.message for violation in run.violations])


def _workers(run: DryRun) -> Fitted:
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False, padding=0)
    left, right = ("platform", "on", "held\nby"), ("nodes\nx slots", "workers", "declared\nMiB", "limit\nMiB")
    for heading in (*left[:2], *right, left[2], "vCPU\neach", "USD/h"):
        table.add_column(heading, justify="left" if heading in left else "right", no_wrap=True)
    for size in run.sizes.values():
        workers = f"{size.workers}" if size.min_workers in (0, size.workers) else f"{size.min_workers}-{size.workers}"
        price = run.usd_per_h.get(size.name)
        table.add_row(
            size.name,
            f"{size.platform} {size.instance_type}" if size.instance_type else size.platform,
            f"{size.nodes} x {size.slots_per_node}" if size.nodes else "-",
            workers,
            str(size.declared_mib),
            str(size.limit_mib),
            size.enforced_by if size.enforced_by != "none" else "nothing",
            f"{size.vcpu_per_worker:.2f}",
            f"{price:.2f}" if price is not None else "-",
        )
    return Fitted(table)


def _declared(settings: Settings) -> Iterator[str]:
    """All that the file says and what it leaves to defaults, so that whatever is changed in it is seen here."""
    document = settings.model_dump(by_alias=True, exclude_none=True, exclude={"stack", "program", "clusters"})
    document |= {
        f"clusters.{name}": c.model_dump(by_alias=True, exclude_none=True) for name, c in settings.clusters.items()
    }
    yield from (f"{key}: {_shown(value)}" for key, value in document.items() if value not in ([], False))


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _quotas(run: DryRun) -> Iterator[str]:
    """What an account must allow; the second and third where the stack has functions."""
    if not run.sizes or run.settings.program != "bench":
        return
    needed = [f"{vcpu_needed(run.settings)} vCPU of running On-Demand Standard instances"]
    if (pool := run.sizes.get(FUNCTIONS)) is not None:
        needed += [
            f"{concurrency_needed(pool.workers)} concurrent Lambda executions",
            f"{pool.limit_mib} MB of memory per function",
        ]
    yield ", ".join(needed)


def _prices(run: DryRun) -> Text:
    shared = {name: usd for name, usd in run.usd_per_h.items() if name not in run.sizes}
    parts = ", ".join(f"{name} {usd:.2f}" for name, usd in shared.items())
    return Text(f"besides, USD/h: {parts}" if parts else "nothing besides")


def _named(run: DryRun, size: Size) -> str:
    alike = [other.name for other in run.sizes.values() if other.arithmetic == size.arithmetic]
    return ", ".join(alike)


def _lines(title: str, lines: list[str]) -> Iterator[Text]:
    style = {"refused": "bold red", "note": "yellow", "not judged": "yellow"}.get(title, "dim")
    for line in lines:
        yield Text.assemble((f"{title}: ", style), line)
