"""The page: pages of answers, charts and tables as data, and the one file they are rendered into.

To add a page, write a function from Report to Page and add it to `pages`. To add a chart, add a Figure to its page.
"""

import functools
import json
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench import stats
from bench.report import charts, costs, findings
from bench.report.data import BASELINES, Measured, Report, Sourced, null_tests, overhead_of
from bench.report.parts import VEGA_LITE, Answers, Figure, Filters, Line, Page, Refs, Table
from bench.rows import Row
from catalog import published

LATEST, ALL = "latest", "all"
FOLDER = Path(__file__).parent
VEGA_GLOBAL = "window.vegaEmbed = vegaEmbed;"


def slices(measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    """What each choice of data, run and reader shows, by the key the page's script builds: `data|run|reader`."""
    readers = [*_readers(measured), ALL]
    found: dict[str, list[Measured]] = {}
    for m in measured:
        for run in [m.group.run, *([LATEST] if m.latest else [])]:
            for reader in readers if m.engine in BASELINES else [m.group.reader, ALL]:
                found.setdefault(f"{m.group.dataset}|{run}|{reader}", []).append(m)
    return found


def workload_page(found: Report, workload: str) -> Page:
    """The page of any workload whose rows are run times."""
    measured = [m for m in found.measured if m.group.workload == workload]
    parts = slices(measured)

    def titles(say: Callable[[list[Measured]], str]) -> dict[str, str]:
        return {key: say(part) for key, part in parts.items()}

    factors = [p for p in published.values() if p.metric == "cold_over_warm_factor" and p.value is not None]
    figures = [
        Figure(
            "run-times",
            titles(lambda part: findings.run_time_title(_in(part, "warm") or part)),
            f"Medians, with {stats.CONFIDENCE:.0%} intervals by bootstrap from {stats.MIN_SAMPLES} samples on; "
            "a tick is one sample. No interval is drawn for fewer. 1 GB is 2**30 bytes.",
            charts.run_times(measured),
            Table(
                "",
                ["variant", "condition", "n", "median s", "low s", "high s", "GB/s", "start-up s", "USD", "rows"],
                [_time_line(m) for m in measured],
            ),
        ),
        Figure(
            "phases",
            titles(lambda part: findings.phase_title(_in(part, "warm") or part)),
            "Spans of the sample nearest the median, left to right as they happen; the fuller the colour, the earlier.",
            charts.phases(measured),
            Table("", ["variant", "condition", "phase", "s", "share", "row"], list(_phase_lines(measured))),
        ),
        Figure(
            "cold-and-warm",
            titles(lambda part: findings.cold_title(_in(part, "warm"), _in(part, "cold"))),
            "Cold is the first run of new worker processes, with the machine's page cache as it was.",
            charts.cold_and_warm(measured),
            Table("", ["variant", "warm s", "cold s", "cold over warm", "rows"], list(_cold_lines(measured))),
        ),
        Figure(
            "start-up",
            titles(findings.startup_title),
            "Seconds to start the engine's parts and to open a session on them; not part of a run's time.",
            charts.startups(measured),
            Table(
                "",
                ["variant", "start-up s", "rows"],
                [
                    Line([m.variant, _number(m.startup_s), Refs(m.startup_refs)], _without(charts.tags(m), "condition"))
                    for m in charts.once_per_variant(measured)
                    if m.startup_s is not None
                ],
            ),
        ),
        Figure(
            "cost-and-time",
            titles(lambda part: findings.cost_title(_in(part, "warm") or part)),
            f"USD are modelled, not billed: the same worker-seconds, function seconds and requests at AWS prices "
            f"{_price_dates(measured)}. Start-up and idle time are not in them.",
            charts.cost_and_time(measured),
            Table(
                "",
                ["variant", "condition", "median s", "USD a run (modelled)", "prices of", "rows"],
                [
                    Line(
                        [
                            m.variant,
                            m.group.condition,
                            _number(m.estimate.median),
                            f"{m.usd:.8f}",
                            str(m.priced_on),
                            Refs(m.refs),
                        ],
                        charts.tags(m),
                    )
                    for m in measured
                    if m.usd is not None
                ],
            ),
        ),
    ]
    if workload == "ingest":
        figures.append(_published_factors(measured, parts, factors))
    samples = [s.row for s in found.rows if s.row.workload == workload and s.row.metric == "run_s"]
    counts = Counter("untimed" if row.condition == "none" else row.status for row in samples)
    return Page(
        key=workload,
        title=workload.capitalize(),
        lead=_lead(counts, found),
        filters=_filters(measured),
        answers=[
            Answers(key, condition, findings.answers(_in(part, condition)))
            for key, part in parts.items()
            for condition in ("warm", "cold", "none")
            if _in(part, condition)
        ],
        figures=[figure for figure in figures if figure.table.lines],
        tables=[_published_table()] if workload == "ingest" else [],
    )


def evidence_page(found: Report) -> Page:
    """What stands behind the figures: what does not count, the machine, the trust in the harness, every row."""
    lost = [
        Line([Refs([s.ref]), s.row.workload, s.row.label, s.row.condition, s.row.status, *_reason(s.row)])
        for s in found.uncounted
    ]
    tests = [
        Line(
            [
                *(m.group.workload, m.group.dataset, *_name(m), f"{test.differing} of {test.resamples}"),
                *(f"{test.direct.ratio:.2f}, {test.direct.verdict}", _outcome(test)),
            ]
        )
        for m, test in null_tests(found)
    ]
    return Page(
        key="evidence",
        title="Evidence",
        lead="What stands behind the figures, row by row.",
        tables=[
            Table("Samples that do not count", ["row", "workload", "engine", "condition", "status", "kind", "reason"],
                  lost, "Every sample counts: none was dropped, none failed."),
            Table("Lines that could not be read", ["file:line", "reason"],
                  [Line([f"{u.path}:{u.line}", u.reason]) for u in found.unreadable], "Every line was read."),
            Table("One engine against itself",
                  ["workload", "data", "variant", "condition", "false alarms", "as run: ratio", "A/A"],
                  tests, "No run compared an engine with itself; --engines dask,dask does.",
                  "Of 100 random splits of both labels' samples at most 10 may show a difference."),
            Table("Harness overhead", ["run", "engine", "n", "median share of the wall time"],
                  list(_overhead_lines(found)), "No row has phase spans.",
                  "Time of a run outside every span: what the harness itself takes."),
            Table("Workers", ["run", "engine", "count", "vCPU", "declared MiB", "limit MiB", "seen MiB", "enforced by"],
                  list(_worker_lines(found)), "No row tells of workers."),
            Table("Environment", ["run", "what", "value"], list(_environment_lines(found)), "No row tells."),
            Table("All rows",
                  ["row", "at (UTC)", "run", "workload", "engine", "reader", "condition", "data", "value", "status",
                   "answer", "commit"],
                  [_row_line(s) for s in found.rows], "No rows."),
        ],
    )  # fmt: skip


def pages(found: Report, today: date | None = None) -> list[Page]:
    """All pages that have something to show, in the order of the navigation. today: for the age of prices."""
    money = costs.pages(found, today or datetime.now(UTC).date()) if found.measured else []
    return [*(workload_page(found, workload) for workload in found.workloads), *money, evidence_page(found)]


def render(found: Report, now: datetime | None = None) -> str:
    """One HTML file that needs nothing else: style, script, charts and data inside."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["refs"] = lambda cell: isinstance(cell, Refs)
    return environment.get_template(
        "template.html.j2"
    ).render(
        pages=pages(found, now.date() if now else None) if found.rows or found.unreadable else [],
        style=Markup((FOLDER / "style.css").read_text()),  # noqa: S704  our own file
        script=Markup((FOLDER / "report.js").read_text()),  # noqa: S704  our own file
        vega=Markup(_vega()),  # noqa: S704  the wheel's own
        made_at=(now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        stacks=sorted({s.row.stack for s in found.rows}),
        span=[found.rows[0].row.at[:16], found.rows[-1].row.at[:16]] if found.rows else [],
        dumps=json.dumps,
        Markup=Markup,
    )


@functools.cache
def _vega() -> str:
    """Vega and its embedding as one script, bundled by the wheel in some seconds."""
    return vl_convert.javascript_bundle(VEGA_GLOBAL, VEGA_LITE).replace("</script", "<\\/script")


def _published_factors(
    measured: list[Measured], parts: dict[str, list[Measured]], factors: list[published.Published]
) -> Figure:
    lines = [
        Line([p.engine, "published", _number(p.value), f"{p.source}, {p.place}"], {"engine": p.engine}) for p in factors
    ]
    lines += [
        Line(
            [cold.variant, "ours", _number(cold.estimate.median / warm.estimate.median), Refs(warm.refs + cold.refs)],
            _without(charts.tags(cold), "condition"),
        )
        for warm, cold in _of(charts.pairs(measured), {p.engine for p in factors})
    ]
    theirs = {p.engine: p.value for p in factors if p.value is not None}
    return Figure(
        "published",
        {key: findings.published_title(_of(charts.pairs(part), theirs), theirs) for key, part in parts.items()},
        "Published: 128 workers on AWS, engines of 2023, inner clocks that differ per engine. Compare the order, "
        "not the figures.",
        charts.cold_factors(measured, factors),
        Table("", ["engine", "whose", "cold over warm", "source or rows"], lines),
    )


def _of(pairs: list[tuple[Measured, Measured]], engines: Container[str]) -> list[tuple[Measured, Measured]]:
    return [pair for pair in pairs if pair[0].engine in engines and not pair[0].double]


def _published_table() -> Table:
    shown = [p for p in published.values() if p.experiment in ("data_ingestion", "cluster_loading")]
    lines = [
        Line([p.metric.replace("_", " "), p.engine, p.platform, p.workers, f"{p.data_gb:g}" if p.data_gb else "",
              p.condition, _bounds(p), p.kind, f"{p.source}, {p.place}"])
        for p in shown
    ]  # fmt: skip
    columns = ["metric", "engine", "platform", "workers", "GB", "condition", "value", "kind", "source"]
    return Table("What the study states in its text", columns, lines, "", "Published values, none of them ours.")


def _bounds(value: published.Published) -> str:
    if value.value is not None:
        return f"{value.value:g} {value.unit}"
    if value.low is not None and value.high is not None:
        return f"{value.low:g} to {value.high:g} {value.unit}"
    return f"over {value.low:g} {value.unit}" if value.low is not None else f"under {value.high:g} {value.unit}"


def _in(part: Sequence[Measured], condition: str) -> list[Measured]:
    return [m for m in part if m.group.condition == condition]


def _readers(measured: Iterable[Measured]) -> list[str]:
    return sorted({m.group.reader for m in measured if m.engine not in BASELINES})


def _filters(measured: list[Measured]) -> Filters:
    newest = [m.group for m in reversed(measured)]
    engines = {m.engine for m in measured}
    return Filters(
        data=list(dict.fromkeys(g.dataset for g in newest)),
        runs=list(dict.fromkeys(g.run for g in newest)),
        readers=_readers(measured),
        engines=[e for e in charts.ENGINES if e in engines] + sorted(engines - set(charts.ENGINES)),
        conditions=[c for c in ("warm", "cold", "none") if any(g.condition == c for g in newest)],
    )


def _lead(counts: Counter[Any], found: Report) -> str:
    lost = [f"{counts[status]} {status}" for status in ("dropped", "failed") if counts[status]]
    text = f"{counts['ok']} samples count" + (f"; {' and '.join(lost)} (see Evidence)" if lost else "")
    text += f"; {counts['untimed']} untimed, to warm up" if counts["untimed"] else ""
    if found.unreadable:
        count = len(found.unreadable)
        text += f"; {count} line{'s' * (count != 1)} could not be read (see Evidence)"
    return text + "."


def _name(m: Measured) -> tuple[str, str]:
    return m.variant, m.group.condition


def _time_line(m: Measured) -> Line:
    e = m.estimate
    cells = [*_name(m), str(e.n), _number(e.median), _number(e.low), _number(e.high)]
    cells += [_number(m.gb_per_s), _number(m.startup_s), f"{m.usd:.6f}" if m.usd is not None else "-"]
    return Line([*cells, Refs(m.refs)], charts.tags(m))


def _phase_lines(measured: list[Measured]) -> Iterable[Line]:
    for m in measured:
        total_s = sum(m.phases.values())
        for name, spent_s in m.phases.items():
            share = f"{spent_s / total_s:.0%}" if total_s else "-"
            cells = [*_name(m), findings.words(name), _number(spent_s), share]
            yield Line([*cells, Refs([m.typical_ref])], charts.tags(m))


def _cold_lines(measured: list[Measured]) -> Iterable[Line]:
    for warm, cold in charts.pairs(measured):
        medians = [warm.estimate.median, cold.estimate.median]
        cells = [cold.variant, *map(_number, medians), _number(medians[1] / medians[0])]
        yield Line([*cells, Refs([*warm.refs, *cold.refs])], _without(charts.tags(cold), "condition"))


def _overhead_lines(found: Report) -> Iterable[Line]:
    shares: dict[tuple[str, str], list[float]] = {}
    for s in found.rows:
        if s.row.status == "ok" and (share := overhead_of(s.row)) is not None:
            shares.setdefault((s.row.run_id, s.row.label), []).append(share)
    for (run, label), values in shares.items():
        yield Line([run, label, str(len(values)), f"{stats.estimate(values).median:.2%}"])


def _worker_lines(found: Report) -> Iterable[Line]:
    seen = {(s.row.run_id, s.row.label, s.row.workers.model_copy(update={"pids": ()})): s.row.unequal
            for s in found.rows if s.row.workers}  # fmt: skip
    for (run, label, w), unequal in seen.items():
        marked = f"{label} (unequal)" if unequal else label
        facts = [w.count, f"{w.vcpu:g}", w.declared_mib, w.limit_mib or "-", w.seen_mib or "-", w.enforced_by]
        yield Line([run, marked, *map(str, facts)])


def _environment_lines(found: Report) -> Iterable[Line]:
    facts = {
        (s.row.run_id, what): str(value)
        for s in found.rows
        for what, value in {**s.row.machine, **s.row.versions, "commit": s.row.commit or "-"}.items()
    }
    for (run, what), value in facts.items():
        yield Line([run, what, value])


def _row_line(s: Sourced) -> Line:
    r = s.row
    value = "-" if r.value is None else f"{r.value:.4g} {r.unit}"
    cells = [s.ref, r.at[:19], r.run_id, r.workload, r.label, r.reader or "-", r.condition, s.dataset, value, r.status]
    return Line([*cells, (r.answer or "-")[:10], (r.commit or "-")[:10]], ref=s.ref)


def _reason(row: Row) -> tuple[str, str]:
    return (row.failure.kind, row.failure.message) if row.failure else ("-", "no reason given")


def _outcome(test: stats.NullTest) -> str:
    if test.direct.verdict == "too few":
        return f"can't say, {stats.MIN_SAMPLES} samples each are needed"
    return "passed" if test.passed else "FAILED"


def _price_dates(measured: list[Measured]) -> str:
    dates = sorted({str(m.priced_on) for m in measured if m.priced_on})
    return f"of {', '.join(dates)}" if dates else "of no known date"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}
