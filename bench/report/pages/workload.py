"""The page of any workload whose rows are run times; ingestion, sorting and palettes add what only they have."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from bench import stats
from bench.costs import dated
from bench.report import findings
from bench.report.charts import cost, times
from bench.report.charts.style import in_order
from bench.report.data import BASELINES, Measured, Report, without
from bench.report.pages import autoscaling, hybrid, ingest
from bench.report.parts import ALL, LATEST, Answers, Figure, Filters, Line, Page, Refs, Table, number

CONDITIONS = {"warm": "Warm runs", "cold": "First, cold runs", "none": "Runs"}
Parts = Mapping[str, list[Measured]]


class More(Protocol):
    """What a workload adds to the page: answers after the common ones, figures after the first, tables at the end."""

    def __call__(self, found: Report, measured: Sequence[Measured], parts: Parts) -> Page: ...


MORE: dict[str, More] = {"ingest": ingest.more, "sort": hybrid.more, "palette": autoscaling.more}


def slices(measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    """What each choice of data, run and reader shows, by the key the page's script builds: `data|run|reader`."""
    readers = [*_readers(measured), ALL]
    found: dict[str, list[Measured]] = {}
    for m in measured:
        for run in [m.group.run, *([LATEST] if m.latest else [])]:
            for reader in readers if m.engine in BASELINES else [m.group.reader, ALL]:
                found.setdefault(f"{m.group.dataset}|{run}|{reader}", []).append(m)
    return found


def page(found: Report, workload: str) -> Page:
    """The page of one workload."""
    measured = [m for m in found.measured if m.group.workload == workload]
    parts = slices(measured)
    title = workload.capitalize()
    more = MORE[workload](found, measured, parts) if workload in MORE else Page(workload, title, "")
    first, *rest = _figures(measured, parts)
    samples = [s.row for s in found.rows if s.row.workload == workload and s.row.metric == "run_s"]
    counts = Counter("untimed" if row.condition == "none" else row.status for row in samples)
    return Page(
        key=workload,
        title=more.title,
        lead=_lead(counts, found),
        filters=_filters(measured),
        answers=[
            *(
                Answers(key, condition, heading, findings.answers(_in(part, condition)))
                for key, part in parts.items()
                for condition, heading in CONDITIONS.items()
                if _in(part, condition)
            ),
            *more.answers,
        ],
        figures=[figure for figure in (first, *more.figures, *rest) if figure.table.lines],
        tables=more.tables,
    )


def _figures(measured: Sequence[Measured], parts: Parts) -> list[Figure]:
    def titles(say: Callable[[list[Measured]], str]) -> dict[str, str]:
        return {key: say(part) for key, part in parts.items()}

    return [
        Figure(
            "run-times",
            titles(lambda part: findings.run_time_title(_in(part, "warm") or part)),
            f"Medians, with {stats.CONFIDENCE:.0%} intervals by bootstrap from {stats.MIN_SAMPLES} samples on; "
            "a tick is one sample. No interval is drawn for fewer."
            + (" 1 GB is 2**30 bytes." if any(m.size and m.size[1] == "GB" for m in measured) else ""),
            times.run_times(measured),
            Table(
                "",
                ["variant", "condition", "n", "median s", "low s", "high s", "rate", "start-up s", "USD", "rows"],
                [_time_line(m) for m in measured],
            ),
            wide=True,
        ),
        Figure(
            "phases",
            titles(lambda part: findings.phase_title(_in(part, "warm") or part)),
            "Spans of the sample nearest the median, left to right as they happen; the fuller the colour, the earlier.",
            times.phases(measured),
            Table("", ["variant", "condition", "phase", "s", "share", "row"], list(_phase_lines(measured))),
        ),
        Figure(
            "cold-and-warm",
            titles(lambda part: findings.cold_title(_in(part, "warm"), _in(part, "cold"))),
            "Cold is the first run of new worker processes, with the machine's page cache as it was.",
            times.cold_and_warm(measured),
            Table("", ["variant", "warm s", "cold s", "cold over warm", "rows"], list(_cold_lines(measured))),
        ),
        Figure(
            "start-up",
            titles(findings.startup_title),
            "Seconds to start the engine's parts and to open a session on them; not part of a run's time.",
            times.startups(measured),
            Table(
                "",
                ["variant", "start-up s", "rows"],
                [
                    Line([m.variant, number(m.startup_s), Refs(m.startup_refs)], without(m.tags, "condition"))
                    for m in times.once_per_variant(measured)
                    if m.startup_s is not None
                ],
            ),
        ),
        Figure(
            "cost-and-time",
            titles(lambda part: findings.cost_title(_in(part, "warm") or part)),
            f"USD are modelled, not billed: the same worker-seconds, function seconds and requests at AWS "
            f"{_price_dates(measured)}. Start-up and idle time are not in them.",
            cost.cost_and_time(measured),
            Table(
                "",
                ["variant", "condition", "median s", "USD a run (modelled)", "prices of", "rows"],
                [_cost_line(m) for m in measured if m.usd is not None],
            ),
        ),
    ]  # fmt: skip


def _in(part: Sequence[Measured], condition: str) -> list[Measured]:
    return [m for m in part if m.group.condition == condition]


def _readers(measured: Iterable[Measured]) -> list[str]:
    return sorted({m.group.reader for m in measured if m.engine not in BASELINES})


def _filters(measured: Sequence[Measured]) -> Filters:
    newest = [m.group for m in reversed(measured)]
    return Filters(
        data=list(dict.fromkeys(g.dataset for g in newest)),
        runs=list(dict.fromkeys(g.run for g in newest)),
        readers=_readers(measured),
        engines=in_order(m.engine for m in measured),
        conditions=[c for c in CONDITIONS if any(g.condition == c for g in newest)],
    )


def _lead(counts: Counter[Any], found: Report) -> str:
    lost = [f"{counts[status]} {status}" for status in ("dropped", "failed") if counts[status]]
    text = f"{counts['ok']} samples count" + (f"; {' and '.join(lost)} (see Evidence)" if lost else "")
    text += f"; {counts['untimed']} untimed, to warm up" if counts["untimed"] else ""
    if found.unreadable:
        count = len(found.unreadable)
        text += f"; {count} line{'s' * (count != 1)} could not be read (see Evidence)"
    return text + "."


def _time_line(m: Measured) -> Line:
    e = m.estimate
    cells = [m.variant, m.group.condition, str(e.n), number(e.median), number(e.low), number(e.high)]
    cells += [m.rate, number(m.startup_s), f"{m.usd:.6f}" if m.usd is not None else "-"]
    return Line([*cells, Refs(m.refs)], m.tags)


def _phase_lines(measured: Sequence[Measured]) -> Iterable[Line]:
    for m in measured:
        total_s = sum(m.phases.values())
        for name, spent_s in m.phases.items():
            share = f"{spent_s / total_s:.0%}" if total_s else "-"
            cells = [m.variant, m.group.condition, findings.words(name), number(spent_s), share]
            yield Line([*cells, Refs([m.typical_ref])], m.tags)


def _cold_lines(measured: Sequence[Measured]) -> Iterable[Line]:
    for warm, cold in times.pairs(measured):
        medians = [warm.estimate.median, cold.estimate.median]
        cells = [cold.variant, *map(number, medians), number(medians[1] / medians[0])]
        yield Line([*cells, Refs([*warm.refs, *cold.refs])], without(cold.tags, "condition"))


def _cost_line(m: Measured) -> Line:
    cells = [m.variant, m.group.condition, number(m.estimate.median), f"{m.usd:.8f}", str(m.priced_on)]
    return Line([*cells, Refs(m.refs)], m.tags)


def _price_dates(measured: Sequence[Measured]) -> str:
    days = [m.priced_on for m in measured if m.priced_on]
    return dated(days) if days else "prices of no known day"
