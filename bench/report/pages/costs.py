"""What it cost: every command by its parts, and the prices behind all amounts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from bench.costs import Prices, Spending, Unpriced, ledger, worker_of
from bench.report.charts import cost
from bench.report.charts.style import colour, in_order
from bench.report.data import Report
from bench.report.findings import Answer, dollars
from bench.report.parts import ALL, LATEST, Answers, Figure, Filters, Line, Page, Refs, Table
from bench.stored import Sourced
from catalog.prices import Price, PriceError, price_sets, warnings
from plan.cost import prices_of

PARTS = {"startup": "start-up", "run": "runs", "idle": "idle", "teardown": "teardown"}
COSTED = ("run_s", "startup_s", "teardown_s")
"""Metrics of the rows that an amount comes from."""


@dataclass(frozen=True)
class Spent:
    """One engine's share of one command, with the rows behind it. latest: no later command did the same."""

    of: Spending
    command: str
    refs: list[str]
    latest: bool

    @property
    def tags(self) -> dict[str, Any]:
        """The fields by which the page filters."""
        return {"engine": self.of.engine, "data": self.command, "run": self.of.run_id, "latest": self.latest}


def page(found: Report, today: date) -> Page:
    """Commands, prices, and what could not be priced. today: for the age of prices."""
    spent, broken = _spent(found)
    used, unpriced = _prices_used(found.rows)
    sets = price_sets(used, today)
    old = [*warnings(sets), *_code_only(found.rows)]
    lead = "USD are derived from billed quantities and dated prices when the report is written."
    if old:
        lead = f"Warning: {'; '.join(old)}."
    newest = list(reversed(spent))
    parts: dict[str, list[Spent]] = defaultdict(list)
    for one in spent:
        for run in [one.of.run_id, *([LATEST] if one.latest else [])]:
            parts[f"{one.command}|{run}|{ALL}"].append(one)
    return Page(
        key="cost",
        title="Cost",
        lead=lead,
        filters=Filters(
            # What a reader looks for first ran something; a stack's `down` costs what its clusters idled.
            data=list(dict.fromkeys(one.command for one in sorted(newest, key=lambda one: not one.of.runs))),
            runs=list(dict.fromkeys(one.of.run_id for one in newest)),
            readers=[],
            engines=in_order(one.of.engine for one in spent),
            conditions=[],
            name="Command",
        ),
        answers=[Answers(key, "", "The whole command", _answers(part)) for key, part in parts.items()],
        figures=[_figure(spent, parts)] if spent else [],
        tables=[
            *([Table("Could not be priced", ["run", "engine", "reason"], broken)] if broken else []),
            Table("Price sets used", ["valid on", "last checked", "age in days", "items", "state"],
                  [Line([str(one.valid_on), str(one.checked_on), str(one.age_days), ", ".join(one.items),
                         "OLD: run make prices" if one.stale else "checked"]) for one in sets],
                  "No price was used."),
            *([Table("Without a price", ["row", "reason"], unpriced)] if unpriced else []),
        ],
    )  # fmt: skip


def _code_only(rows: Sequence[Sourced]) -> list[str]:
    """What is to be said of rows from before functions were billed with what runs around the user's code."""
    held = [s for s in rows if s.row.billed.function_requests and s.row.billed.function_code_s is None]
    if not held:
        return []
    return [f"{len(held)} rows from before 2026-11-27 bill functions for the user's code only, without their handler"]


def _spent(found: Report) -> tuple[list[Spent], list[Line]]:
    """What each command cost, and those whose rows cannot be priced."""
    groups: dict[tuple[str, str], list[Sourced]] = defaultdict(list)
    for sourced in found.rows:
        groups[sourced.row.run_id, sourced.row.label].append(sourced)
    spent, broken = [], []
    for one in ledger(sourced.row for sourced in found.rows):
        group = groups[one.run_id, one.label]
        if isinstance(one, Unpriced):
            broken.append(Line([one.run_id, one.label, str(one.error)]))
        elif one.total:
            refs = [s.ref for s in group if s.row.metric in COSTED]
            spent.append(Spent(one, f"{group[0].row.workload} on {one.stack}", refs, latest=True))
    newest = {(one.command, one.of.label): one.of.run_id for one in spent}
    return [
        Spent(one.of, one.command, one.refs, newest[one.command, one.of.label] == one.of.run_id) for one in spent
    ], broken


def _figure(spent: Sequence[Spent], parts: Mapping[str, list[Spent]]) -> Figure:
    records = [
        {**one.tags, "variant": one.of.label, "part": PARTS[name], "turn": turn, "usd": float(usd or 0),
         "total": float(one.of.total), "colour": colour(one.of.engine),
         "said": f"{float(one.of.total):.3g}" + (", open" if one.of.open else "")}
        for one in spent
        for turn, name in enumerate(PARTS)
        for usd in [getattr(one.of, name)]
    ]  # fmt: skip
    return Figure(
        "spent",
        {key: _title(part) for key, part in parts.items()},
        "Idle is what a cluster costs while nothing runs on it. Engines that share a cluster pay for its start, idle "
        "time and end once; one that stays up between commands has these in a line of its own, from when it went "
        "down. Open: no teardown row, so it may still grow. Stacks on local have no bill: their amounts are modelled.",
        cost.spent(records, list(PARTS.values())),
        Table(
            "",
            ["run", "stack", "engine", "start-up USD", "runs USD", "idle USD", "teardown USD", "total USD",
             "USD per TB", "state", "rows"],
            [_spent_line(one) for one in spent],
        ),
        wide=True,
    )  # fmt: skip


def _spent_line(spent: Spent) -> Line:
    one = spent.of
    teardown = "not yet" if one.teardown is None else f"{one.teardown:.6f}"
    parts = [f"{one.startup:.6f}", f"{one.run:.6f}", f"{one.idle:.6f}", teardown, f"{one.total:.6f}"]
    per_tb = "-" if one.usd_per_tb is None else f"{one.usd_per_tb:.2f}"
    state = "OPEN" if one.open else "ended"
    return Line([one.run_id, one.stack, one.label, *parts, per_tb, state, Refs(spent.refs)], spent.tags)


def _ranked(part: Sequence[Spent]) -> list[Spent]:
    return sorted(part, key=lambda one: one.of.total)


def _answers(part: Sequence[Spent]) -> list[Answer]:
    ranked = _ranked(part)
    best, dearest = ranked[0], ranked[-1]
    most_idle = max(part, key=lambda one: one.of.idle / one.of.total)
    left = [one.of.label for one in part if one.of.open]
    share = float(most_idle.of.idle / most_idle.of.total)
    said = [
        Answer("Which cost least?", best.of.label, f"{_usd(best)} {_for(best)}", best.refs, best.of.engine),
        Answer("By how much?", f"{1 - float(best.of.total / ranked[1].of.total):.0%} less",
               f"than {ranked[1].of.label}; {dearest.of.label} costs {float(dearest.of.total / best.of.total):.1f} "
               "times as much", [*best.refs, *ranked[1].refs]) if len(ranked) > 1
        else Answer("By how much?", "No rival", f"only {best.of.label} was run", best.refs),
        Answer("Where was most of it idle?", most_idle.of.label, f"{share:.0%} of its cost is idle time",
               most_idle.refs, most_idle.of.engine),
        Answer("How sure?", "Complete" if not left else "Still open",
               f"no teardown row of {', '.join(left)}: may still grow" if left else "each machine's end is in the rows",
               []),
    ]  # fmt: skip
    return said


def _for(one: Spent) -> str:
    if not one.of.runs:
        return "between commands, when nothing ran on it, and for its end"
    return f"for {one.of.runs} run{'s' * (one.of.runs != 1)} that count{'s' * (one.of.runs == 1)}"


def _usd(one: Spent) -> str:
    return dollars(float(one.of.total)).replace("runs", "such commands")


def _title(part: Sequence[Spent]) -> str:
    ranked = _ranked(part)
    whole = sum(float(one.of.total) for one in part)
    shares = {PARTS[name]: sum(float(getattr(one.of, name) or 0) for one in part) / whole for name in PARTS}
    most = max(shares, key=lambda name: shares[name])
    if len(ranked) == 1:
        return f"{ranked[0].of.label} cost {_usd(ranked[0])}, most of it {most} ({shares[most]:.0%})"
    times = float(ranked[-1].of.total / ranked[0].of.total)
    least = f"{ranked[0].of.label} cost least, {ranked[-1].of.label} {times:.1f} times as much"
    return f"{least}; {shares[most]:.0%} of all is {most}"


def _prices_used(rows: Sequence[Sourced]) -> tuple[list[Price], list[Line]]:
    used: dict[Price, None] = {}
    unpriced = []
    region = Prices().region
    for sourced in rows:
        row = sourced.row
        if row.metric == "run_s" and row.value is not None:
            try:
                used |= dict.fromkeys(prices_of(row.billed.model_dump(), worker_of(row), region=region))
            except PriceError as error:
                unpriced.append(Line([Refs([sourced.ref]), str(error)]))
    return list(used), unpriced
