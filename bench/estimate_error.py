"""`python -m bench.estimate_error`: how far the estimate is from what is measured, before and after one calibration.

Ingest, palette and sort are run twice on an embedded stack. Every command keeps its estimate beside its median; the
first has only published parameters to go by, the second what the first measured.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from bench import leash, machine, stats, teardown
from bench.rows import Row
from bench.stack import ROOT
from bench.stored import stored
from plan.faults import reported
from plan.output_option import OutputFile
from plan.quantity_option import GIGABYTES
from plan.stack_option import StackName

AIM = 0.25
VERDICTS: dict[stats.Kept, str] = {
    "yes": f"within the aim of {AIM:.0%}",
    "no": f"ABOVE the aim of {AIM:.0%}",
    "can't say": f"which leaves open whether the aim of {AIM:.0%} is met",
    "too few": f"too few to judge the aim of {AIM:.0%}",
}
"""By the whole interval of the median, as every bound is judged."""


@dataclass(frozen=True)
class Miss:
    """One engine's estimate of one command, and the median that was measured after it. Seconds."""

    workload: str
    label: str
    estimated_s: float
    measured_s: float

    @property
    def error(self) -> float:
        return self.estimated_s / self.measured_s - 1


def misses(rows: Sequence[Row]) -> list[Miss]:
    """What the estimate rows among these say, in their order."""
    found = []
    for row in rows:
        actual_s = row.parameters.get("actual_s")
        if row.metric == "estimate_s" and row.value is not None and isinstance(actual_s, float) and actual_s:
            found.append(Miss(row.workload, row.label, row.value, actual_s))
    return found


def errors(found: Sequence[Miss]) -> stats.Estimate:
    """Median of the absolute relative errors, with its interval. Raises ValueError for none."""
    if not found:
        raise ValueError("found no estimate beside a measured run: did every command fail?")
    return stats.estimate([abs(one.error) for one in found])


def report(before: Sequence[Miss], after: Sequence[Miss], command: str) -> str:
    """Markdown: both rounds, engine by engine, with machine, date and command."""
    first = {(one.workload, one.label): one for one in before}
    lines = [
        "# Estimate against actual",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {_machine()}. `{command}`",
        "",
        "| workload | engine | measured s | calibrated estimate s | error | as published s | error then |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in after:
        old = first.get((one.workload, one.label))
        then = f"{old.estimated_s:.2f} | {old.error:+.0%}" if old else "- | -"
        cells = f"{one.measured_s:.2f} | {one.estimated_s:.2f} | {one.error:+.0%}"
        lines.append(f"| {one.workload} | {one.label} | {cells} | {then} |")
    now = errors(after)
    span = "" if now.low is None or now.high is None else f" [{now.low:.0%}, {now.high:.0%}]"
    lines += [
        "",
        f"Median error {now.median:.0%}{span} of {now.n} estimates after one calibration run, "
        f"{VERDICTS[stats.kept(now.low, now.high, AIM)]}; {errors(before).median:.0%} with published parameters.",
        "",
    ]
    return "\n".join(lines)


def _machine() -> str:
    found = machine.machine()
    return f"{found['cpus']} cores, {round(float(found['memory_mib']) / 1024)} GiB, {found['processor']}"


@click.command(epilog="Example: python -m bench.estimate_error --gb 0.2 --write benchmarks/estimate.md")
@click.option(
    "--stack", type=StackName(), default="dev", show_default=True, help="An embedded stack; it is brought up and down."
)
@click.option("--gb", type=GIGABYTES, default=0.2, show_default=True, help="Data of ingest and sort, in 2**30 bytes.")
@click.option("--count", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Images of palette.")
@click.option(
    "--repeats", type=click.IntRange(1, 1000), default=3, show_default=True, help="Warm samples per engine and round."
)
@click.option("--results", type=click.Path(path_type=Path), help="Folder for rows; default results/estimate-<time>.")
@click.option("--write", type=OutputFile(), help="Write the table, as Markdown.")
def main(stack: str, gb: float, count: int, repeats: int, results: Path | None, write: Path | None) -> None:
    """Run ingest, palette and sort twice and say how far the estimate was each time."""
    results = results or Path("results") / f"estimate-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    if stored(results):
        raise click.ClickException(f"found rows in {results}, wanted none: they would calibrate the first round")
    common = ["--stack", stack, "--repeats", str(repeats), "--no-cold", "--results", str(results)]
    commands = [
        ["workloads/ingest.py", "--engines", "ray,dask,lithops", *common],
        ["workloads/palette.py", "--engines", "ray,dask,lithops", "--count", str(count), *common],
        ["workloads/sort.py", *common],
    ]
    before: list[Miss] = []
    both: list[Miss] = []
    try:
        _run(["-m", "stacks.embedded", "up", "--stack", stack], needed=True)
        _run(["workloads/generate.py", "--stack", stack, "--gb", str(gb), "--files", "4"], needed=True)
        for number in (1, 2):
            for command in commands:
                click.echo(f"round {number}: {Path(command[0]).stem}", err=True)
                _run(command)
            both = misses(stored(results))
            before = before or both
    finally:
        _run(["-m", "stacks.embedded", "down", "--stack", stack])
        teardown.collect(results)
    options = f"--stack {stack} --gb {gb:g} --count {count} --repeats {repeats}"
    text = report(before, both[len(before) :], f"python -m bench.estimate_error {options}")
    click.echo(text)
    if write:
        write.write_text(text)


def _run(arguments: Sequence[str], *, needed: bool = False) -> None:
    """A command of the checkout. One whose engine failed still leaves the other engines' rows, so its failure is
    reported and the next command runs, unless it is `needed` by them."""
    code = leash.run([sys.executable, *arguments], cwd=ROOT)
    if code and needed:
        raise click.ClickException(f"ended with {code}: {' '.join(arguments)}")
    if code:
        click.echo(f"ended with {code}: {' '.join(arguments)}", err=True)


if __name__ == "__main__":
    with reported():
        main()
