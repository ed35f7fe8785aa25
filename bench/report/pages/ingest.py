"""What ingestion adds: workers' calls over time, and the study's cold runs beside ours."""

from collections.abc import Mapping, Sequence

from bench.report import findings
from bench.report.charts import times
from bench.report.data import Measured, Report, without
from bench.report.pages import study
from bench.report.parts import Figure, Line, Page, Refs, Table, number
from catalog.published import Published

TASKS = {"tasks": "warm", "tasks-cold": "cold"}
"""Figures of calls over time, by the condition that each shows."""


def more(found: Report, measured: Sequence[Measured], parts: Mapping[str, list[Measured]]) -> Page:
    """Figures and tables of ingestion."""
    factors = [one for one in study.select("data_ingestion", "cold_over_warm_factor") if one.value is not None]
    return Page(
        key="ingest",
        title="Ingest",
        lead="",
        figures=[*tasks(measured, parts), _published_factors(measured, parts, factors)],
        tables=[study.values("data_ingestion"), study.claims("data_ingestion")],
    )


def tasks(measured: Sequence[Measured], parts: Mapping[str, list[Measured]]) -> list[Figure]:
    """What each worker did while the data were read (the study's Figure 17): a figure of warm runs and one of cold
    ones, whose seconds on one axis would leave nothing of the warm ones to see."""
    told = [m for m in measured if m.typical.row.tasks and not m.double]
    found = {key: [m for m in told if m.group.condition == condition] for key, condition in TASKS.items()}
    return [_tasks(key, shown, parts) for key, shown in found.items() if shown]


def _tasks(key: str, shown: Sequence[Measured], parts: Mapping[str, list[Measured]]) -> Figure:
    lines = [
        Line([m.variant, m.group.condition, f"{'function' if task.on_function else 'worker'} {task.lane + 1}",
              number(task.began_s), number(task.ended_s), number(task.ended_s - task.began_s), Refs([m.typical_ref])],
             m.tags)
        for m in shown
        for task in m.typical.row.tasks
    ]  # fmt: skip
    return Figure(
        key,
        {of: findings.tasks_title([m for m in part if m in shown]) for of, part in parts.items()},
        "One bar is one call, by the worker's own clock, of the sample nearest the median: a lane for each worker "
        "process. Engines whose reader tells of no calls are left out.",
        times.tasks_over_time(shown),
        Table("", ["variant", "condition", "worker", "began s", "ended s", "took s", "row"], lines),
        wide=True,
    )


def _published_factors(
    measured: Sequence[Measured], parts: Mapping[str, list[Measured]], factors: Sequence[Published]
) -> Figure:
    lines = [
        Line([one.engine, "published", number(one.value), f"{one.source}, {one.place}"], {"engine": one.engine})
        for one in factors
    ]
    engines = {one.engine for one in factors}
    lines += [
        Line([cold.variant, "ours", number(cold.estimate.median / warm.estimate.median), Refs(warm.refs + cold.refs)],
             without(cold.tags, "condition"))
        for warm, cold in _of(times.pairs(measured), engines)
    ]  # fmt: skip
    theirs = {one.engine: one.value for one in factors if one.value is not None}
    return Figure(
        "published",
        {key: findings.published_title(_of(times.pairs(part), engines), theirs) for key, part in parts.items()},
        "Published: 128 workers on AWS, engines of 2023, inner clocks that differ per engine. Compare the order, "
        "not the figures.",
        times.cold_factors(measured, factors),
        Table("", ["engine", "whose", "cold over warm", "source or rows"], lines),
    )


def _of(pairs: list[tuple[Measured, Measured]], engines: set[str]) -> list[tuple[Measured, Measured]]:
    return [pair for pair in pairs if pair[0].engine in engines and not pair[0].double]
