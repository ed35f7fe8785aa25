"""The reader's questions answered in sentences: which was fastest, which cheapest, by how much, how sure."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench import stats
from bench.costs import dated
from bench.report.data import BASELINES, Measured


@dataclass(frozen=True)
class Answer:
    """One question with its answer; `detail` carries the numbers, `refs` the rows behind them, `engine` the colour."""

    question: str
    answer: str
    detail: str
    refs: list[str]
    engine: str = ""


def answers(field: Sequence[Measured]) -> list[Answer]:
    """Answers for samples of one data set in one condition. An empty field has none; a single one has no rivals."""
    ranked = rivals(field)
    if not ranked:
        return []
    return [_fastest(ranked), _lead(ranked), _sure(ranked), _cheapest(ranked)]


def seconds(value: float) -> str:
    """Three significant digits and the unit: 1.52 s, 12.4 s, 387 s."""
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f} s"


def with_interval(estimate: stats.Estimate) -> str:
    """A median with its interval, or with the count where there is none."""
    if estimate.low is None or estimate.high is None:
        return f"{seconds(estimate.median)} ({_samples(estimate.n)}, no interval)"
    return f"{seconds(estimate.median)} ({estimate.low:.2f} to {estimate.high:.2f} s)"


def dollars(usd: float) -> str:
    """USD of one run in the unit one can read: dollars from a cent up, else per thousand runs."""
    return f"${usd:.2f}" if usd >= 0.01 else f"${usd * 1000:.3g} per 1000 runs"


def run_time_title(field: Sequence[Measured]) -> str:
    """The finding of the run-time chart in one line."""
    if not field:
        return "No sample that counts"
    ranked = rivals(field)
    if len(ranked) == 1:
        return f"{ranked[0].variant} took {seconds(ranked[0].estimate.median)}"
    tied = [m.variant for m in ranked[1:] if not _comparison(ranked[0], m).differs]
    if tied:
        first = f"{ranked[0].variant} is first with {seconds(ranked[0].estimate.median)}"
        return f"{first}, but not surely ahead of {_listed(tied)}"
    return f"{ranked[0].variant} is fastest with {seconds(ranked[0].estimate.median)}; {ranked[1].variant} is next"


def cold_title(warm: Sequence[Measured], cold: Sequence[Measured]) -> str:
    """Which variant pays most for its first run."""
    by_name = {m.variant: m.estimate.median for m in warm}
    factors = {m.variant: m.estimate.median / by_name[m.variant] for m in rivals(cold) if m.variant in by_name}
    if not factors:
        return "No variant has both a cold and a warm sample"
    most, least = max(factors, key=lambda k: factors[k]), min(factors, key=lambda k: factors[k])
    if most == least:
        return f"The first run of {most} takes {factors[most]:.2f} times as long as a warm one"
    return (
        f"A first run takes {factors[least]:.2f} times as long as a warm one on {least}, {factors[most]:.2f} on {most}"
    )


def phase_title(field: Sequence[Measured]) -> str:
    """Where the time of the fastest variant goes."""
    spanned = [m for m in rivals(field) if sum(m.phases.values()) > 0]
    shown = [m for m in spanned if len(m.phases) > 1] or spanned
    if not shown:
        return "No sample has phase spans"
    best = shown[0]
    name, longest = max(best.phases.items(), key=lambda item: item[1])
    return f"{best.variant} spends {longest / sum(best.phases.values()):.0%} of its time in {words(name)}"


def startup_title(field: Sequence[Measured]) -> str:
    """Which engine keeps one waiting before the first run."""
    known = {m.group.label: m.startup_s for m in rivals(field) if m.startup_s is not None}
    if not known:
        return "No row tells a start-up time"
    slow, fast = max(known, key=lambda k: known[k] or 0), min(known, key=lambda k: known[k] or 0)
    if slow == fast:
        return f"{slow} starts in {seconds(known[slow] or 0)}"
    return f"{slow} takes {seconds(known[slow] or 0)} to start, {fast} {seconds(known[fast] or 0)}"


def cost_title(field: Sequence[Measured]) -> str:
    """Whether speed has to be paid for."""
    priced = [m for m in rivals(field) if m.usd is not None]
    if not priced:
        return "No sample has billed quantities to price"
    cheap = min(priced, key=lambda m: m.usd or 0)
    fast = priced[0]
    if cheap is fast:
        ahead = all(_comparison(fast, other).differs for other in priced[1:])
        return f"{fast.variant} is first in time and in cost{'' if ahead else ', though not surely in time'}"
    times = cheap.estimate.median / fast.estimate.median
    share = float((fast.usd or 0) / (cheap.usd or 1))
    return f"{cheap.variant} costs least; {fast.variant} is {times:.2f} times as fast for {share:.2f} times the price"


def published_title(ours: Sequence[tuple[Measured, Measured]], theirs: dict[str, float]) -> str:
    """Who pays most for a first run, in the study and here; `ours` are (warm, cold) of the engines in `theirs`."""
    dearest = max(theirs, key=lambda engine: theirs[engine])
    said = f"In the study {dearest} pays most for a first run ({theirs[dearest]:g} times a warm one)"
    here = {cold.variant: cold.estimate.median / warm.estimate.median for warm, cold in ours}
    if not here:
        return f"{said}; not measured here"
    most = max(here, key=lambda variant: here[variant])
    return f"{said}, here {most} does ({here[most]:.2f} times)"


def tasks_title(field: Sequence[Measured]) -> str:
    """How evenly the fastest of these kept its workers busy."""
    shown = [m for m in rivals(field) if m.typical.row.tasks]
    if not shown:
        return "No sample tells what its workers did"
    best = shown[0]
    tasks = best.typical.row.tasks
    lanes = len({task.lane for task in tasks})
    wall_s = best.typical.row.value or 0
    busy = sum(min(task.ended_s, wall_s) - task.began_s for task in tasks) / lanes / wall_s if wall_s else 0
    workers = "1 process was" if lanes == 1 else f"{lanes} processes were"
    return f"{best.variant}: {workers} inside a call for {busy:.0%} of the run, {len(tasks)} calls"


def words(name: str) -> str:
    """A span's name as one says it."""
    return name.replace("_", " ").replace("engine call", "call")


def rivals(field: Sequence[Measured]) -> list[Measured]:
    """Fastest first. The second label of an engine that runs beside itself is no rival, unless only it has samples."""
    first = {m.engine for m in field if not m.double}
    return sorted((m for m in field if not m.double or m.engine not in first), key=lambda m: m.estimate.median)


def sureness(best: Sequence[float], following: Sequence[float]) -> tuple[str, str]:
    """Whether the samples of the first carry that it is ahead of the next, and why."""
    found = stats.compare(best, following)
    if found.low is None or found.high is None:
        need = f"{stats.MIN_SAMPLES} each are needed"
        return "Can't say", f"{_samples(found.base.n)} and {_samples(found.other.n)}; {need}"
    interval = f"95 % interval of the ratio {found.low:.2f} to {found.high:.2f}"
    return {
        "slower": ("Sure", f"{interval}, all above 1, and over the least size of {found.min_size:.0%}"),
        "alike": ("A tie", f"{interval}, all within {found.min_size:.0%}"),
    }.get(found.verdict, ("Not sure", f"{interval}: too wide or too near 1 to call"))


def _fastest(ranked: Sequence[Measured]) -> Answer:
    best = ranked[0]
    baselines = [m for m in ranked if m.engine in BASELINES]
    against = ""
    if baselines and best.engine not in BASELINES:
        base = baselines[0]
        against = f"; {base.estimate.median / best.estimate.median:.2f} times as fast as {base.variant} in one process"
    speed = f", {best.rate}" if best.size else ""
    return Answer(
        "Which was fastest?", best.variant, with_interval(best.estimate) + speed + against, best.refs, best.engine
    )


def _lead(ranked: Sequence[Measured]) -> Answer:
    if len(ranked) == 1:
        return Answer("By how much?", "No rival", f"only {ranked[0].variant} has samples that count", ranked[0].refs)
    best, following, last = ranked[0], ranked[1], ranked[-1]
    ahead = following.estimate.median / best.estimate.median
    detail = f"{following.variant} is next with {seconds(following.estimate.median)}"
    if len(ranked) > 2:
        detail += f"; {last.variant} takes {last.estimate.median / best.estimate.median:.1f} times as long"
    return Answer("By how much?", f"{(ahead - 1):.0%} ahead", detail, [*best.refs, *following.refs])


def _sure(ranked: Sequence[Measured]) -> Answer:
    question = "How sure?"
    if len(ranked) == 1:
        return Answer(question, "Nothing to compare", stats.method(ranked[0].estimate.n), ranked[0].refs)
    best, following = ranked[0], ranked[1]
    apart = "" if best.group.run == following.group.run else ". They come from different runs, so not interleaved"
    answer, why = sureness(best.samples, following.samples)
    return Answer(question, answer, why + apart, [*best.refs, *following.refs])


def _cheapest(ranked: Sequence[Measured]) -> Answer:
    question = "Which was cheapest?"
    priced = sorted((m for m in ranked if m.usd is not None), key=lambda m: m.usd or 0)
    if not priced:
        return Answer(question, "Not priced", "no sample has billed quantities", [])
    best = priced[0]
    detail = f"{dollars(float(best.usd or 0))}, modelled on AWS, {dated(m.priced_on for m in priced if m.priced_on)}"
    if len(priced) > 1:
        share = float((priced[1].usd or 0) / (best.usd or 1)) - 1
        detail += f"; {priced[1].variant} costs {share:.0%} more"
    return Answer(question, best.variant, detail, best.refs, best.engine)


def _comparison(base: Measured, other: Measured) -> stats.Comparison:
    return stats.compare(base.samples, other.samples)


def _samples(n: int) -> str:
    return "1 sample" if n == 1 else f"{n} samples"


def _listed(names: Sequence[str]) -> str:
    if len(names) > 3:
        return f"{len(names)} others"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
