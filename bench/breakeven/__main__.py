"""`python -m bench.breakeven`: when a cluster pays off, from rows or, before there are any, from the estimate."""

import textwrap
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from bench.breakeven import Option, break_even, cheapest_functions, sentence
from bench.breakeven.charts import chart
from bench.breakeven.sources import from_estimates, from_rows, jobs, on_arm
from bench.costs import DOWN, Prices
from bench.engines import BASELINES
from bench.rows import Row
from bench.stored import load as load_rows
from bench.stored import told
from catalog.prices import PriceError, assumed, price_sets, table, warnings
from plan.billing import exact
from plan.estimate import Terms, scaled
from plan.estimate.parameters import ParameterMissing
from plan.estimate.parameters import read as parameters
from plan.estimate.phases import Work
from plan.estimate.workloads import intended, words
from plan.estimate.workloads import work as work_of
from plan.faults import reported
from plan.narrow import echo
from plan.output_option import OutputFile
from plan.quantity_option import GIGABYTES
from plan.settings import Settings, SettingsError, load
from plan.stack_option import StackName


@click.command(context_settings={"show_default": True})
@click.option("--rows", type=click.Path(exists=True, path_type=Path), help="Rows, a file or a folder of them.")
@click.option(
    "--stack", type=StackName(), default="bench-128", help="Without --rows: the stack whose estimate is taken."
)
@click.option(
    "--workload", help="Of the rows, or of the estimate; default: all there are, or what the stack was made for."
)
@click.option("--gb", type=GIGABYTES, help="Without --rows: data of one run, in GB of 1,024 MB; default: the stack's.")
@click.option("--items", type=click.IntRange(0, 10**9), default=0, help="Without --rows: images of palette.")
@click.option("--region", default="us-east-1")
@click.option("--on", type=click.DateTime(["%Y-%m-%d"]), help="What if: prices valid on this day.")
@click.option("--spot", is_flag=True, help="What if: workers on the spot market.")
@click.option("--arm", is_flag=True, help="What if: Arm machines and functions, at the same speed.")
@click.option(
    "--workers", type=click.IntRange(1, 100_000), help="What if, without --rows: this many workers on every platform."
)
@click.option("--price", "supposed", multiple=True, metavar="ITEM=USD", help="What if: ec2:m6i.large=0.05; repeatable.")
@click.option(
    "--out", type=OutputFile((".html", ".png", ".svg")), help="Write the chart, as .html (works offline), .png or .svg."
)
def main(
    rows: Path | None,
    stack: str,
    workload: str | None,
    gb: float | None,
    items: int,
    region: str,
    on: datetime | None,
    spot: bool,
    arm: bool,
    workers: int | None,
    supposed: tuple[str, ...],
    out: Path | None,
) -> None:
    """At how many runs a day, or what share of busy time, a cluster is as cheap as functions."""
    when = on.date() if on else None
    try:
        with assumed(_prices(supposed)):
            if rows is not None:
                found = _of(workload, _rows(rows), rows)
                prices = Prices(when, region, spot, arm)
                cases = {f"rows of {job}": from_rows(group, prices) for job, group in jobs(found).items()}
            else:
                settings = on_arm(load(stack, Path.cwd())) if arm else load(stack, Path.cwd())
                settings = scaled(settings, workers) if workers else settings
                work, what = _work(settings, workload, gb, items)
                source = f"the estimate of {stack}, {what}"
                cases = {source: from_estimates(settings, work, Terms(region, when, spot))}
        for source, options in cases.items():
            echo(f"From {source}, {region}, {f'prices of {when}' if when else 'newest prices known'}:")
            for option in options:
                echo(_line(option, options))
            echo(sentence(options))
    except (SettingsError, PriceError, ParameterMissing, ValueError) as error:
        raise click.ClickException(str(error)) from None
    used = [table().price(item, region, when) for item in _ITEMS]
    for line in warnings(price_sets(used, datetime.now().astimezone().date())):
        click.echo(f"warning: {line}", err=True)
    if out is not None:
        if len(cases) != 1:
            raise click.ClickException(
                f"found {len(cases)} jobs, wanted one for {out}; give --rows a file, or --workload"
            )
        _save(next(iter(cases.values())), out)
        echo(f"wrote {out}")


# What every break-even rests on; hosts of other types are priced from the same source as this one.
_ITEMS = ("ec2:m6i.large", "lambda:x86_64", "lambda:request")


def _prices(given: tuple[str, ...]) -> dict[str, Decimal]:
    """--price options. Raises click.UsageError."""
    found = {}
    for one in given:
        item, _, usd = one.rpartition("=")
        try:
            found[item] = exact(Decimal(usd))
        except (InvalidOperation, ValueError):
            raise click.UsageError(f"found --price {one!r}, wanted ITEM=USD such as ec2:m6i.large=0.05") from None
    return found


def _line(option: Option, options: list[Option]) -> str:
    shown = f"  {option.name:16} run {option.run_s.value:8.1f} s   {option.run_usd.value:9.5f} USD for a run"
    if option.kind == "functions":
        return shown
    shown += f", {option.hold_usd_per_h:8.4f} USD an hour kept up"
    functions = cheapest_functions(options)
    return f"{shown}; {break_even(option, functions).reason}" if functions else shown


REPEATED = ("ingest", "sort", "palette", "generate")
"""Workloads of which a day has many runs, and whose one run the estimate knows."""


def _work(settings: Settings, workload: str | None, gb: float | None, items: int) -> tuple[Work, str]:
    """What is estimated, and in a phrase. Raises click.ClickException for what is no job to be run again and again."""
    name, gb, items = intended(settings, workload, gb, items)
    if name not in REPEATED:
        meant = "" if workload else f", which stack {settings.stack!r} was made for"
        raise click.ClickException(
            f"found --workload {name!r}{meant}, wanted one whose runs are counted: {', '.join(REPEATED)}"
        )
    work = work_of(name, parameters(), gb=gb, items=items)
    return work, words(work, gb)


def _of(workload: str | None, found: list[Row], path: Path) -> list[Row]:
    """Rows of one workload, or all, without the baselines. Raises click.ClickException where there are none."""
    there = sorted({row.workload for row in found if row.metric == "run_s"})
    if not there or (workload and workload not in there):
        wanted = f"--workload {workload!r}, wanted" if workload and there else "no runs, wanted rows of a workload:"
        raise click.ClickException(f"{path}: found {wanted} {', '.join(there) or 'run one first'}")
    return [row for row in found if row.workload in (workload or row.workload, DOWN) and row.engine not in BASELINES]


def _rows(path: Path) -> list[Row]:
    loaded = load_rows([path])
    for line in told(loaded.unreadable):
        click.echo(line, err=True)
    return [sourced.row for sourced in loaded.rows]


def _save(options: list[Option], out: Path) -> None:
    words = textwrap.wrap(sentence(options), 110)
    titled = chart(options).properties(title={"text": words, "anchor": "start"}, width=760)
    titled.save(str(out), inline=out.suffix == ".html")


if __name__ == "__main__":
    with reported():
        main()
