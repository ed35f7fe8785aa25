"""Data ingestion (EXPERIMENTS A3, A5): which engine reads and filters CSV from the bucket fastest, cold and warm?

Every engine answers the same query: how many values of a column are above a bound, their exact sum, the largest ten.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench import budget, command, dataset, forecast, samples, truth
from bench.data_options import data_options
from bench.forecast import GB, Asked
from bench.options import run_options
from bench.progress import progress
from bench.readers import hybrid, native, ranges
from bench.readers.ingest import Ingest
from bench.runner import Run
from bench.table import against_itself, modelled, printed, skipped, table
from bench.verdict import conclude, epilog
from tasks.answer import Query
from tasks.dialect import Dialect
from tasks.parser import BadRows

READERS = {
    "native": native.READ | hybrid.NATIVE,
    "ranges": native.BASELINES | ranges.READ | hybrid.RANGES,
}


@click.command(epilog=epilog("python workloads/ingest.py --stack dev --engines ray,lithops,arrow --repeats 5"))
@run_options
@data_options
def ingest(
    *,
    stack: str,
    engines: str | None,
    reader: str,
    uri: str | None,
    query: Query,
    dialect: Dialect,
    gb: float | None,
    repeats: int,
    cold: bool,
    bad_rows: BadRows,
    ray_address: str | None,
    dask_address: str | None,
    results: Path,
    estimate: bool,
    **options: Any,
) -> None:
    """Read CSV on every engine of a stack, check that all answer alike, and say how long each took."""
    asked = Asked(stack, "ingest", engines, repeats, cold, results, reader, uri, gb)
    if estimate:
        with command.told():
            return forecast.tell(asked)
    with command.told(), command.open_stack(stack, ray_address, dask_address) as sessions:
        labels = command.asked(sessions, engines)
        if bad_rows == "skip":
            labels = native.that_skip(labels, reader, asked_for=engines is not None)
        data = dataset.find(sessions.access, sessions.outputs, uri, query, dialect)
        click.echo(data.told, err=True)
        guard = budget.begin(sessions, labels, replace(asked, gb=data.size_bytes / GB))
        bucket = sessions.outputs.working_bucket
        job = Ingest(sessions.access, data, bucket and f"s3://{bucket}", sessions.outputs.worker_memory_mib, bad_rows)
        true = truth.of_ingest(sessions, job, guard, options["timeout_s"])
        options |= {"workload": "ingest", "guard": guard}
        run = Run(sessions, job, true, READERS[reader], reader, labels, results, **options)
        plan = sessions.one_at_a_time(samples.plan(labels, repeats, int(cold)))
        try:
            with progress(len(plan)) as report:
                run.take(plan, report)
        finally:
            run.finish()
            printed().print(table(run.rows, modelled(sessions.outputs)), *skipped(run.rows), *against_itself(run.rows))
            click.echo(dataset.answer_line(data.query, true))
            Console(stderr=True).print(f"rows: {run.path}", highlight=False, soft_wrap=True)
        conclude(run.rows, plan)


if __name__ == "__main__":
    ingest()
