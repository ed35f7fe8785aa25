"""The study's comparison of clusters and functions by seven criteria, filled from our rows (its tables 3 and 22)."""

from collections.abc import Callable, Iterable, Sequence

from bench.report.charts import times
from bench.report.data import Measured, Report
from bench.report.findings import dollars, seconds
from bench.report.growth import growths
from bench.report.loads import loads
from bench.report.pages import study
from bench.report.parts import Line, Page, Refs, Table
from catalog.published import Published
from plan.model import Model
from plan.settings import Cluster, Functions

NOT_MEASURED = "not measured"
SIDES: dict[str, Callable[[str], bool]] = {
    "clusters": lambda engine: engine in ("ray", "dask"),
    "functions": lambda engine: engine == "lithops",
    "hybrids": lambda engine: "+" in engine,
}
Cells = dict[str, tuple[str, list[str]]]


def page(found: Report) -> Page:
    """One table; a cell without rows says so."""
    field = [m for m in found.measured if m.latest and not m.double]
    criteria: list[tuple[str, str, Cells, list[Published]]] = [
        ("Deployment", "from the create command until all workers have run a task", _deployment(found),
         [one for one in study.select("cluster_loading", "startup_time") if "section 6 item 1" in one.place]),
        ("Cold start", "first run over a warm one", _cold(field),
         study.select("data_ingestion", "cold_over_warm_factor")),
        ("Use of resources", "worker-seconds ready, not wanted, and wanted, not ready", _areas(found, field),
         study.select("autoscaling", "time_to_minimum_size")),
        ("Scalability", "from submission until all workers were ready", _scaling(found, field),
         study.select("autoscaling", "time_to_full_size")),
        ("Control", "settings that a stack's file can state", _settings(), []),
        ("Maintenance", "runs that failed or were dropped, of all", _lost(found), []),
        ("Cost", "of one warm run of the largest work, modelled", _cost(field),
         study.select("hybrid_costs", "cost_total")),
    ]  # fmt: skip
    lines = []
    for name, how, cells, theirs in criteria:
        ours = [Refs(refs, said) for side in SIDES for said, refs in [cells.get(side, (NOT_MEASURED, []))]]
        lines.append(Line([f"{name}: {how}", *ours, _published(theirs)]))
    return Page(
        key="comparison",
        title="Comparison",
        lead="Clusters, functions and both together by the study's seven criteria, from the latest rows of each.",
        tables=[
            Table("By criteria", ["criterion", *SIDES, "published, of the study"], lines, "",
                  "Medians, least to greatest over engines and shapes. Control and maintenance have no figure in the "
                  "study. Published values are of 2023 on AWS, IBM and Google; ours are of the platforms in Evidence.",
                  always_open=True),
            study.values("ray_task_intro", "framework_comparison"),
            study.claims("framework_comparison"),
        ],
    )  # fmt: skip


def _published(theirs: Sequence[Published]) -> str:
    def of(one: Published) -> str:
        return one.engine.replace("+", ", ").replace("none", one.condition)

    return "; ".join(f"{of(one)} on {one.platform}: {study.bounds(one)} ({one.place})" for one in theirs)


def _span(values: Sequence[float], say: Callable[[float], str]) -> str:
    low, high = say(min(values)), say(max(values))
    return low if low == high else f"{low} to {high}"


def _by_side(
    items: Iterable[tuple[str, float, list[str]]],
    say: Callable[[float], str],
    note: Callable[[str], str] = lambda _: "",
) -> Cells:
    """items: engine, value, rows."""
    found: Cells = {}
    all_items = list(items)
    for side, belongs in SIDES.items():
        mine = [(value, refs) for engine, value, refs in all_items if belongs(engine)]
        if mine:
            said = _span([value for value, _ in mine], say) + note(side)
            found[side] = (said, list(dict.fromkeys(ref for _, refs in mine for ref in refs)))
    return found


def _deployment(found: Report) -> Cells:
    field = [one for one in loads(found) if one.latest]
    most = max((one.shape.workers for one in field), default=0)
    return _by_side(
        ((one.engine, one.whole.median, one.refs) for one in field if one.shape.workers == most),
        seconds,
        lambda _: f" for {most} workers",
    )


def _cold(field: Sequence[Measured]) -> Cells:
    pairs = [pair for pair in times.pairs(field) if pair[0].group.workload == "ingest"]
    return _by_side(
        ((cold.engine, cold.estimate.median / warm.estimate.median, [*warm.refs, *cold.refs]) for warm, cold in pairs),
        lambda value: f"{value:.2f} times",
    )


def _areas(found: Report, field: Sequence[Measured]) -> Cells:
    grown = [one for one in growths(found, field) if one.of.group.condition == "warm"]
    cells: Cells = {}
    for side, belongs in SIDES.items():
        mine = [
            one for one in grown if belongs(one.of.engine) and {"over_worker_s", "under_worker_s"} <= set(one.times)
        ]
        if mine:
            idle = _span([one.times["over_worker_s"].median for one in mine], lambda value: f"{value:.0f}")
            late = _span([one.times["under_worker_s"].median for one in mine], lambda value: f"{value:.0f}")
            refs = [ref for one in mine for name in ("over_worker_s", "under_worker_s") for ref in one.refs[name]]
            cells[side] = (f"{idle} idle, {late} missing", refs)
    return cells


def _scaling(found: Report, field: Sequence[Measured]) -> Cells:
    grown = growths(found, field)
    return _by_side(
        (
            (one.of.engine, one.times["to_max_s"].median, one.refs["to_max_s"])
            for one in grown
            if "to_max_s" in one.times
        ),
        seconds,
    )


def _settings() -> Cells:
    """Counted in the schema of `Pulumi.<stack>.yaml`, nested ones too."""
    counted = {"clusters": _fields(Cluster), "functions": _fields(Functions)}
    counted["hybrids"] = sum(counted.values())
    return {side: (f"{count} settings", []) for side, count in counted.items()}


def _fields(model: type[Model]) -> int:
    inner = (field.annotation for field in model.model_fields.values())
    nested = [part for kind in inner for part in getattr(kind, "__args__", (kind,))]
    models = [part for part in nested if isinstance(part, type) and issubclass(part, Model)]
    return len(model.model_fields) - len(models) + sum(map(_fields, models))


def _lost(found: Report) -> Cells:
    cells: Cells = {}
    for side, belongs in SIDES.items():
        runs = [s for s in found.rows if s.row.metric == "run_s" and belongs(s.row.engine)]
        if runs:
            lost = [s.ref for s in runs if s.row.status != "ok"]
            cells[side] = (f"{len(lost)} of {len(runs)}", lost)
    return cells


def _cost(field: Sequence[Measured]) -> Cells:
    priced = [
        m
        for m in field
        if m.usd is not None and m.group.condition == "warm" and m.group.workload == "ingest" and m.size
    ]
    if not priced:
        return {}
    largest = max(priced, key=lambda m: m.size or (0.0, ""))
    same = [m for m in priced if m.group.dataset == largest.group.dataset]
    return _by_side(
        ((m.engine, float(m.usd or 0), m.refs) for m in same), dollars, lambda _: f", {largest.group.dataset}"
    )
