"""The hybrid (EXPERIMENTS A5, A6): functions read and filter, a cluster sorts, against the cluster alone.

The rows whose column is above a bound end sorted in the cluster's memory, in one total order on every engine.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench import budget, command, dataset, forecast, samples, sorting, truth
from bench.data_options import data_options
from bench.engines import NEEDS, EngineError
from bench.forecast import GB, Asked
from bench.options import run_options
from bench.progress import progress
from bench.scaling_rows import Log
from bench.scaling_smoke import smoke
from bench.table import modelled, printed, skipped_line, table
from bench.verdict import conclude, epilog
from tasks.answer import Query
from tasks.dialect import Dialect
from tasks.parser import BadRows

WAYS = ("auto", "store", "s3", "redis")


@click.command(epilog=epilog("python workloads/sort.py --stack dev --engines ray,ray+lithops --reader native"))
@run_options
@data_options
@click.option(
    "--exchange",
    default="auto",
    show_default=True,
    type=click.Choice(WAYS),
    help="How results of functions reach the cluster; auto goes by size.",
)
def sort(
    *,
    stack: str,
    engines: str | None,
    reader: str,
    uri: str | None,
    query: Query,
    dialect: Dialect,
    bad_rows: BadRows,
    gb: float | None,
    repeats: int,
    cold: bool,
    ray_address: str | None,
    dask_address: str | None,
    results: Path,
    estimate: bool,
    exchange: str,
    **options: Any,
) -> None:
    """Read, filter and sort on clusters alone and with functions; check that all hold the same rows in one order."""
    asked = Asked(stack, "sort", engines, repeats, cold, results, reader, uri, gb)
    if estimate:
        with command.told():
            return forecast.tell(asked)
    with command.told(), command.open_stack(stack, ray_address, dask_address) as sessions:
        readers = sorting.READERS[reader]
        labels = command.asked(sessions, engines, readers)
        _refuse_without_effect(labels, exchange, bad_rows, reader)
        data = dataset.find(sessions.access, sessions.outputs, uri, query, dialect)
        click.echo(data.told, err=True)
        guard = budget.begin(sessions, labels, replace(asked, gb=data.size_bytes / GB))
        job = sorting.Sort(
            *(sessions.access, data, None, sessions.outputs.worker_memory_mib, bad_rows),
            sessions=sessions,
            exchange=exchange,
            rows=0,
        )
        true, bad_count, examples = truth.of_sort(sessions, job, guard, options["timeout_s"])
        job = replace(job, rows=true.rows)
        options |= {"workload": "sort", "guard": guard}
        run = sorting.SortRun(sessions, job, true, readers, reader, labels, results, **options)
        plan = sessions.one_at_a_time(samples.plan(labels, repeats, int(cold)))
        smoked = list(dict.fromkeys(name for _, engine in labels for name in NEEDS[engine]))
        log = Log(sessions, results, "sort", run.run_id)
        try:
            with progress(len(plan) + len(smoked)) as report:
                for name in smoked:
                    report.begin(f"{name} smoke test")
                    report.end(smoke(log, name, name, guard=guard, timeout_s=run.timeout_s))
                run.take(plan, report)
        finally:
            run.finish()
            printed().print(table(run.rows, modelled(sessions.outputs)))
            click.echo(dataset.answer_line(data.query, true))
            if bad_count:
                click.echo(skipped_line(bad_count, "; ".join(map(str, examples[:3]))))
            Console(stderr=True).print(f"rows: {run.path}", highlight=False, soft_wrap=True)
        conclude([*log.rows, *run.rows], plan)


def _refuse_without_effect(labels: Sequence[tuple[str, str]], exchange: str, bad_rows: BadRows, reader: str) -> None:
    """Raises EngineError for an option that none of the engines would heed."""
    if exchange != "auto" and not any("+" in engine for _, engine in labels):
        raise EngineError(f"found --exchange {exchange}, which no cluster alone uses: add ray+lithops or dask+lithops")
    if bad_rows == "skip" and reader == "native":
        raise EngineError("found --bad-rows skip with --reader native, wanted --reader ranges: it alone skips rows")


if __name__ == "__main__":
    sort()
