"""`python -m bench.report`: write the report of all rows in results/."""

from pathlib import Path

import click

from bench.report.data import report
from bench.report.render import render
from bench.stored import load, told
from plan.faults import reported
from plan.output_option import OutputFile
from plan.stack_option import StackName


@click.command(epilog="Example: python -m bench.report --results results --stack dev --out report.html")
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True,
              help="a folder of rows, or one file of them")  # fmt: skip
@click.option("--out", type=OutputFile(), default=Path("report.html"), show_default=True)
@click.option("--stack", type=StackName(), help="only rows of this stack")
def main(results: Path, out: Path, stack: str | None) -> None:
    """Write one HTML file that works offline from the rows in --results."""
    try:
        found = report(load([results], stack))
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from None
    out.write_text(render(found), encoding="utf-8")
    for line in told(found.unreadable):
        click.echo(line, err=True)
    counted, lines = sum(m.estimate.n for m in found.measured), len(found.unreadable)
    click.echo(
        f"{out}: {counted} samples count, {len(found.uncounted)} do not, "
        f"{lines} line{'s were' if lines != 1 else ' was'} skipped"
    )


if __name__ == "__main__":
    with reported():
        main()
