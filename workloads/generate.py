"""Make store_sales-like CSV in the stack's bucket: the same bytes whatever the engine, worker count or interruption."""

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from bench import command, forecast
from bench.data_options import Address
from bench.dataset import DataError, answer_line
from bench.forecast import Asked
from bench.options import in_region
from bench.progress import progress
from bench.sessions.session import Session
from plan.quantity_option import GIGABYTES
from plan.stack_option import StackName
from tasks import manifest
from tasks.answer import Query
from tasks.store_sales import GB_BYTES, plan_files
from tasks.upload import abort_pending


@click.command(epilog="Example: python workloads/generate.py --stack dev --gb 0.4 --files 8")
@in_region
@click.option(
    "--stack", type=StackName(), default="dev", show_default=True, help="The stack whose bucket is written to."
)
@click.option("--gb", default=0.4, show_default=True, type=GIGABYTES, help="Size in units of 2**30 bytes.")
@click.option("--files", default=8, show_default=True, type=click.IntRange(1, 1_000_000), help="Number of files.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Same seed, same bytes.")
@click.option(
    "--engine", default="auto", show_default=True, type=click.Choice(["auto", "dask", "ray", "lithops", "process"])
)
@click.option("--estimate", is_flag=True, help="Say what it would take and cost; the stack need not be up.")
@click.option("--to", type=Address(), help="s3://bucket/prefix or a folder instead of the stack's data bucket.")
def generate(*, stack: str, gb: float, files: int, seed: int, engine: str, estimate: bool, to: str | None) -> None:
    """Generate data, keep files that already stand, and say where they are and what the true answer is."""
    if estimate:
        engines = None if engine in ("auto", "process") else engine
        asked = Asked(stack, "generate", engines, 1, False, Path("results"), gb=gb, items=files)
        with command.told():
            return forecast.tell(asked)
    with command.told(), command.open_stack(stack, None, None) as sessions:
        root = to or f"s3://{sessions.outputs.data_bucket}"
        base, query = manifest.base_of(root, gb, files, seed), Query()
        try:
            specs = plan_files(gb, files, seed)
        except ValueError as error:
            raise DataError(str(error)) from error
        missing = manifest.begin(sessions.access, base, specs, query)
        _check_room(root, gb * len(missing) / len(specs))
        if missing:
            session = command.generator(sessions, engine, len(missing))
            try:
                _write(session, [(sessions.access, base, spec, query) for spec in missing])
            except BaseException:
                session.cancel()  # no worker may go on writing what is now removed
                with suppress(Exception):
                    abort_pending(sessions.access, base)
                raise
        made = manifest.finish(sessions.access, base, specs, query)
    kept = len(specs) - len(missing)
    click.echo(
        f"{base}: {made.size_bytes / GB_BYTES:.3f} GB in {len(specs)} files, {made.rows} rows; {kept} files were kept"
    )
    click.echo(answer_line(query, made.answer))


def _check_room(root: str, gb: float) -> None:
    """Raises DataError where a folder's disk is too small; of a bucket nobody can tell."""
    if not root.startswith("s3://"):
        there = next(path for path in (Path(root), *Path(root).parents) if path.exists())
        free_gb = shutil.disk_usage(there).free / GB_BYTES
        if free_gb < gb:
            raise DataError(f"{root}: found room for {free_gb:.3g} GB, wanted {gb:g} GB: take less, or another disk")


def _write(session: Session, items: list[tuple[Any, ...]]) -> None:
    began, size = time.perf_counter(), 0
    with progress(len(items)) as report:
        report.begin(f"generating on {session.engine}")
        for done in session.stream(manifest.write_file, items):
            size += done.result.size_bytes
            rate = size / 1e6 / (time.perf_counter() - began)
            report.end(f"{done.result.name}: {done.result.size_bytes / 1e6:.1f} MB ({rate:.0f} MB/s in all)")


if __name__ == "__main__":
    generate()
