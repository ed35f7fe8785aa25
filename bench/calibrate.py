"""`python -m bench.calibrate`: what own rows say of the estimate's parameters, and how far the estimate was from them.

plan.estimate reads no rows: it is handed an overlay of parameters, which this writes. Only warm samples that count are
used, each engine on each platform by itself; the range of a parameter is the interval of its median.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from bench import stats
from bench.at_size import at_size, size_of
from bench.costs import DOWN
from bench.rows import READERS, Row, append
from bench.stored import load as load_rows
from bench.stored import told
from plan.estimate import Estimate, estimate
from plan.estimate.parameters import Draws, Parameter, Parameters, write
from plan.estimate.parameters import read as read_parameters
from plan.estimate.phases import MB_PER_GB, Work, straggle
from plan.faults import reported
from plan.narrow import echo
from plan.output_option import OutputFile
from plan.quantity_option import GIGABYTES
from plan.settings import Settings, SettingsError, load
from plan.stack_option import StackName

GB, MB = 2**30, 2**20
OWN = "this project: own rows"
"""The source of a parameter that is calibrated."""
READS = ("ingest", "sort")
TARGETS = {"ray": "ray", "dask": "dask", "lithops": "functions"}


@dataclass(frozen=True)
class Miss:
    """The estimate of one warm run beside the median of what was measured, in seconds."""

    label: str
    estimated_s: float
    actual_s: float

    @property
    def error(self) -> float:
        return self.estimated_s / self.actual_s - 1


def overlay(rows: Iterable[Row], parameters: Parameters | None = None) -> list[Parameter]:
    """Parameters measured by these rows: rate of one worker, start-up, teardown, first run over later ones."""
    parameters, found = parameters or read_parameters(), []
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.engine in TARGETS and row.label == row.engine and row.status == "ok" and row.value:
            groups[row.engine, row.platform].append(row)
    for (engine, where), group in groups.items():
        platform = "lambda" if engine == "lithops" and where != "local" else where
        known = Draws(parameters, engine, platform)
        warm = [row for row in group if row.metric == "run_s" and row.condition == "warm"]
        cold = [row for row in group if row.metric == "run_s" and row.condition == "cold"]
        measured = {
            "read_mb_s": [rate for row in warm if row.workload in READS and (rate := _read_mb_s(row, known))],
            "teardown_s": [row.value or 0.0 for row in group if row.metric == "teardown_s"],
            "first_run_factor": _factors(warm, cold),
        }
        if engine != "lithops":
            measured["head_start_s"] = [row.value or 0.0 for row in group if row.metric == "startup_s"]
        runs = ", ".join(sorted({row.run_id for row in group}))
        for name, values in measured.items():
            if values:
                found.append(_parameter(name, engine, platform, values, runs))
    return found


def misses(rows: Iterable[Row], settings: Settings, parameters: Parameters | None = None) -> list[Miss]:
    """The estimate of each engine's warm ingest against its median, one size of data at a time."""
    actual: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in rows:
        if (
            row.metric == "run_s"
            and row.condition == "warm"
            and row.status == "ok"
            and row.label in TARGETS
            and row.data
        ):
            actual[row.label, row.data.size_bytes].append(row.value or 0.0)
    found = []
    for (label, size_bytes), values in actual.items():
        made = _estimates(settings, size_bytes, parameters)
        if TARGETS[label] in made:
            found.append(Miss(label, made[TARGETS[label]].run_s.value, statistics.median(values)))
    return found


def estimate_row(row: Row, made: Estimate, calibrated_rows: int) -> Row:
    """The estimate of a measured row, to be kept beside it: metric `estimate_s`, its range in `parameters`.

    calibrated_rows: own measurements that it rested on, 0 for published parameters alone.
    """
    kept = {"estimate_low_s": made.run_s.low, "estimate_high_s": made.run_s.high, "estimate_usd": made.usd.value}
    kept["calibrated_rows"] = calibrated_rows
    blank: dict[str, object] = {
        "phases": {},
        "tasks": [],
        "billed": {},
        "answer": None,
        "failure": None,
        "status": "ok",
        "condition": "none",
    }
    fields = {
        "metric": "estimate_s",
        "value": made.run_s.value,
        "parameters": kept,
        "at": datetime.now(UTC).isoformat(),
    }
    return Row.model_validate({**row.model_dump(), **blank, **fields})


def _estimates(settings: Settings, size_bytes: int, parameters: Parameters | None) -> dict[str, Estimate]:
    work = Work("ingest", gb=size_bytes / MB / MB_PER_GB)
    return {one.target: one for one in estimate(settings, work, parameters)}


def _read_mb_s(row: Row, known: Draws) -> float | None:
    """MB (2**20 bytes) a second that one worker read and parsed; on functions what is left after calling them."""
    if row.data is None or row.workers is None or not row.value:
        return None
    around = known["call_s"] + known["join_s"] if row.engine == "lithops" else 0.0
    seconds = max(row.value - around, row.value / 10)
    return row.data.size_bytes / MB * straggle(row.workers.count, known) / row.workers.count / seconds


def _factors(warm: Sequence[Row], cold: Sequence[Row]) -> list[float]:
    if not warm or not cold:
        return []
    usual = statistics.median(row.value or 0.0 for row in warm)
    return [(row.value or 0.0) / usual for row in cold]


def _parameter(name: str, engine: str, platform: str, values: Sequence[float], runs: str) -> Parameter:
    found = stats.estimate(values)
    low = found.low if found.low is not None else found.least
    high = found.high if found.high is not None else found.greatest
    unit = {"read_mb_s": "MB/s", "first_run_factor": "x"}.get(name, "s")
    note = f"{found.n} samples"
    return Parameter(name, engine, platform, found.median, low, high, unit, OWN, f"runs {runs}", note)


@click.command(context_settings={"show_default": True})
@click.option("--rows", type=click.Path(exists=True, path_type=Path), required=True, help="A file of rows.")
@click.option("--gb", type=GIGABYTES, help="Size of data to calibrate for; default: the largest in the rows.")
@click.option("--reader", type=click.Choice(READERS), help="Only runs of this reader.")
@click.option("--stack", type=StackName(), default="dev", help="The stack that the rows are of.")
@click.option("--out", type=OutputFile(), help="Write the overlay, for plan.estimate --parameters.")
@click.option("--keep", is_flag=True, help="Append the estimates as rows beside the measured ones.")
def main(rows: Path, gb: float | None, reader: str | None, stack: str, out: Path | None, keep: bool) -> None:
    """Say how far the estimate was from these rows, before and after calibration with them."""
    if keep and rows.is_dir():
        raise click.UsageError(f"found the folder {rows} with --keep, wanted one file to which estimates are appended")
    try:
        loaded, settings = load_rows([rows]), load(stack, Path.cwd())
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    found = [sourced.row for sourced in loaded.rows if sourced.row.workload in ("ingest", DOWN)]
    for line in told(loaded.unreadable):
        click.echo(line, err=True)
    runs = [row for row in found if row.metric == "run_s" and row.status == "ok"]
    if len(readers := sorted({str(row.reader) for row in runs if row.engine in TARGETS})) > 1 and reader is None:
        raise click.UsageError(f"found rows of the readers {', '.join(readers)}, whose rates differ: pass --reader")
    found = [row for row in found if row.metric != "run_s" or reader in (None, row.reader)]
    sizes = sorted({size_of(row) for row in runs if reader in (None, row.reader) and size_of(row)})
    if not sizes:
        raise click.ClickException(f"{rows}: found no run of ingest, wanted rows that workloads/ingest.py has left")
    wanted = gb * GB if gb else sizes[-1]
    if len(sizes) > 1:
        echo(f"rows of {', '.join(f'{size / GB:.3g}' for size in sizes)} GB: calibrated for {wanted / GB:.3g} GB")
    own = overlay(at_size(found, wanted))
    for title, parameters in (("as published", None), ("calibrated with these rows", read_parameters().overlaid(own))):
        for miss in misses(found, settings, parameters):
            shown = (
                f"{miss.label:8} estimate {miss.estimated_s:8.2f} s, measured {miss.actual_s:8.2f} s, {miss.error:+.0%}"
            )
            echo(f"{title}: {shown}")
    if out is not None:
        write(out, own)
        echo(f"wrote {len(own)} parameters to {out}")
    if keep:
        kept = 0
        firsts = {
            row.label: row for row in reversed(found) if row.metric == "run_s" and row.data and row.label in TARGETS
        }
        for label, row in firsts.items():
            made = _estimates(settings, row.data.size_bytes if row.data else 0, None)
            if TARGETS[label] in made:
                append(rows, estimate_row(row, made[TARGETS[label]], 0))
                kept += 1
        echo(f"kept {kept} estimates in {rows}")


if __name__ == "__main__":
    with reported():
        main()
