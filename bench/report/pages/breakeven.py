"""When a cluster pays off: USD a day against runs a day, from rows where they suffice, else from the estimate."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench import stack
from bench.breakeven import Option, Spread, break_even, cheapest_functions, sentence, title
from bench.breakeven.sources import from_estimates, from_rows, jobs
from bench.report.charts import cost
from bench.report.data import Report, counts
from bench.report.parts import ANY, Figure, Line, Page, Refs, Table
from bench.stored import GB, data_words
from catalog.instances import UnknownInstanceTypeError
from catalog.prices import PriceError
from plan import settings
from plan.estimate.parameters import ParameterMissing
from plan.estimate.phases import Work
from plan.settings import SettingsError

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


def page(found: Report) -> Page | None:
    """None where there is nothing to compare."""
    shown = list(cases(found))
    if not shown:
        return None
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
    functions = cheapest_functions(case.options)
    return Figure(
        f"job-{number}",
        {ANY: title(case.options)},
        f"{sentence(case.options)} {source}: {case.words}. A cluster is kept up or started "
        "for each run, whichever is cheaper that day. Bands: "
        f"the range of the figures, none where there are too few samples.{local}",
        cost.break_even(case.options),
        Table(
            "",
            ["option", "a run s", "USD a run adds", "USD/h kept up", "as cheap at runs a day", "busy", "rows"],
            [_option_line(option, functions, case) for option in case.options],
        ),
    )


def _option_line(option: Option, functions: Option | None, case: Case) -> Line:
    even = break_even(option, functions) if functions and option.kind != "functions" else None
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
