"""Make store_sales-like CSV in the stack's bucket: the same bytes whatever the engine, worker count or interruption."""

import time
from pathlib import Path

import click

from bench import command, forecast
from bench.forecast import Asked
from bench.options import in_region
from bench.progress import progress
from plan.stack_option import StackName
from tasks import manifest
from tasks.answer import Query
from tasks.store_sales import GB_BYTES, plan_files


@click.command(epilog="Example: python workloads/generate.py --stack dev --gb 0.4 --files 8")
@in_region
@click.option(
    "--stack", type=StackName(), default="dev", show_default=True, help="The stack whose bucket is written to."
)
@click.option("--gb", default=0.4, show_default=True, type=float, help="Size in units of 2**30 bytes.")
@click.option("--files", default=8, show_default=True, type=click.IntRange(1), help="Number of files.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Same seed, same bytes.")
@click.option(
    "--engine", default="auto", show_default=True, type=click.Choice(["auto", "dask", "ray", "lithops", "process"])
)
@click.option("--estimate", is_flag=True, help="Say what it would take and cost; the stack need not be up.")
@click.option("--to", metavar="URI", help="s3://bucket/prefix or a folder instead of the stack's data bucket.")
def generate(*, stack: str, gb: float, files: int, seed: int, engine: str, estimate: bool, to: str | None) -> None:
    """Generate data, keep files that already stand, and say where they are and what the true answer is."""
    if estimate:
        engines = None if engine in ("auto", "process") else engine
        asked = Asked(stack, "generate", engines, 1, False, Path("results"), gb=gb, items=files)
        with command.told():
            return forecast.tell(asked)
    with command.told(), command.open_stack(stack, None, None) as sessions:
        root = to or f"s3://{sessions.outputs.data_bucket}"
        base, specs, query = manifest.base_of(root, gb, files, seed), plan_files(gb, files, seed), Query()
        began, size = time.perf_counter(), 0
        missing = manifest.begin(sessions.access, base, specs, query)
        if missing:
            session = command.generator(sessions, engine, len(missing))
            with progress(len(missing)) as report:
                report.begin(f"generating on {session.engine}")
                items = [(sessions.access, base, spec, query) for spec in missing]
                for done in session.stream(manifest.write_file, items):
                    size += done.result.size_bytes
                    rate = size / 1e6 / (time.perf_counter() - began)
                    report.end(f"{done.result.name}: {done.result.size_bytes / 1e6:.1f} MB ({rate:.0f} MB/s in all)")
        made = manifest.finish(sessions.access, base, specs, query)
    kept = len(specs) - len(missing)
    click.echo(
        f"{base}: {made.size_bytes / GB_BYTES:.3f} GB in {len(specs)} files, {made.rows} rows; {kept} files were kept"
    )
    answer, unit = made.answer, 10**query.decimals
    click.echo(
        f"{query.column} above {(query.above or 0) / unit:g}: {answer.kept} rows, sum {answer.total / unit:.2f}, "
        f"largest {', '.join(f'{value / unit:.2f}' for value in answer.largest[:3])}"
    )


if __name__ == "__main__":
    generate()
