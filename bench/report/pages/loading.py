"""Cluster loading (plots 1 to 4 of the cluster study): from the create command until every worker has run a task."""

from collections.abc import Callable, Sequence

from bench.report import findings
from bench.report.charts import loading as charts
from bench.report.charts import published
from bench.report.charts.style import in_order, short
from bench.report.data import Report, without
from bench.report.findings import Answer, dollars, seconds, with_interval
from bench.report.loads import SHARES, Load, loads
from bench.report.pages import study
from bench.report.parts import ALL, LATEST, Answers, Figure, Filters, Line, Page, Refs, Table, number
from catalog.published import Published

PHASE_WORDS = {"engine": "the engine's own start", "request": "waiting for a process", "first task": "its first task"}
PLATFORMS = {"local": "local processes", "ec2": "EC2 VMs", "eks": "Kubernetes", "lambda": "AWS Lambda"}


def page(found: Report) -> Page | None:
    """None where no start-up was measured."""
    field = loads(found)
    if not field:
        return None
    parts: dict[str, list[Load]] = {}
    for one in field:
        for run in [one.shape.run, *([LATEST] if one.latest else [])]:
            parts.setdefault(f"{one.shape.stack}|{run}|{ALL}", []).append(one)
    newest = list(reversed(field))
    lost = sum(s.row.workload == "startup" and s.row.status != "ok" for s in found.rows)
    return Page(
        key="startup",
        title="Start-up",
        lead=f"{sum(one.whole.n for one in field)} starts count; {lost} failed (see Evidence). Every start is from no "
        "workers, on the session's own way to scale.",
        filters=Filters(
            data=list(dict.fromkeys(one.shape.stack for one in newest)),
            runs=list(dict.fromkeys(one.shape.run for one in newest)),
            readers=[],
            engines=in_order(one.engine for one in field),
            conditions=[],
            name="Stack",
        ),
        answers=[Answers(key, "", f"Starting {_size(part)} workers", _answers(part)) for key, part in parts.items()],
        figures=_figures(field, parts),
        tables=[study.values("cluster_loading"), study.claims("cluster_loading")],
    )


def _figures(field: Sequence[Load], parts: dict[str, list[Load]]) -> list[Figure]:
    def titles(say: Callable[[list[Load]], str]) -> dict[str, str]:
        return {key: say(part) for key, part in parts.items()}

    flat, vertical = _flat(field), _vertical(field)
    figures = [
        Figure(
            "loading",
            titles(_flat_title),
            "Phases of the last worker's start, of the sample nearest the median: request until the node's first "
            "process is there, engine until the worker has joined, first task until its answer. A tick is one sample.",
            charts.by_workers(flat),
            Table("", ["engine", "workers", "nodes", "phase", "s", "row"], list(_phase_lines(flat))),
            wide=True,
        ),
        Figure(
            "growth",
            titles(lambda part: _growth_title(_flat(part))),
            "Both axes are logarithmic. Full line: until all workers have run a task; dashed: until the first has.",
            charts.growth(flat),
            Table("", ["engine", "workers", "nodes", "n", *(f"{name} s" for name in SHARES.values()), "USD", "rows"],
                  [_share_line(one) for one in flat], "",
                  "USD are modelled: all workers, paid for from the command until the last one's first task."),
        ),
        _published(field, parts),
    ]  # fmt: skip
    if vertical:
        vertical_figure = Figure(
            "node-size",
            titles(lambda part: _vertical_title(_vertical(part))),
            "The same number of workers in fewer, bigger nodes, stacked as above.",
            charts.by_node_size(vertical),
            Table("", ["engine", "workers", "nodes", "n", *(f"{name} s" for name in SHARES.values()), "USD", "rows"],
                  [_share_line(one) for one in vertical]),
        )  # fmt: skip
        figures.insert(2, vertical_figure)
    return figures


def _published(field: Sequence[Load], parts: dict[str, list[Load]]) -> Figure:
    theirs = [one for one in study.select("cluster_loading", "startup_time") if "Table 22" not in one.place or
              one.engine == "lithops"] + study.select("hybrid_costs", "startup_time")  # fmt: skip
    most = {one.engine: max(two.shape.workers for two in field if two.engine == one.engine) for one in field}
    ours = [one for one in _flat(field) if one.shape.workers == most[one.engine]]
    records = [
        published.ours(f"{one.engine}, {one.shape.workers} workers, {_where(one)}", one.engine, one.whole.median,
                       **without(one.tags, "engine"))
        for one in ours
    ] + [published.theirs(_name(one), one) for one in theirs]  # fmt: skip
    lines = [
        Line([f"{one.engine}, {one.shape.workers} workers", _where(one), "ours", seconds(one.whole.median),
              Refs(one.refs)], one.tags)
        for one in ours
    ] + [Line([_name(one), one.platform, "published", study.bounds(one), f"{one.source}, {one.place}"])
         for one in theirs]  # fmt: skip
    titles = {key: _published_title(part) for key, part in parts.items()}
    return Figure(
        "published",
        titles,
        "Published: 2023, 8 to 128 workers, other machines; a line is a published range. The axis is logarithmic.",
        published.beside(records, "Start-up (s, log)", lambda value: f"{short(value)} s"),
        Table("", ["what", "platform", "whose", "value", "source or rows"], lines),
    )


def _name(one: Published) -> str:
    said = f"{one.engine.replace('+', ', ')}, {study.platform(one)}: {one.condition}"
    return said.removeprefix("none, Kubernetes: ").replace(", AWS Lambda: function start", ", AWS Lambda")


def _where(one: Load) -> str:
    return PLATFORMS.get(one.platform, one.platform)


def _flat(field: Sequence[Load]) -> list[Load]:
    """Of each number of workers the smallest nodes: the horizontal form."""
    least: dict[tuple[str, str, int], int] = {}
    for one in field:
        key = (one.shape.stack, one.shape.label, one.shape.workers)
        least[key] = min(least.get(key, one.slots), one.slots)
    return [one for one in field if one.slots == least[one.shape.stack, one.shape.label, one.shape.workers]]


def _vertical(field: Sequence[Load]) -> list[Load]:
    """The largest number of workers that was started in nodes of several sizes, with all of these."""
    sizes: dict[int, set[int]] = {}
    for one in field:
        if one.engine != "lithops":
            sizes.setdefault(one.shape.workers, set()).add(one.slots)
    several = [workers for workers, slots in sizes.items() if len(slots) > 1]
    chosen = [one for one in field if several and one.shape.workers == max(several) and one.engine != "lithops"]
    return sorted(chosen, key=lambda one: one.slots)


def _size(part: Sequence[Load]) -> int:
    """The most workers that most engines were started with."""
    by_size: dict[int, set[str]] = {}
    for one in part:
        by_size.setdefault(one.shape.workers, set()).add(one.shape.label)
    return max(by_size, key=lambda workers: (len(by_size[workers]), workers))


def _ranked(part: Sequence[Load]) -> list[Load]:
    size = _size(part)
    return sorted((one for one in _flat(part) if one.shape.workers == size), key=lambda one: one.whole.median)


def _answers(part: Sequence[Load]) -> list[Answer]:
    ranked = _ranked(part)
    best = ranked[0]
    cheap = min(ranked, key=lambda one: one.usd)
    first = f"all had run a task after {with_interval(best.whole)}"
    fast = Answer("Which was ready first?", best.shape.label, first, best.refs, best.engine)
    paid = f"{dollars(float(cheap.usd)).replace('runs', 'starts')}, modelled: its workers paid for from the command on"
    money = Answer("Which was cheapest?", cheap.shape.label, paid, cheap.refs, cheap.engine)
    if len(ranked) == 1:
        alone = Answer("By how much?", "No rival", f"only {best.shape.label} was started", best.refs)
        return [fast, alone, Answer("How sure?", "Nothing to compare", best.whole.method, best.refs), money]
    following, last = ranked[1], ranked[-1]
    detail = f"{following.shape.label} needs {seconds(following.whole.median)}"
    if len(ranked) > 2:
        detail += f", {last.shape.label} {seconds(last.whole.median)}"
    lead = f"{following.whole.median / best.whole.median:.1f} times as fast"
    refs = [*best.refs, *following.refs]
    sure = findings.sureness(best.samples, following.samples)
    return [fast, Answer("By how much?", lead, detail, refs), Answer("How sure?", *sure, refs), money]


def _flat_title(part: Sequence[Load]) -> str:
    ranked = _ranked(part)
    slowest = ranked[-1]
    spans = slowest.typical.row.phases
    size, where = ranked[0].shape.workers, "no spans say on what"
    if whole_s := sum(spans.values()):
        phase = max(spans, key=lambda name: spans[name])
        where = f"{spans[phase] / whole_s:.0%} of it {PHASE_WORDS.get(phase, phase)}"
    if len(ranked) == 1:
        return f"{slowest.shape.label} has {size} workers after {seconds(slowest.whole.median)}, {where}"
    return (
        f"{size} workers take {ranked[0].shape.label} {seconds(ranked[0].whole.median)}, {slowest.shape.label} "
        f"{seconds(slowest.whole.median)}, {where}"
    )


def _growth_title(part: Sequence[Load]) -> str:
    grown: dict[str, tuple[float, int, int]] = {}
    for label in dict.fromkeys(one.shape.label for one in part):
        own = sorted((one for one in part if one.shape.label == label), key=lambda one: one.shape.workers)
        if own[-1].shape.workers > own[0].shape.workers:
            times = own[-1].whole.median / own[0].whole.median
            grown[label] = (times, own[0].shape.workers, own[-1].shape.workers)
    if not grown:
        return "Only one number of workers was started"
    most = max(grown, key=lambda label: grown[label][0])
    times, few, many = grown[most]
    others = [f"{label} {grown[label][0]:.1f}" for label in grown if label != most]
    rest = f" ({', '.join(others)})" if others else ""
    return f"From {few} to {many} workers {most} takes {times:.1f} times as long{rest}"


def _vertical_title(part: Sequence[Load]) -> str:
    if len({one.slots for one in part}) < 2:
        return "Nodes of one size only"
    said = []
    for label in dict.fromkeys(one.shape.label for one in part):
        own = sorted((one for one in part if one.shape.label == label), key=lambda one: one.slots)
        small, big = own[0], own[-1]
        said.append(
            f"{label} {seconds(big.whole.median)} in {big.shape.nodes} node{'s' * (big.shape.nodes > 1)} and "
            f"{seconds(small.whole.median)} in {small.shape.nodes}"
        )
    return f"{part[0].shape.workers} workers: {'; '.join(said)}"


def _published_title(part: Sequence[Load]) -> str:
    ranked = [one for one in _ranked(part) if one.engine != "lithops"]
    if not ranked:
        return "The study: 3 to 4 minutes for clusters on VMs, 15 to 30 s for pods; no cluster was started here"
    slowest = ranked[-1]
    return (
        f"The study waits minutes for machines; {slowest.shape.workers} workers as {_where(slowest)} take "
        f"{seconds(slowest.whole.median)} at most"
    )


def _phase_lines(field: Sequence[Load]) -> list[Line]:
    return [
        Line([one.shape.label, str(one.shape.workers), str(one.shape.nodes), phase, number(spent_s),
              Refs([one.typical.ref])], one.tags)
        for one in field
        for phase, spent_s in one.typical.row.phases.items()
    ]  # fmt: skip


def _share_line(one: Load) -> Line:
    shares = [number(one.shares[share].median if share in one.shares else None, ".2f") for share in SHARES]
    cells = [one.shape.label, str(one.shape.workers), str(one.shape.nodes), str(one.whole.n), *shares]
    return Line([*cells, f"{one.usd:.6f}", Refs(one.refs)], one.tags)
