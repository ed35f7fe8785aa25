"""`python -m plan.estimate --stack bench-128 --workload ingest --gb 50`: time and cost before anything is deployed."""

import json
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path

import click

from catalog.instances import UnknownInstanceTypeError
from catalog.prices import PriceError
from plan import cost
from plan import estimate as estimates
from plan.estimate import Estimate, Terms
from plan.estimate.parameters import ParameterMissing, read
from plan.estimate.workloads import WORKLOADS, intended, words
from plan.estimate.workloads import work as work_of
from plan.faults import reported
from plan.narrow import echo
from plan.quantity_option import GIGABYTES, Quantity
from plan.settings import SettingsError, load
from plan.stack_option import StackName


@click.command(context_settings={"show_default": True})
@click.option("--stack", type=StackName(), default="bench-128", help="Name of a Pulumi.<stack>.yaml in this folder.")
@click.option("--workload", type=click.Choice(WORKLOADS), help="Default: what the stack was made for.")
@click.option("--gb", type=GIGABYTES, help="Data to read, in GB of 1,024 MB; 100 TB is 102400. Default: the stack's.")
@click.option(
    "--items",
    type=click.IntRange(0, 10**9),
    default=0,
    help="How many items; images (1000) of palette, files (128) of generate.",
)
@click.option("--item-core-s", type=Quantity(min=0, max=1e9), default=0.0, help="items: seconds of one core.")
@click.option("--threads", type=click.IntRange(1, 10_000), default=1, help="items: cores that one can use.")
@click.option(
    "--prefixes", type=click.IntRange(1, 1_000_000), default=1, help="Key prefixes over which the objects are spread."
)
@click.option("--cold", is_flag=True, help="The first run after the start, not a warm one.")
@click.option("--region", default="us-east-1")
@click.option("--on", type=click.DateTime(["%Y-%m-%d"]), help="Prices valid on this day; the newest known without it.")
@click.option("--spot", is_flag=True, help="Workers on the spot market, at the dearest zone's price.")
@click.option("--workers", type=click.IntRange(1, 100_000), help="What if: this many workers on every platform.")
@click.option(
    "--parameters",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Overlay calibrated from own rows.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable, whole.")
def main(
    stack: str,
    workload: str | None,
    gb: float | None,
    items: int,
    item_core_s: float,
    threads: int,
    prefixes: int,
    cold: bool,
    region: str,
    on: datetime | None,
    spot: bool,
    workers: int | None,
    parameters: Path | None,
    as_json: bool,
) -> None:
    """What a workload would take and cost on each platform of a stack. No account, nothing is deployed."""
    when = on.date() if on else None
    try:
        known = read() if parameters is None else read().overlaid(read(parameters).rows)
        settings = load(stack, Path.cwd())
        name, gb, items = intended(settings, workload, gb, items)
        work = work_of(name, known, gb=gb, items=items, item_core_s=item_core_s, threads=threads, prefixes=prefixes)
        settings = estimates.scaled(settings, workers) if workers else settings
        found = estimates.estimate(settings, work, known, Terms(region, when, spot), cold=cold)
        worst = cost.worst_until_expiry(settings, region, when)
    except (SettingsError, PriceError, ParameterMissing, UnknownInstanceTypeError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], default=str, indent=1))
        return
    run = "start and end only" if name == "startup" else "first run" if cold else "one warm run"
    echo(f"{stack}: {words(work, gb)}, {run}, {region}, {_dated(when)}")
    for one in found:
        echo(_shown(one))
    echo(f"The stack's worst cost until it expires: {worst:.2f} USD (budget {settings.budget_usd or 'none'}).")
    echo("Ranges hold the middle 90 % of draws from the parameters' ranges. How wrong it has been: docs/costs.md")


def _dated(on: date | None) -> str:
    return f"prices of {on}" if on else "newest prices known"


def _shown(one: Estimate) -> str:
    spans = ", ".join(f"{phase.name} {phase.seconds:.1f} s" for phase in one.phases)
    usd = ", ".join(f"{name} {part:.4f}" for name, part in one.usd_parts.items())
    lines = [
        f"{one.target} ({one.workers} workers on {one.platform}{', priced as modelled' if one.modelled else ''})",
        f"  run    {one.run_s.value:9.1f} s    {one.run_s.low:9.1f} to {one.run_s.high:.1f}",
        f"  total  {one.total_s.value:9.1f} s    {one.total_s.low:9.1f} to {one.total_s.high:.1f}   ({spans})",
        f"  cost   {one.usd.value:9.4f} USD  {one.usd.low:9.4f} to {one.usd.high:.4f}   ({usd})",
        f"  saturates first: {one.saturates}{' (simulated)' if one.simulated else ''}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    with reported():
        main()
