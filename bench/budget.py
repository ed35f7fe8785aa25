"""A stack's budget around a command: refused before it, cancelled while it runs, its estimate kept beside what it took.

A guard without a budget lets everything pass; so do embedded stacks, unless their file gives them one: then what is
modelled counts as spent.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import click

from bench import stack
from bench.calibrate import estimate_row
from bench.costs import Prices, spending
from bench.deadline import deadline
from bench.engines import NEEDS, Sessions
from bench.failures import OverBudget
from bench.forecast import Asked, Forecast, calibrated, forecasts, target
from bench.rows import Billed, Row, append
from bench.stored import stored
from catalog.instances import UnknownInstanceTypeError
from catalog.prices import PriceError
from plan import billing, cost
from plan import estimate as estimates
from plan import settings as stacks
from plan.estimate import Terms
from plan.estimate.parameters import ParameterMissing
from plan.outputs import Outputs
from plan.settings import Settings
from plan.sizing import FUNCTIONS, sizes

SPENT = "breakeven.spent_usd"
"""Where a command line keeps what its caller knows of spent money: a driver host has no rows of earlier runs."""


@dataclass
class Guard:
    """Watches what a command spends. Without settings, or without a budget in them, nothing is held back."""

    settings: Settings | None = None
    region: str = cost.DEFAULT_REGION
    spent_usd: Decimal = Decimal(0)
    forecasts: Sequence[Forecast] = ()
    own: Sequence[str] = ()
    """Engines on a cluster of the user's own, which has no price here and so no bound."""
    over: bool = field(default=False, init=False)

    def refuse(self) -> None:
        """Raise plan.estimate.BudgetExceeded if the upper end of all forecasts passes what is left."""
        if self.settings:
            estimates.refuse_above_budget(self.settings, sum(one.usd.high for one in self.forecasts), self.spent_usd)

    @contextmanager
    def watched(self, engine: str, timeout_s: float) -> Iterator[None]:
        """A deadline: raises Deadline after `timeout_s`, or OverBudget when the budget is spent, whichever is first.

        The machines that the engine holds are counted as spent for all of it; functions for all of it only if it
        fails, since then nobody says how long they ran: else give what they did to `used`.
        """
        left_s, late = self.left_s(engine), None
        if left_s < timeout_s:
            late = OverBudget(self._said(engine, left_s))
        began, parts = time.perf_counter(), self._parts(engine)
        if late and left_s <= 0:
            self.over = True
            raise late
        try:
            with deadline(min(left_s, timeout_s), late):
                yield
            parts = [part for part in parts if part != FUNCTIONS]
        except OverBudget:
            self.over = True
            raise
        finally:
            if self._budget:
                per_s = sum((usd for name, usd in self._usd_per_s().items() if name in parts), Decimal(0))
                self.spent_usd += per_s * billing.exact(round(time.perf_counter() - began, 6))

    def used(self, billed: Billed) -> None:
        """Count what functions and requests of a run cost; machines are counted by `watched`."""
        if self.settings and self._budget:
            quantities = billed.model_dump() | {"node_s": {}, "worker_s": 0.0}
            self.spent_usd += Prices(region=self.region).usd(quantities, self.settings.worker)

    def left_s(self, engine: str) -> float:
        """Seconds for which an engine can run, its functions all at once, before the budget is spent."""
        if not (self.settings and self._budget) or engine in self.own:
            return float("inf")
        name = target(self.settings, engine) or ""
        real_s = estimates.affordable_s(self.settings, name, Terms(self.region), self.spent_usd)
        local = _modelled_usd_per_s(self.settings)
        per_s = sum((usd for part, usd in local.items() if part in self._parts(engine)), Decimal(0))
        left = billing.exact(self._budget) - self.spent_usd
        return min(real_s, max(0.0, float(left / per_s))) if per_s else real_s

    def keep(self, rows: Sequence[Row], path: Path) -> None:
        """Append each forecast that has a sample that counts: metric `estimate_s`, with `actual_s`, their median."""
        for one in self.forecasts:
            for condition, made in (("warm", one.warm), ("cold", one.cold)):
                done = [row for row in rows if (row.label, row.condition) == (one.label, condition) and _counts(row)]
                if done:
                    actual_s = statistics.median(row.value or 0.0 for row in done)
                    row = estimate_row(done[0], made, one.rows)
                    told = row.parameters | {"actual_s": actual_s, "actual": condition}
                    append(path, row.model_copy(update={"parameters": told}))
                    break

    @property
    def _budget(self) -> float | None:
        return self.settings.budget_usd if self.settings else None

    def _parts(self, engine: str) -> list[str]:
        bounded = self.settings and engine not in self.own
        name = target(self.settings, engine) if self.settings and bounded else None
        return [*(name.split("+") if name else []), *cost.SHARED]

    def _usd_per_s(self) -> dict[str, Decimal]:
        if self.settings is None:
            return {}
        per_hour = cost.per_platform(cost.hourly(self.settings, self.region))
        return {name: usd / 3600 for name, usd in per_hour.items()} | _modelled_usd_per_s(self.settings)

    def _said(self, engine: str, left_s: float) -> str:
        return (
            f"{engine}: {self.spent_usd:.4f} of budgetUsd {self._budget:g} were spent, which left {left_s:.1f} s: "
            "take less data or fewer repeats, or raise budgetUsd in the stack's file"
        )


def begin(sessions: Sessions, labels: Sequence[tuple[str, str]], asked: Asked) -> Guard:
    """The guard of a command on a stack, after refusing it above the budget.

    Raises plan.estimate.BudgetExceeded; for a stack with a budget also PriceError and ParameterMissing, for what can't
    be foreseen can't be held to it. Clusters of one's own have no price, so no budget.
    """
    outputs = sessions.outputs
    labels = [(label, engine) for label, engine in labels if not set(NEEDS[engine]) & set(sessions.own)]
    if outputs.stack == "own" or not labels:
        return Guard()
    settings = stacks.load(outputs.stack, stack.ROOT)
    try:
        made = forecasts(settings, labels, asked, calibrated(settings, asked)[0], Terms(outputs.region))
    except (PriceError, ParameterMissing, UnknownInstanceTypeError) as error:
        if settings.budget_usd is not None:
            raise
        click.echo(f"no estimate: {error}", err=True)
        return Guard()
    guard = Guard(
        settings, outputs.region, Decimal(0), made, [one for one in NEEDS if set(NEEDS[one]) & set(sessions.own)]
    )
    if settings.budget_usd is not None:
        context = click.get_current_context(silent=True)
        told = billing.exact(context.meta.get(SPENT, 0.0)) if context else Decimal(0)
        guard.spent_usd = max(told, spent_usd(stored(asked.results), settings, outputs))
        guard.refuse()
    return guard


def of_stack(outputs: Outputs, results: Path) -> Decimal:
    """What a stack has cost by the rows in `results`, 0 where it has no budget to spend. Raises as `spent_usd`."""
    settings = stacks.load(outputs.stack, stack.ROOT)
    return Decimal(0) if settings.budget_usd is None else spent_usd(stored(results), settings, outputs)


def spent_usd(rows: Sequence[Row], settings: Settings, outputs: Outputs, now: datetime | None = None) -> Decimal:
    """What this stack has cost since it is up: its rows since then, and what is shared by all engines for that time.

    Up since: expiry less `ttlH`; on `local`, where nothing expires, when its outputs were written. Raises
    plan.billing.ClockBackwards, catalog.prices.PriceMissing.
    """
    since, now = up_since(settings, outputs), now or datetime.now(UTC)
    own = [row for row in rows if row.stack == settings.stack and datetime.fromisoformat(row.at) >= since]
    of_rows = sum((one.total for one in spending(own, Prices(region=outputs.region))), Decimal(0))
    per_hour = cost.per_platform(cost.hourly(settings, outputs.region))
    shared = sum((per_hour.get(name, Decimal(0)) for name in cost.SHARED), Decimal(0))
    up_h = max(0.0, (now - since).total_seconds()) / 3600
    return of_rows + (shared * billing.exact(round(up_h, 6)) if shared else Decimal(0))


def up_since(settings: Settings, outputs: Outputs) -> datetime:
    """When this stack came up, as far as its outputs tell; all rows count where they don't."""
    if outputs.expires_at and settings.ttl_h:
        return datetime.fromisoformat(outputs.expires_at) - timedelta(hours=settings.ttl_h)
    written = stack.state_dir(settings.stack) / "outputs.json"
    return datetime.fromtimestamp(written.stat().st_mtime if written.is_file() else 0, UTC)


def _modelled_usd_per_s(settings: Settings) -> dict[str, Decimal]:
    """What local parts stand for: slots of an m6i.large, and Lambda at full concurrency."""
    prices, found = Prices(), {}
    for name, size in sizes(settings).items():
        if size.platform == "local":
            gb_s = {"function_gb_s": size.workers * size.declared_mib / billing.MIB_PER_GB}
            found[name] = prices.usd(gb_s if name == FUNCTIONS else {"worker_s": size.workers}, settings.worker)
    return found


def _counts(row: Row) -> bool:
    return row.metric == "run_s" and row.status == "ok" and row.value is not None
