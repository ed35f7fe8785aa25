"""The figures of `benchmarks/`: each a ratio in one run on this machine, beside the bound that it was given.

    python -m bench.figures --only "1 GB in 8 files"

Brings the embedded stack up if it is not, generates what is not there, runs the workload's own script, and writes
`benchmarks/ingest.md` from the newest rows of each case, with their machine, date and commit: so the cases may be taken
one by one. It judges nothing: a bound that is missed is written down as missed.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from bench import leash
from bench.rows import Row
from bench.spans import own_share
from bench.stats import Comparison, compare, estimate, kept
from bench.stored import load
from plan.faults import reported
from plan.stack_option import StackName

REFERENCE, BEYOND = "arrow", "polars"
FOLDER = Path(__file__).parents[1] / "benchmarks"
PAGE = FOLDER / "ingest.md"


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

    @property
    def folder(self) -> Path:
        return FOLDER / "rows" / self.name.replace(" ", "-")


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


def measure(name: str, case: Case) -> None:
    """Take the rows of one case by the workload's own script."""
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
    if code := leash.run(generate):
        raise click.ClickException(f"generate.py ended with {code}")
    engines = ",".join([*case.bounds, REFERENCE, BEYOND])
    ingest = [script[0], f"{script[1]}/ingest.py", "--stack", name, "--data", case.uri, "--engines", engines]
    leash.run([*ingest, "--no-cold", "--repeats", str(case.repeats), "--results", str(case.folder)])


def newest(case: Case) -> list[Row]:
    """Rows of the case's newest run, whose file's name begins with its time; none where it was never measured."""
    runs = sorted(case.folder.rglob("*.jsonl"), key=lambda path: path.name)
    return [sourced.row for sourced in load(runs[-1:]).rows]


def lines(case: Case, found: Sequence[Row]) -> Iterator[str]:
    """The Markdown table of one case: median with interval, ratio to the reference and to what lies beyond it."""
    times = {
        name: [row.value for row in found if row.engine == name and _counts(row) and row.value is not None]
        for name in (*case.bounds, REFERENCE, BEYOND)
    }
    yield f"## {case.name}\n"
    if not found:
        yield "Not measured yet.\n"
        return
    failed = sum(row.status != "ok" for row in found if row.metric == "run_s" and row.condition == "warm")
    first = found[0]
    yield (
        f"Run {first.run_id} on {first.at[:10]}, commit {first.commit}, "
        f"{', '.join(f'{key} {value}' for key, value in first.machine.items())}. "
        f"{case.repeats} warm samples each, engines in turn; {failed} failed or dropped.\n"
    )
    columns = ["engine", "median s (95 % interval)", f"times {REFERENCE}", "bound", "met", f"times {BEYOND}"]
    columns += ["worker peak MiB", "driver peak MiB", "harness % of the time"]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for name, values in times.items():
        if not values:
            yield f"| {name} | no sample counts | | | | | | | |"
            continue
        median = estimate(values)
        spread = f" ({median.low:.2f} to {median.high:.2f})" if median.low is not None else ""
        ratio = compare(times[REFERENCE], values) if times[REFERENCE] else None
        beyond = compare(times[BEYOND], values) if times[BEYOND] else None
        bound = case.bounds.get(name)
        met = kept(ratio.low, ratio.high, bound) if ratio and bound is not None else ""
        harness = estimate(
            [own_share(row.phases, row.value) for row in found if row.engine == name and _counts(row) and row.value]
        )
        peaks = [_peak(row, "worker") for row in found if row.engine == name], [_peak(row, "driver") for row in found]
        yield (
            f"| {name} | {median.median:.2f}{spread} | {_ratio(ratio)} | {_times(bound)} | {met} | {_ratio(beyond)} "
            f"| {max(peaks[0], default=0) or ''} | {max(peaks[1], default=0) or ''} | {harness.median:.2%} |"
        )
    yield ""


def _counts(row: Row) -> bool:
    return row.metric == "run_s" and row.condition == "warm" and row.status == "ok"


def _ratio(found: Comparison | None) -> str:
    if found is None:
        return ""
    return f"{found.ratio:.2f}" + (f" ({found.low:.2f} to {found.high:.2f})" if found.low is not None else "")


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _peak(row: Row, whose: str) -> int:
    return int(row.parameters.get(f"{whose}_peak_mib") or 0)


@click.command(epilog='Example: python -m bench.figures --only "1 GB in 8 files"')
@click.option("--stack", "name", type=StackName(), default="dev", show_default=True, help="An embedded stack.")
@click.option("--only", multiple=True, type=click.Choice([case.name for case in CASES]), help="One case; may repeat.")
def main(name: str, only: tuple[str, ...]) -> None:
    """Measure the figures and write benchmarks/ingest.md, beside the rows it is made of."""
    FOLDER.mkdir(exist_ok=True)
    with stack_up(name):
        for case in CASES:
            if not only or case.name in only:
                measure(name, case)
                PAGE.write_text(page())
    click.echo(page())


def page() -> str:
    """The page, from the rows that are there."""
    head = (
        "# Ingestion: the ranges reader against Arrow and Polars\n",
        'Command: `python -m bench.figures`, or a case alone with `--only "5 GB in 1 file"`. '
        "All engines read the same objects from the same S3 endpoint on this machine, one column of 23; every answer "
        "equals the generator's. Medians of whole calls, seen from the driver. "
        f"{REFERENCE}: pyarrow.csv with all its threads in one process; {BEYOND}: polars.read_csv likewise. "
        "harness: the call's time less the spans in which the engine works. A bound is met or not where "
        "the ratio's whole 95 % interval says so.\n",
    )
    return "\n".join([*head, *(line for case in CASES for line in lines(case, newest(case)))])


if __name__ == "__main__":
    with reported():
        main()
