"""What palettes add: how workers grew and shrank (plots 8 to 12 of the cluster study), with the study's times."""

from collections.abc import Callable, Mapping, Sequence

from bench.report import findings
from bench.report.charts import autoscaling as charts
from bench.report.charts import published
from bench.report.charts.style import short
from bench.report.data import Measured, Report, without
from bench.report.findings import Answer, seconds, with_interval
from bench.report.growth import METRICS, Growth, growths
from bench.report.pages import study
from bench.report.pages.loading import PLATFORMS
from bench.report.parts import Answers, Figure, Line, Page, Refs, Table, number
from bench.scaling import rate

PUBLISHED = {
    "delay_before_first_new_worker": "first_extra_s",
    "time_to_full_size": "to_max_s",
    "time_to_minimum_size": "to_min_s",
}
"""The study's metrics, by ours."""
Parts = Mapping[str, list[Measured]]


def more(found: Report, measured: Sequence[Measured], parts: Parts) -> Page:
    """Answers, figures and tables of autoscaling."""
    field = growths(found, measured)
    by_group = {one.of.group: one for one in field}
    grown = {key: [by_group[m.group] for m in part if m.group in by_group] for key, part in parts.items()}
    return Page(
        key="palette",
        title="Autoscaling",
        lead="",
        answers=[
            Answers(key, "", "Growing and shrinking", answers)
            for key, part in grown.items()
            if (answers := _answers([one for one in part if one.moves]))
        ],
        figures=[*_figures(field, grown), *_palette(found)],
        tables=[study.values("autoscaling"), study.claims("autoscaling")],
    )


def _figures(field: Sequence[Growth], grown: Mapping[str, list[Growth]]) -> list[Figure]:
    def titles(say: Callable[[list[Growth]], str]) -> dict[str, str]:
        return {key: say(part) for key, part in grown.items()}

    return [
        Figure(
            "workers",
            titles(_workers_title),
            "Of the sample nearest the median. Grey area: workers wanted and not ready; coloured area: ready and not "
            "wanted. Wanted is what the unfinished images could occupy, within the bounds. The broad line is the "
            "workers inside a task. Functions are there while they work, which is all that their platform tells.",
            charts.workers_over_time(field),
            Table("", ["variant", "condition", "s", "wanted", "starting", "ready", "busy", "leaving", "images", "row"],
                  [line for one in field for line in _step_lines(one)]),
            wide=True,
        ),
        Figure(
            "rate",
            titles(_rate_title),
            "Images done in each second, of the sample nearest the median.",
            charts.images_over_time(field),
            Table("", ["variant", "condition", "images", "run s", "images/s", "least in a second", "most", "rows"],
                  [_rate_line(one) for one in field]),
            wide=True,
        ),
        Figure(
            "areas",
            titles(_areas_title),
            "Worker-seconds from submission until the watch ended, medians of the samples.",
            charts.areas(field),
            Table("", ["variant", "condition", "what", "n", "median", "unit", "missed", "rows"],
                  [line for one in field for line in _metric_lines(one)]),
        ),
        _published(field, grown),
    ]  # fmt: skip


def _published(field: Sequence[Growth], grown: Mapping[str, list[Growth]]) -> Figure:
    records, lines = [], []
    told = [one for one in field if one.of.group.condition != "cold"] or field
    for theirs, metric in PUBLISHED.items():
        for one in told:
            if metric in one.times:
                name = f"{METRICS[metric]}: {one.of.variant}, {_where(one)}"
                value = one.times[metric].median
                tags = without(one.of.tags, "engine", "condition", "reader")
                if value > 0:
                    records.append(published.ours(name, one.of.engine, value, **tags))
                lines.append(Line([name, "ours", seconds(value), Refs(one.refs[metric])], one.of.tags))
        for other in study.select("autoscaling", theirs):
            name = f"{METRICS[metric]}: {other.engine.replace('+', ', ')}, {study.platform(other)}"
            if other.value != 0:  # printed as instant: no place on a log axis, so only in the table
                records.append(published.theirs(name, other))
            lines.append(Line([name, "published", study.bounds(other), f"{other.source}, {other.place}"]))
    return Figure(
        "published",
        {key: _published_title(part) for key, part in grown.items()},
        "Published: 4 to 50 workers, 2023, on AWS, GKE and IKS. The axis is logarithmic; functions, which the study "
        "calls instant (0 s), are in the table.",
        published.beside(records, "Seconds (log)", lambda value: f"{short(value)} s"),
        Table("", ["what", "whose", "value", "source or rows"], lines),
        wide=True,
    )


def _where(one: Growth) -> str:
    platform = one.of.typical.row.platform
    return PLATFORMS.get(platform, platform)


def _palette(found: Report) -> list[Figure]:
    """One image's colours, of the newest row that tells them (the study's Figure 18)."""
    told = next((s for s in reversed(found.rows) if s.row.metric == "palette"), None)
    if told is None:
        return []
    image, colours = (str(told.row.parameters[name]) for name in ("image", "colours"))
    shown = colours.split()
    return [
        Figure(
            "palette",
            {"*": f"{len(shown)} colours of {image}: every engine found the same"},
            "What one task gives back. A time counts only where the palettes of all images are the true ones.",
            charts.palette(image, shown),
            Table("", ["image", "colour", "place", "row"],
                  [Line([image, one, str(place), Refs([told.ref])]) for place, one in enumerate(shown, start=1)]),
        )
    ]  # fmt: skip


def _answers(part: Sequence[Growth]) -> list[Answer]:
    """Of clusters that an autoscaler moves, warm ones first."""
    warm = [one for one in part if one.of.group.condition == "warm"] or list(part)
    if not warm:
        return []
    return [_first(warm, "to_max_s", "Which had all workers first?"), *_compared(warm), _leanest(warm)]


def _first(field: Sequence[Growth], metric: str, question: str) -> Answer:
    reached = sorted((one for one in field if metric in one.times), key=lambda one: one.times[metric].median)
    if not reached:
        why = next((one.missed[metric] for one in field if metric in one.missed), "no sample tells")
        return Answer(question, "None", why, [ref for one in field for ref in one.refs.get(metric, [])])
    best = reached[0]
    detail = f"{with_interval(best.times[metric])} after the images were submitted"
    if "first_extra_s" in best.times:
        detail += f", the first extra one after {seconds(best.times['first_extra_s'].median)}"
    return Answer(question, best.of.variant, detail, best.refs[metric], best.of.engine)


def _compared(field: Sequence[Growth]) -> list[Answer]:
    reached = sorted((one for one in field if "to_max_s" in one.times), key=lambda one: one.times["to_max_s"].median)
    if len(reached) < 2:
        return []
    best, following = reached[:2]
    mine, next_s = best.times["to_max_s"].median, following.times["to_max_s"].median
    refs = [*best.refs["to_max_s"], *following.refs["to_max_s"]]
    lead = f"{next_s / mine:.1f} times as fast" if mine > 0 else f"{seconds(next_s)} ahead"
    sure = findings.sureness(best.samples["to_max_s"], following.samples["to_max_s"])
    detail = f"{following.of.variant} needs {seconds(next_s)}"
    return [Answer("By how much?", lead, detail, refs), Answer("How sure?", *sure, refs)]


def _leanest(field: Sequence[Growth]) -> Answer:
    """Who kept fewest worker-seconds that nobody wanted: they are what an idle cluster costs."""
    question = "Which kept fewest idle workers?"
    told = [one for one in field if "over_worker_s" in one.times]
    if not told:
        return Answer(question, "Not known", "no sample tells", [])
    best = min(told, key=lambda one: one.times["over_worker_s"].median)
    detail = f"{best.times['over_worker_s'].median:.0f} worker-seconds ready and not wanted"
    if "to_min_s" in best.times:
        detail += f"; back to the fewest {seconds(best.times['to_min_s'].median)} after the last image"
    return Answer(question, best.of.variant, detail, best.refs["over_worker_s"], best.of.engine)


def _workers_title(part: Sequence[Growth]) -> str:
    moved = [one for one in part if "to_max_s" in one.times]
    if not moved:
        missed = next((one for one in part if one.missed), None)
        if missed is None:
            return "No autoscaler was to move these workers"
        return f"{missed.of.variant}: {next(iter(missed.missed.values()))}"
    said = []
    for label in dict.fromkeys(one.of.variant for one in moved):
        one = next((g for g in moved if g.of.variant == label and g.of.group.condition == "warm"), None)
        one = one or next(g for g in moved if g.of.variant == label)
        down = f" and is back after {seconds(one.times['to_min_s'].median)}" if "to_min_s" in one.times else ""
        said.append(f"{label} has all workers after {seconds(one.times['to_max_s'].median)}{down}")
    return "; ".join(said)


def _rate_title(part: Sequence[Growth]) -> str:
    if not part:
        return "No sample tells of images over time"
    told = [one for one in part if one.run_s and one.of.group.condition != "cold"] or list(part)
    mean = {one.of.variant: one.steps[-1].done / one.run_s for one in told}
    ranked = sorted(mean, key=lambda variant: mean[variant], reverse=True)
    rest = "".join(f", {variant} {mean[variant]:.0f}" for variant in ranked[1:])
    return f"{ranked[0]} does {mean[ranked[0]]:.0f} images a second on average{rest}"


def _areas_title(part: Sequence[Growth]) -> str:
    told = [one for one in part if {"over_worker_s", "under_worker_s"} <= one.times.keys()]
    if not told:
        return "No sample tells of areas"
    most = max(told, key=lambda one: one.times["over_worker_s"].median)
    late = max(told, key=lambda one: one.times["under_worker_s"].median)
    lacks = "lacks" if late is most else f"{late.of.variant} lacks"
    return (
        f"{most.of.variant} keeps most workers idle ({most.times['over_worker_s'].median:.0f} worker-seconds) and "
        f"{lacks} most ({late.times['under_worker_s'].median:.0f})"
    )


def _published_title(part: Sequence[Growth]) -> str:
    ours = [one.times["to_max_s"].median for one in part if "to_max_s" in one.times]
    if not ours:
        return "The study: 10 to 120 s to full size, 10 to 12 s back; not reached here"
    here = seconds(max(ours)) if len(ours) == 1 else f"{seconds(min(ours))} to {seconds(max(ours))}"
    return f"To full size the study takes 10 to 120 s, here {here}, with fewer workers"


def _step_lines(one: Growth) -> list[Line]:
    return [
        Line([one.of.variant, one.of.group.condition, f"{step.at_s:.1f}", str(step.wanted), _count(step.starting),
              str(step.ready), str(step.busy), _count(step.leaving), str(step.done), Refs([ref])], one.of.tags)
        for step, ref in zip(one.steps, one.steps_refs, strict=True)
    ]  # fmt: skip


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)


def _rate_line(one: Growth) -> Line:
    each = [per_s for _, per_s in rate(one.steps)]
    done = one.steps[-1].done
    cells = [one.of.variant, one.of.group.condition, str(done), number(one.run_s), number(done / one.run_s, ".1f")]
    return Line(
        [*cells, f"{min(each, default=0):.0f}", f"{max(each, default=0):.0f}", Refs(one.steps_refs)], one.of.tags
    )


def _metric_lines(one: Growth) -> list[Line]:
    return [
        Line([one.of.variant, one.of.group.condition, METRICS[metric],
              str(one.times[metric].n if metric in one.times else 0),
              number(one.times[metric].median if metric in one.times else None, ".2f"),
              "worker-s" if "worker" in metric else "s", one.missed.get(metric, ""), Refs(one.refs[metric])],
             one.of.tags)
        for metric in METRICS
        if metric in one.refs
    ]  # fmt: skip
