"""What a whole command would take and cost before it is run, by engine, calibrated with the rows of earlier runs.

The model is `plan.estimate`; here are the command's samples, its data, and what own rows say of the parameters.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from botocore.exceptions import BotoCoreError, ClientError

from bench import dataset, stack
from bench.at_size import at_size
from bench.calibrate import OWN, TARGETS, overlay
from bench.costs import DOWN
from bench.engines import BASELINES, NEEDS, EngineError, labels
from bench.rows import Row
from bench.samples import UNTIMED_RUNS
from bench.stored import stored
from plan import estimate as estimates
from plan import settings as stacks
from plan.estimate import Estimate, Range, Terms
from plan.estimate.parameters import Draws, Parameter, Parameters
from plan.estimate.parameters import read as read_parameters
from plan.estimate.phases import Work, straggle
from plan.estimate.workloads import IMAGES, work
from plan.narrow import echo
from plan.settings import Settings
from plan.sizing import FUNCTIONS, sizes
from tasks.listing import list_objects
from tasks.objects import Access, EndpointFailed, NoData

GB, MB = 2**30, 2**20
ALONE = ("ray", "dask", "lithops")
ENGINES = {
    "sort": ("ray", "dask", "ray+lithops", "dask+lithops"), "palette": ALONE, "startup": ALONE, "generate": ALONE,
}  # fmt: skip
"""What a workload can run on; everything where it is not named."""


@dataclass(frozen=True)
class Asked:
    """A command line, as far as it bears on time and cost.

    gb are of 2**30 bytes; None: the size of the data there. workers: to load, one number after the other, as `startup`
    does; all are taken to cost what the largest does.
    """

    stack: str
    workload: str
    engines: str | None
    repeats: int
    cold: bool
    results: Path
    reader: str | None = None
    uri: str | None = None
    gb: float | None = None
    items: int = 0
    workers: tuple[int, ...] = ()

    @property
    def runs(self) -> tuple[int, int]:
        """Samples of each engine: cold ones, and warm ones with the untimed before them."""
        if self.workload == "generate":
            return 0, 1
        untimed = UNTIMED_RUNS if self.repeats and self.workload != "startup" else 0
        return (int(self.cold), self.repeats + untimed) if self.workload != "startup" else (self.starts, 0)

    @property
    def starts(self) -> int:
        """How often machines are started: once, or as often as `startup` loads them."""
        return self.repeats * len(self.workers) if self.workload == "startup" else 1


@dataclass(frozen=True)
class Forecast:
    """One engine's share of a command: each run, and with start and end of its machines the whole.

    rows: own measurements that its time rests on; 0: published parameters alone.
    """

    label: str
    engine: str
    warm: Estimate
    cold: Estimate
    total_s: Range
    usd: Range
    rows: int = 0


def target(settings: Settings, engine: str) -> str | None:
    """The name under which the model knows an engine of this stack; None where it does not (baselines)."""
    names = {cluster.engine: name for name, cluster in reversed(settings.clusters.items())}
    if settings.functions:
        names["lithops"] = FUNCTIONS  # type: ignore[index]
    found = [names.get(part) for part in engine.split("+")]  # type: ignore[call-overload]
    return "+".join(found) if all(found) else None


def modelled(settings: Settings, asked: Asked) -> list[tuple[str, str]]:
    """(label, engine) of what was asked for, or of all that the stack declares. Raises EngineError."""
    has = [engine for engine in NEEDS if engine not in BASELINES and target(settings, engine)]
    default = [engine for engine in has if engine in ENGINES.get(asked.workload, NEEDS)]
    wanted = labels([name.strip() for name in asked.engines.split(",")] if asked.engines is not None else default)
    able = ENGINES.get(asked.workload, tuple(NEEDS))
    if unable := [engine for _, engine in wanted if engine not in able]:
        raise EngineError(f"found --engines {', '.join(unable)}, wanted one of {', '.join(able)} for this workload")
    if missing := [engine for _, engine in wanted if engine not in (*has, *BASELINES)]:
        raise EngineError(f"stack {asked.stack!r} has no {', '.join(missing)}; it has {', '.join(has)}")
    return wanted


def forecasts(
    settings: Settings, wanted: Sequence[tuple[str, str]], asked: Asked, known: Parameters, terms: Terms | None = None
) -> list[Forecast]:
    """A Forecast for each label that the model knows. Raises as plan.estimate.estimate."""
    made: dict[tuple[Work, bool], dict[str, Estimate]] = {}
    settings = estimates.scaled(settings, max(asked.workers)) if asked.workers else settings

    def one(engine: str, cold: bool) -> Estimate | None:
        work = _work(asked, engine, settings, known)
        if (work, cold) not in made:
            found = estimates.estimate(settings, work, known, terms, cold=cold)
            made[work, cold] = {each.target: each for each in found}
        return made[work, cold].get(target(settings, engine) or "")

    found = []
    for label, engine in wanted:
        warm, cold = one(engine, False), one(engine, True)
        if warm and cold:
            rows = measured_rows(settings, engine, asked.workload, known)
            found.append(replace(_whole(label, engine, warm, cold, asked), rows=rows))
    return found


def measured_rows(settings: Settings, engine: str, workload: str, known: Parameters) -> int:
    """Own samples behind the rate at which an engine does its work; a hybrid reads with the functions."""
    reader, name = engine.rsplit("+", maxsplit=1)[-1], "image_core_s" if workload == "palette" else "read_mb_s"
    platforms: dict[str, str] = {size.engine: size.platform for size in sizes(settings).values()}
    rate = known.find(name, reader, platforms.get(reader, "*"))
    return int(rate.note.split()[0]) if rate.source == OWN else 0


def calibrated(settings: Settings, asked: Asked) -> tuple[Parameters, list[str]]:
    """Parameters as published, overlaid with what rows in --results say; and the runs that they are from.

    Rows of the same workload, reader and platforms count; where they are of several sizes, as `at_size` reads them.
    """
    known = read_parameters()
    here = {(size.engine, size.platform) for size in sizes(settings).values()}
    rows = [
        row
        for row in stored(asked.results)
        if row.status == "ok" and (_first(row.engine), row.platform) in here and row.workload in (asked.workload, DOWN)
    ]
    if asked.workload in ("ingest", "sort"):
        ends = [row for row in rows if row.workload == DOWN]
        rows = [row for row in rows if row.reader == asked.reader and row.data] + ends
    wanted = float(asked.items or IMAGES) if asked.workload == "palette" else (asked.gb or 1) * GB
    rows = at_size(rows, wanted)
    own = overlay([_reading(row, settings) for row in rows], known)
    if asked.workload not in ("ingest", "sort"):
        own = [one for one in own if one.name != "read_mb_s"]
    own += _own(rows, known)
    return known.overlaid(own), sorted({run for one in own for run in one.place.removeprefix("runs ").split(", ")})


def _first(engine: str) -> str:
    """The part of a hybrid's name that its platform is of."""
    return engine.split("+", maxsplit=1)[0]


def sized(asked: Asked) -> Asked:
    """With the size of the data, where it was not given. Raises DataError where it can't be seen."""
    if asked.gb is not None or asked.workload not in ("ingest", "sort"):
        return asked
    try:
        if asked.uri and not asked.uri.startswith("s3://"):
            listed = list_objects(Access(), asked.uri)
        else:
            outputs = stack.outputs(asked.stack)
            access = stack.access(outputs)
            with stack.isolated(outputs):
                place = asked.uri or dataset.generated_last(access, outputs)
                listed = list_objects(access, place)
        size = sum(item.size_bytes for item in listed)
    except (stack.StackError, dataset.DataError, NoData, EndpointFailed, BotoCoreError, ClientError) as error:
        raise dataset.DataError(
            f"no data in sight to tell its size: say it with --gb, such as --gb 50 ({error})"
        ) from None
    return replace(asked, gb=size / GB)


def tell(asked: Asked) -> None:
    """Print time and cost of the command, for --estimate. Nothing is run, and the stack need not be up."""
    settings = stacks.load(asked.stack, stack.ROOT)
    wanted, asked = modelled(settings, asked), sized(asked)
    known, runs = calibrated(settings, asked)
    found = forecasts(settings, wanted, asked, known)
    size = [f"{asked.gb:.3g} GB"] if asked.gb is not None else []
    what = " in ".join(size + ([f"{asked.items} items"] if asked.items else [])) or "no data"
    cold, warm = asked.runs
    echo(f"{asked.stack}: {asked.workload}, {what}; for each engine {cold} cold and {warm} other runs")
    for one in found:
        echo(_line(one))
    if unknown := {label for label, _ in wanted} - {one.label for one in found}:
        echo(f"not in the model: {', '.join(sorted(unknown))} (one process on the machine that drives the run)")
    none = f"Parameters as published: {asked.results} holds no rows of it."
    echo(f"Calibrated with rows of {', '.join(runs)}." if runs else none)
    usd, high = sum(one.usd.value for one in found), sum(one.usd.high for one in found)
    local = " Modelled: on local nothing is billed." if all(one.warm.modelled for one in found) else ""
    echo(f"All: {usd:.4f} USD, up to {high:.4f}.{local} The middle 90 % of draws from the parameters' ranges.")
    if settings.budget_usd is not None:
        fits = "within" if high <= settings.budget_usd else "ABOVE: such a run is refused; the"
        echo(f"The upper end is {fits} budgetUsd {settings.budget_usd:g}, of which earlier runs take their part.")


def _line(one: Forecast) -> str:
    run, total, usd = one.warm.run_s, one.total_s, one.usd
    return (
        f"{one.label:13} a run {run.value:8.2f} s ({run.low:.2f} to {run.high:.2f})   all {total.value:8.1f} s "
        f"({total.low:.1f} to {total.high:.1f})   {usd.value:.5f} USD ({usd.low:.5f} to {usd.high:.5f}), "
        f"{one.warm.workers} workers on {one.warm.platform}; saturates first: {one.warm.saturates}"
    )


def _work(asked: Asked, engine: str, settings: Settings, known: Parameters) -> Work:
    first = next((c.platform for c in settings.clusters.values() if c.engine == engine), None)
    platform = first or (settings.functions.platform if settings.functions else "*")
    # A hybrid is known to the model as one that sorts, whatever it does with what it keeps.
    name = "sort" if "+" in engine and asked.workload == "ingest" else asked.workload
    made = work(name, known, gb=asked.gb or 0.0, items=asked.items, engine=engine, platform=platform)
    return replace(made, name=asked.workload)


def _whole(label: str, engine: str, warm: Estimate, cold: Estimate, asked: Asked) -> Forecast:
    """One start and one end of the machines, and all runs between; a range is stretched as that of one run is."""
    times, runs = asked.runs, (cold, warm)
    ends = Range(*(max(0.0, getattr(warm.total_s, at) - getattr(warm.run_s, at)) for at in ("value", "low", "high")))
    ends = Range(*(getattr(ends, at) * asked.starts for at in ("value", "low", "high")))
    total = {
        at: getattr(ends, at) + sum(n * getattr(one.run_s, at) for n, one in zip(times, runs, strict=True))
        for at in ("value", "low", "high")
    }
    usd = asked.starts * (warm.usd.value - _run_usd(warm)) + sum(
        n * _run_usd(o) for n, o in zip(times, runs, strict=True)
    )
    low, high = (bound / warm.usd.value if warm.usd.value else 1.0 for bound in (warm.usd.low, warm.usd.high))
    return Forecast(label, engine, warm, cold, Range(**total), Range(usd, usd * low, usd * high))


def _run_usd(one: Estimate) -> float:
    """Of an estimate's cost, what each further run adds."""
    share = one.run_s.value / one.total_s.value if one.total_s.value else 0.0
    own = sum(float(one.usd_parts.get(part, 0)) for part in ("run", "sort", "requests"))
    return own + float(one.usd_parts["shared"]) * share


def _reading(row: Row, settings: Settings) -> Row:
    """A sort's row as one of reading, by the functions where they read: its sort has a parameter of its own."""
    if row.metric != "run_s" or not row.value or "sort" not in row.phases:
        return row
    change: dict[str, object] = {"value": row.value - row.phases["sort"]}
    if row.engine.endswith("+lithops") and settings.functions and row.workers:
        count = sizes(settings)[FUNCTIONS].workers
        change |= {"engine": "lithops", "label": "lithops", "platform": settings.functions.platform}
        change["workers"] = row.workers.model_copy(update={"count": count})
    return row.model_copy(update=change)


def _own(rows: Sequence[Row], known: Parameters) -> list[Parameter]:
    """What warm rows say of sorting and of images: medians, with all that was seen as the range."""
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in rows:
        if row.metric == "run_s" and row.condition == "warm" and row.label in TARGETS:
            found = Draws(known, row.engine, row.platform)
            for name, value in (("image_core_s", _image_core_s(row, found)), ("sort_mb_s", _sort_mb_s(row, found))):
                if value:
                    values[name, row.engine, row.platform].append(value)
    place = f"runs {', '.join(sorted({row.run_id for row in rows}))}"
    units = {"image_core_s": "s", "sort_mb_s": "MB/s"}
    return [
        Parameter(*key, median(seen), min(seen), max(seen), units[key[0]], OWN, place, f"{len(seen)} samples")
        for key, seen in values.items()
    ]


def _image_core_s(row: Row, known: Draws) -> float | None:
    if row.workload != "palette" or not (row.data and row.data.rows and row.workers and row.value):
        return None
    around = known["call_s"] + known["join_s"] if row.engine == "lithops" else 0.0
    workers = row.workers.count
    return max(row.value - around, row.value / 10) * workers / row.data.rows / straggle(workers, known)


def _sort_mb_s(row: Row, known: Draws) -> float | None:
    sort_s = row.phases.get("sort")
    if row.workload != "sort" or not (sort_s and row.data and row.workers):
        return None
    megabytes = row.data.size_bytes / MB * known["kept_share"] / row.workers.count
    return megabytes / max(sort_s - 2 * megabytes / known["stream_mb_s"], sort_s / 10)
