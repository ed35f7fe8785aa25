"""What it cost and when a cluster pays off: the pages Break-even and Cost."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from bench import stack
from bench.breakeven import Option, Spread, break_even, sentence
from bench.breakeven.sources import from_estimates, from_rows, jobs
from bench.costs import Prices, Spending, Unpriced, ledger, worker_of
from bench.report import charts
from bench.report.data import GB, Report, Sourced, counts, data_words
from bench.report.parts import Figure, Line, Page, Refs, Table
from catalog.instances import UnknownInstanceTypeError
from catalog.prices import Price, PriceError, price_sets, warnings
from plan import settings
from plan.cost import prices_of
from plan.estimate.parameters import ParameterMissing
from plan.estimate.phases import Work
from plan.settings import SettingsError

ALWAYS = "|latest|all"
"""The slice that the page's script asks for where a page has no filters."""
ASSUMED = ("bench-128", 50.0)
"""The stack and GB that are estimated where neither rows nor the estimate of their stack suffice."""


@dataclass(frozen=True)
class Case:
    """Options to compare, and where their figures come from."""

    options: list[Option]
    words: str
    measured: bool
    local: bool
    refs: dict[str, list[str]]


def pages(found: Report, today: date) -> list[Page]:
    """Both pages; the first one only where there is something to compare."""
    shown = list(cases(found))
    compared = [_break_even_page(shown)] if shown else []
    return [*compared, cost_page(found, today)]


def cases(found: Report) -> Iterator[Case]:
    """A Case for each job of which both functions and a cluster were measured; where there is none, the estimate's."""
    by_row = {id(sourced.row): sourced for sourced in found.rows}
    found_jobs = jobs(s.row for s in found.rows).items()
    largest_first = sorted(found_jobs, key=lambda item: (item[0].size_bytes, item[1][-1].at), reverse=True)
    any_case = False
    for job, rows in largest_first:
        try:
            options = from_rows(rows)
        except PriceError:  # told on the page Cost, with the row
            continue
        if _suffices(options):
            any_case = True
            refs: dict[str, list[str]] = defaultdict(list)
            for row in rows:
                if counts(row) and row.condition == "warm":
                    refs[row.label].append(by_row[id(row)].ref)
            data = next(row for row in rows if row.metric == "run_s")
            reader = f", {job.reader} reader" if job.reader else ""
            yield Case(
                options,
                f"{job.workload} of {data_words(data)} on {job.stack}{reader}",
                True,
                data.platform == "local",
                refs,
            )
    if not any_case and (made := _estimated(found)):
        yield made


def cost_page(found: Report, today: date) -> Page:
    """What each engine's share of each run cost, how good the estimate was, and the prices behind all of it."""
    spent = list(_spent_lines(found))
    used, unpriced = _prices_used(found.rows)
    sets = price_sets(used, today)
    old = warnings(sets)
    lead = "USD are derived from billed quantities and dated prices when the report is written."
    if old:
        lead = f"Warning: {'; '.join(old)}."
    return Page(
        key="cost",
        title="Cost",
        lead=lead,
        tables=[
            Table("What was spent",
                  ["run", "stack", "engine", "start-up USD", "runs USD", "idle USD", "teardown USD", "total USD",
                   "USD per TB", "state"],
                  spent, "No row has billed quantities.",
                  "Idle is what a cluster costs while nothing runs on it. Engines that share a cluster pay for its "
                  "start, idle time and end once; one that stays up between commands has these in a line of its own, "
                  "from when it went down. Open: no teardown row, so it may still grow. Stacks on local are priced as "
                  "modelled."),
            Table("Estimate against actual",
                  ["row", "workload", "engine", "estimate s", "range s", "measured s", "of", "error"],
                  list(_estimate_lines(found.rows)), "No run has kept its estimate.",
                  "The estimate was made before the run, from published figures and the rows there were."),
            Table("Price sets used", ["valid on", "last checked", "age in days", "items", "state"],
                  [Line([str(one.valid_on), str(one.checked_on), str(one.age_days), ", ".join(one.items),
                         "OLD: run make prices" if one.stale else "checked"]) for one in sets],
                  "No price was used."),
            *([Table("Without a price", ["row", "reason"], unpriced)] if unpriced else []),
        ],
    )  # fmt: skip


def _break_even_page(shown: Sequence[Case]) -> Page:
    source = "measured rows" if shown[0].measured else "the estimate, since no job was measured on both"
    return Page(
        key="break-even",
        title="Break-even",
        lead=f"When does a cluster pay off, and when do functions? From {source}.",
        figures=[_figure(number, case) for number, case in enumerate(shown)],
    )


def _figure(number: int, case: Case) -> Figure:
    source = "From measured rows" if case.measured else "From the estimate, not measured"
    local = " USD are modelled: local stacks have no bill." if case.local else ""
    functions = [option for option in case.options if option.kind == "functions"]
    return Figure(
        f"job-{number}",
        {ALWAYS: sentence(case.options)},
        f"{source}: {case.words}. A cluster is kept up or started for each run, whichever is cheaper that day. Bands: "
        f"the range of the figures, none where there are too few samples.{local}",
        charts.break_even(case.options),
        Table(
            "",
            ["option", "a run s", "USD a run adds", "USD/h kept up", "as cheap at runs a day", "busy", "rows"],
            [_option_line(option, functions, case) for option in case.options],
        ),
    )


def _option_line(option: Option, functions: Sequence[Option], case: Case) -> Line:
    even = break_even(option, functions[0]) if option.kind != "functions" else None
    runs = _spread(even.runs_per_day, ",.0f") if even and even.runs_per_day else even.reason if even else "-"
    busy = f"{even.busy_share.value:.0%}" if even else "-"
    cells = [option.name, _spread(option.run_s, ".2f"), _spread(option.run_usd, ".3g"), f"{option.hold_usd_per_h:.4f}"]
    return Line([*cells, runs, busy, Refs(case.refs.get(option.name, []))], {"engine": option.name})


def _spread(found: Spread, form: str) -> str:
    one = f"{found.value:{form}}"
    return one if found.low == found.high else f"{one} ({found.low:{form}} to {found.high:{form}})"


def _suffices(options: Sequence[Option]) -> bool:
    return {"functions", "cluster"} <= {option.kind for option in options} and all(
        option.run_usd.value > 0 for option in options if option.kind == "functions"
    )


def _estimated(found: Report) -> Case | None:
    """The estimate for the stack and size of the newest rows, or of a published shape; None where neither is known."""
    sizes = [s.row.data.size_bytes / GB for s in found.rows if s.row.data and s.row.data.size_bytes]
    newest = (found.rows[-1].row.stack, sizes[-1]) if sizes else ASSUMED
    for name, gb in dict.fromkeys((newest, ASSUMED)):
        try:
            declared = settings.load(name, stack.ROOT)
            options = from_estimates(declared, Work("ingest", gb=gb))
        except (SettingsError, PriceError, ParameterMissing, UnknownInstanceTypeError, ValueError):
            continue
        engines = {cluster: one.engine for cluster, one in declared.clusters.items()} | {"functions": "lithops"}
        named = [replace(one, name="+".join(engines[part] for part in one.name.split("+"))) for one in options]
        if _suffices(named):
            return Case(named, f"ingest of {gb:.3g} GB on {name}", False, declared.program == "embedded", {})
    return None


def _spent_lines(found: Report) -> Iterator[Line]:
    for one in ledger(sourced.row for sourced in found.rows):
        if isinstance(one, Unpriced):
            yield Line([one.run_id, one.stack, one.label, *["-"] * 6, str(one.error)])
        elif one.total:
            yield _spent_line(one)


def _spent_line(one: Spending) -> Line:
    teardown = "not yet" if one.teardown is None else f"{one.teardown:.6f}"
    parts = [f"{one.startup:.6f}", f"{one.run:.6f}", f"{one.idle:.6f}", teardown, f"{one.total:.6f}"]
    per_tb = "-" if one.usd_per_tb is None else f"{one.usd_per_tb:.2f}"
    return Line([one.run_id, one.stack, one.label, *parts, per_tb, "OPEN" if one.open else "ended"])


def _estimate_lines(rows: Iterable[Sourced]) -> Iterator[Line]:
    for sourced in rows:
        row, told = sourced.row, sourced.row.parameters
        actual_s = told.get("actual_s")
        if row.metric != "estimate_s" or row.value is None or not isinstance(actual_s, float) or not actual_s:
            continue
        span = f"{float(told['estimate_low_s'] or 0):.2f} to {float(told['estimate_high_s'] or 0):.2f}"
        cells = [row.workload, row.label, f"{row.value:.2f}", span, f"{actual_s:.2f}", str(told.get("actual", "warm"))]
        yield Line([Refs([sourced.ref]), *cells, f"{row.value / actual_s - 1:+.0%}"])


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
