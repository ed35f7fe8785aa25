"""What the cluster study states in its text, as tables, and its claims."""

from collections.abc import Callable, Sequence

from bench.report.parts import Line, Table
from catalog import published
from catalog.published import Published

STUDY = "the cluster study"


def values(*experiments: str, only: Callable[[Published], bool] = lambda _: True) -> Table:
    """Published values of these experiments, each with its place."""
    lines = [
        Line([one.metric.replace("_", " "), one.engine.replace("+", ", "), one.platform, one.workers,
              f"{one.data_gb:g}" if one.data_gb else "", one.condition, bounds(one), one.kind,
              f"{one.source}, {one.place}"])
        for one in published.values()
        if one.experiment in experiments and only(one)
    ]  # fmt: skip
    columns = ["metric", "engine", "platform", "workers", "GB", "condition", "value", "kind", "source"]
    return Table("What the study states in its text", columns, lines, "", "Published values, none of them ours.")


def claims(*experiments: str) -> Table:
    """Findings that the study puts in words, and how rows could test each."""
    lines = [
        Line([one.claim, one.testable_as, f"{one.source}, {one.place}"])
        for one in published.claims()
        if one.experiment in experiments
    ]
    return Table("What the study says in words", ["finding", "what would test it", "source"], lines, "",
                 "Its plots are pictures without printed values, so nothing is drawn from them.")  # fmt: skip


def bounds(value: Published) -> str:
    """A value, a range or an open bound with its unit."""
    if value.value is not None:
        return f"{value.value:g} {value.unit}"
    if value.low is not None and value.high is not None:
        return f"{value.low:g} to {value.high:g} {value.unit}"
    return f"over {value.low:g} {value.unit}" if value.low is not None else f"under {value.high:g} {value.unit}"


def platform(value: Published) -> str:
    """In short, for a chart."""
    return value.platform.replace("managed ", "").replace("EC2 ", "").replace("AWS ", "")


def select(experiment: str, metric: str, engines: Sequence[str] = ()) -> list[Published]:
    """Published values of one metric, those named only if any are."""
    return [
        one
        for one in published.values()
        if (one.experiment, one.metric) == (experiment, metric) and (not engines or one.engine in engines)
    ]
