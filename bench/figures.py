"""The figures of `benchmarks/`: each a ratio in one run on this machine, beside the bound that it was given.

    python -m bench.figures --only "1 GB in 8 files"

Brings the embedded stack up if it is not, generates what is not there, runs the workload's own script, and writes
`benchmarks/<name>.md` with the machine, the date, the commands and the rows' file. It judges nothing: a bound that is
missed is written down as missed.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from bench import machine, rows, stack
from bench.rows import Row
from bench.stats import compare, estimate

REFERENCE, BEYOND = "arrow", "polars"
FOLDER = Path("benchmarks")


@dataclass(frozen=True)
class Case:
    """Data of `gb` in `files`; `bounds`: by engine, the most its warm median may be, in times of the reference."""

    name: str
    gb: float
    files: int
    bounds: dict[str, float]
    repeats: int = 5

    @property
    def uri(self) -> str:
        return f"s3://data/store_sales/gb{self.gb:g}-f{self.files}-s0"


CASES = (
    Case("1 GB in 8 files", 1, 8, {"ray": 1.0, "dask": 1.0, "lithops": 1.6}),
    Case("1 GB in 1 file", 1, 1, {"ray": 1.0, "dask": 1.0, "lithops": 1.6}),
    Case("5 GB in 8 files", 5, 8, {"ray": 1.0, "dask": 1.0, "lithops": 1.2}),
    Case("5 GB in 1 file", 5, 1, {"ray": 1.0, "dask": 1.0, "lithops": 1.2}),
)


@contextmanager
def stack_up(name: str) -> Iterator[None]:
    """The embedded stack, brought up and taken down again unless it was up before."""
    driver = [sys.executable, "-m", "stacks.embedded"]
    before = subprocess.run([*driver, "status", "--quiet", "--stack", name], check=False).returncode == 0
    try:
        subprocess.run([*driver, "up", "--stack", name], check=True)
        yield
    finally:
        if not before:
            subprocess.run([*driver, "down", "--stack", name], check=True)


def measured(name: str, case: Case) -> list[Row]:
    """Rows of one case, taken by the workload's own script."""
    script = [sys.executable, str(Path(__file__).parents[1] / "workloads")]
    generate = [
        script[0],
        f"{script[1]}/generate.py",
        "--stack",
        name,
        "--gb",
        str(case.gb),
        "--files",
        str(case.files),
    ]
    subprocess.run(generate, check=True)
    folder = FOLDER / "rows" / case.name.replace(" ", "-")
    before = set(folder.rglob("*.jsonl"))
    engines = ",".join([*case.bounds, REFERENCE, BEYOND])
    ingest = [script[0], f"{script[1]}/ingest.py", "--stack", name, "--data", case.uri, "--engines", engines]
    subprocess.run([*ingest, "--no-cold", "--repeats", str(case.repeats), "--results", str(folder)], check=False)
    new = sorted(set(folder.rglob("*.jsonl")) - before)
    return [row for path in new for row in rows.read(path) if isinstance(row, Row)]


def lines(case: Case, found: Sequence[Row]) -> Iterator[str]:
    """The Markdown table of one case: median with interval, ratio to the reference and to what lies beyond it."""
    times = {
        name: [row.value for row in found if row.engine == name and _counts(row) and row.value is not None]
        for name in (*case.bounds, REFERENCE, BEYOND)
    }
    failed = sum(row.status != "ok" for row in found if row.metric == "run_s" and row.condition == "warm")
    run = next((row.run_id for row in found), "none")
    yield f"## {case.name}\n"
    yield f"Run {run}, {case.repeats} warm samples each, engines in turn; {failed} failed or dropped.\n"
    columns = ["engine", "median s (95 % interval)", f"times {REFERENCE}", "bound", "met", f"times {BEYOND}"]
    columns += ["worker peak MiB", "driver peak MiB"]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for name, values in times.items():
        if not values:
            yield f"| {name} | no sample counts | | | | | | |"
            continue
        median = estimate(values)
        spread = f" ({median.low:.2f} to {median.high:.2f})" if median.low is not None else ""
        ratio = compare(times[REFERENCE], values).ratio if times[REFERENCE] else None
        beyond = compare(times[BEYOND], values).ratio if times[BEYOND] else None
        bound = case.bounds.get(name)
        met = "" if bound is None or ratio is None else ("yes" if ratio <= bound else "no")
        peaks = [_peak(row, "worker") for row in found if row.engine == name], [_peak(row, "driver") for row in found]
        yield (
            f"| {name} | {median.median:.2f}{spread} | {_times(ratio)} | {_times(bound)} | {met} | {_times(beyond)} "
            f"| {max(peaks[0], default=0) or ''} | {max(peaks[1], default=0) or ''} |"
        )
    yield ""


def _counts(row: Row) -> bool:
    return row.metric == "run_s" and row.condition == "warm" and row.status == "ok"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _peak(row: Row, whose: str) -> int:
    return int(row.parameters.get(f"{whose}_peak_mib") or 0)


@click.command(epilog='Example: python -m bench.figures --only "1 GB in 8 files"')
@click.option("--stack", "name", default="dev", show_default=True, help="An embedded stack.")
@click.option("--only", multiple=True, type=click.Choice([case.name for case in CASES]), help="One case; may repeat.")
def main(name: str, only: tuple[str, ...]) -> None:
    """Measure the figures and write benchmarks/ingest.md."""
    FOLDER.mkdir(exist_ok=True)
    facts = machine.machine()
    head = [
        "# Ingestion: the ranges reader against Arrow and Polars\n",
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with commit {machine.commit(stack.ROOT)} on "
        f"{', '.join(f'{key} {value}' for key, value in facts.items())}, {os.cpu_count()} cores; load at the start "
        f"{os.getloadavg()[0]:.1f}. Command: `python -m bench.figures`"
        + "".join(f' --only "{case}"' for case in only)
        + ".",
        "All engines read the same objects from the same S3 endpoint on this machine, one column of 23; every answer "
        "equals the generator's. Medians of whole calls, seen from the driver. "
        f"{REFERENCE}: pyarrow.csv with all its threads in one process; {BEYOND}: polars.read_csv likewise.\n",
    ]
    found: list[str] = []
    with stack_up(name):
        for case in CASES:
            if not only or case.name in only:
                found += lines(case, measured(name, case))
                (FOLDER / "ingest.md").write_text("\n".join([*head, *found]))
    click.echo((FOLDER / "ingest.md").read_text())


if __name__ == "__main__":
    main()
