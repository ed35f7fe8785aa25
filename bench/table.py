"""The table at the end of a run: median with interval, throughput, ratio, start-up, answer, modelled cost."""

from collections.abc import Callable, Collection, Sequence
from datetime import date
from decimal import Decimal

from rich.console import Console
from rich.table import Table

from bench.costs import dated
from bench.engines import BASELINES
from bench.rows import Row
from bench.stats import Estimate, estimate, null_test
from plan.cost import modelled_usd
from plan.narrow import Fitted
from plan.outputs import Outputs
from plan.settings import Worker

# A sample's billed quantities to modelled USD and the date of the prices; None where it can't be told.
Priced = Callable[[Row], tuple[Decimal, date] | None]
GB = 2**30
_LOG_COLUMNS = 150


def modelled(outputs: Outputs) -> Priced:
    """What the same worker-seconds would cost on AWS, for the stack's worker."""
    shape = {"memory_mib": outputs.worker_memory_mib, "vcpu": outputs.worker_vcpu}
    worker = Worker(**shape, reason="as the stack's outputs say")

    def priced(row: Row) -> tuple[Decimal, date] | None:
        return modelled_usd(row.billed.model_dump(), worker)

    return priced


def printed() -> Console:
    """Standard output; in a log or pipe wide enough for the whole table."""
    console = Console()
    return console if console.is_terminal else Console(width=_LOG_COLUMNS)


def groups(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Run times by (label, condition) in order of first appearance, untimed runs left out."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.metric == "run_s" and row.condition != "none":
            found.setdefault((row.label, row.condition), []).append(row)
    return found


def best_baseline(rows: Sequence[Row], wanted: str = "warm") -> float | None:
    """The lowest median of a baseline in the wanted condition, in the other where none ran in it, in seconds."""
    for condition in (wanted, *(other for other in ("warm", "cold") if other != wanted)):
        medians = [
            estimate(values).median
            for (_, at), group in groups(rows).items()
            if at == condition and group[0].engine in BASELINES and (values := _times(group))
        ]
        if medians:
            return min(medians)
    return None


def table(rows: Sequence[Row], priced: Priced) -> Fitted:
    """One line per label and condition. `answer`: see `answers`."""
    start_up = {row.label: row.value for row in rows if row.metric == "startup_s"}
    dates: set[date] = set()
    given = {row.answer for row in rows if _counts(row) and row.answer}
    lines = []
    for (label, condition), group in groups(rows).items():
        values = _times(group)
        found = estimate(values) if values else None
        size = group[0].data.size_bytes / GB if group[0].data else 0.0
        cost = [money for row in group if row.status == "ok" and (money := priced(row))]
        dates |= {day for _, day in cost}
        baseline = best_baseline(rows, condition)
        started = start_up.get(label)
        lines.append(
            (
                f"{label} (unequal workers)" if any(row.unequal for row in group) else label,
                condition,
                _interval(found),
                f"{size / found.median:.2f}" if found else "",
                f"{found.median / baseline:.2f}" if found and baseline else "",
                f"{started:.1f}" if started is not None else "",
                answers(group, given),
                f"{sorted(usd for usd, _ in cost)[len(cost) // 2]:.6f}" if cost else "",
                _not_counted(group),
            )
        )
    day = f", {dated(dates)}" if dates else ""
    drawn = Table(caption=f"median with 95 % bootstrap interval; GB of 2**30 bytes; USD modelled{day}", highlight=False)
    for name, right in (
        ("engine", False),
        ("condition", False),
        ("run s", True),
        ("GB/s", True),
        ("/ best baseline", True),
        ("start-up s", True),
        ("answer", False),
        ("USD modelled", True),
        ("not counted", False),
    ):
        drawn.add_column(name, justify="right" if right else "left")
    for line in lines:
        drawn.add_row(*line)
    return Fitted(drawn, lead=2)


def answers(group: Sequence[Row], given: Collection[str | None]) -> str:
    """What is known of a line's answers: `equal` only if every counted sample was judged, and all gave one answer.

    given: all answers of counted samples in the table; more than one is a contradiction, and no line is then `equal`.
    """
    if any(row.failure and row.failure.kind == "wrong-answer" for row in group):
        return "WRONG"
    counted = [row for row in group if _counts(row)]
    if not counted:
        return "no valid sample"
    judged = [row for row in counted if row.answer]
    if len(judged) < len(counted):
        return f"{len(judged)} of {len(counted)} judged" if judged else "none"
    return "equal" if len(given) == 1 else "UNEQUAL"


def skipped(rows: Sequence[Row]) -> list[str]:
    """A line for rows of the data that `--bad-rows skip` left out, with the first of them; none where none were."""
    found = {(int(row.parameters.get("bad_rows") or 0), row.parameters.get("bad_examples")) for row in rows}
    return [skipped_line(count, str(examples)) for count, examples in sorted(found, key=str) if count]


def skipped_line(count: int, examples: str) -> str:
    """How many rows of the data were skipped, with the first of them."""
    return f"{count:,} row{'s' * (count != 1)} of the data skipped: {examples}"


def against_itself(rows: Sequence[Row]) -> list[str]:
    """A line for each engine that ran beside itself (`dask` and `dask#2`): the A/A test of its warm samples."""
    times = {label: _times(group) for (label, condition), group in groups(rows).items() if condition == "warm"}
    doubles = {row.label: row.engine for row in rows if row.label != row.engine}
    return [
        f"{engine} against itself ({label}): {test.differing} of {test.resamples} random deals show a difference, "
        f"{test.allowed} allowed; as run: {test.direct.verdict}; {'passed' if test.passed else 'not passed'}"
        for label, engine in doubles.items()
        if times.get(engine) and times.get(label) and (test := null_test(times[engine], times[label]))
    ]


def _counts(row: Row) -> bool:
    return row.metric == "run_s" and row.condition != "none" and row.status == "ok" and (row.value or 0) > 0


def _times(group: Sequence[Row]) -> list[float]:
    return [row.value for row in group if _counts(row) and row.value is not None]


def _interval(found: Estimate | None) -> str:
    if found is None:
        return "no valid sample"
    if found.low is None or found.high is None:
        return f"{found.median:.2f} (n={found.n})"
    return f"{found.median:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _not_counted(group: Sequence[Row]) -> str:
    kinds = [f"{row.status}: {row.failure.kind}" for row in group if row.failure]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
