"""The hybrid's figures: what the decorator adds to a call, how fast large results come in, one file of 1 GB sorted.

    python -m bench.figures_hybrid

Brings the embedded stack up if it is not, and writes `benchmarks/hybrid.md` and rows. A bound that is missed is told
as missed.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

from bench import command, leash, stage
from bench.engines import Sessions
from bench.figure import FOLDER, Figure, head, lines
from bench.figures import stack_up
from bench.scaling_rows import Log
from bench.stored import load
from plan.faults import reported
from plan.stack_option import StackName

ITEMS, LARGE_BYTES, LARGE = 200, 100_000_000, 6
_SCRIPTS = Path(__file__).parents[1] / "workloads"


def overhead(log: Log, engine: str) -> Figure:
    """Milliseconds per item that are the decorator's: in the function around the program's own, and in the driver.

    In the function: the call without the function itself and the process that Lithops starts for it. In the driver:
    processor time of this thread, which pickles inputs and puts results into the store, less the same of the engine
    alone, whose own work it is too: Lithops's map, and the store's put of the same values.
    """
    cluster, pool = log.sessions.of(f"{engine}+lithops")
    exchange = stage.exchange_of(log.sessions, "auto")
    bound: dict[str, Any] = {"in_flight": ITEMS}
    timed = stage.Stage(_timed, pool, stage.store_of(cluster), exchange, **bound)  # type: ignore[arg-type]
    list(timed(range(10)))
    before = time.thread_time()
    arrivals = timed(range(ITEMS))
    values = [_value(engine, reference) for reference in arrivals]
    driver_s = time.thread_time() - before
    in_function = median(trace.busy_s for trace in arrivals.ledger.traces) - median(values)
    before = time.thread_time()
    for done in pool.stream(_timed, [(n,) for n in range(ITEMS)]):
        _value(engine, _put(cluster, done.result))
    alone_s = time.thread_time() - before
    added = in_function + max(0.0, driver_s - alone_s) / ITEMS
    parts = {"in_function_s": in_function, "driver_s": driver_s, "engines_alone_s": alone_s, "items": ITEMS}
    log.add(f"{engine}+lithops", engine, "stage_overhead_s", added, condition="warm", parameters=parts)
    how = (
        f"{ITEMS} small items: {in_function * 1e3:.2f} ms in the function, driver {driver_s:.2f} s of processor time "
        f"against {alone_s:.2f} s of the engines alone"
    )
    beside_s = added - in_function - median(values)  # of the driver, and of the function itself: the same for each item
    each = [(trace.busy_s + beside_s) * 1e3 for trace in arrivals.ledger.traces]
    return Figure.of("decorator's overhead per item", engine, each, "ms", 5.0, how)


def large_results(log: Log, engine: str) -> Figure:
    """MB/s of one result of 100 MB, from the function's value until the cluster's store has it."""
    cluster, pool = log.sessions.of(f"{engine}+lithops")
    exchange = stage.exchange_of(log.sessions, "auto")
    made = stage.Stage(_large, pool, stage.store_of(cluster), exchange, in_flight=1)  # type: ignore[arg-type]
    seconds, handed = [], []
    try:
        for _ in range(LARGE):
            arrivals = made([LARGE_BYTES])
            (reference,) = arrivals
            began = time.perf_counter()
            _wait(engine, reference)
            handed.append(arrivals.ledger.handed_over_s)
            seconds.append(time.perf_counter() - began + handed[-1])
            del reference, arrivals
    finally:
        stage.clear(exchange)
    for repeat, (whole, function_s) in enumerate(zip(seconds, handed, strict=True)):
        told = {"bytes": LARGE_BYTES, "in_function_s": function_s, "exchange": exchange.way}
        condition = "warm" if repeat else "none"
        log.add(f"{engine}+lithops", engine, "result_s", whole, condition=condition, repeat=repeat, parameters=told)
    how = (
        f"median of {LARGE - 1} after one untimed, from the function's value to the store; {median(handed[1:]):.2f} s "
        f"of it in the function; exchange {exchange.way}"
    )
    rates = [LARGE_BYTES / 1e6 / whole for whole in seconds[1:]]
    return Figure.of("results of 100 MB", engine, rates, "MB/s", 200.0, how, at_least=True)


def one_file(name: str) -> Iterator[Figure]:
    """A single file of 1 GB sorted: each hybrid's warm median against the better native cluster alone, same cores."""
    script = [sys.executable, str(_SCRIPTS / "generate.py"), "--stack", name, "--gb", "1", "--files", "1"]
    if code := leash.run(script):
        raise click.ClickException(f"generate.py ended with {code}")
    folder = FOLDER / "rows" / "sort-1-GB-in-1-file"
    before = set(folder.rglob("*.jsonl"))
    sort = [sys.executable, str(_SCRIPTS / "sort.py"), "--stack", name, "--reader", "native", "--no-cold"]
    sort += ["--data", "s3://data/store_sales/gb1-f1-s0", "--results", str(folder)]
    leash.run(sort)
    yield from sorted_one_file(set(folder.rglob("*.jsonl")) - before)


def sorted_one_file(new: Iterable[Path]) -> Iterator[Figure]:
    """The figures of these rows."""
    found = [sourced.row for sourced in load(sorted(new)).rows]
    times: dict[str, list[float]] = {}
    for row in found:
        if row.metric == "run_s" and row.condition == "warm" and row.status == "ok" and row.value is not None:
            times.setdefault(row.engine, []).append(row.value)
    medians = {engine: median(values) for engine, values in times.items()}
    alone = {engine: seconds for engine, seconds in medians.items() if "+" not in engine}
    if not alone:
        return  # every cluster failed, and the rows say why
    best = min(alone, key=lambda engine: alone[engine])
    told = ", ".join(f"{engine} {seconds:.2f} s (n={len(times[engine])})" for engine, seconds in medians.items())
    for engine, values in times.items():
        if "+" in engine:
            yield Figure.ratio("sort of one file of 1 GB", engine, values, times[best], 1.0, told)


def calls(sessions: Sessions) -> Iterator[Figure]:
    """The decorator's own figures, with each cluster."""
    log = Log(sessions, FOLDER / "rows" / "hybrid", "figures")
    for engine in ("ray", "dask"):
        yield overhead(log, engine)
        yield large_results(log, engine)


def _timed(item: int) -> float:
    began = time.perf_counter()
    _ = item * item
    return time.perf_counter() - began


def _large(size: int) -> Any:
    return np.ones(size, np.uint8)


def _put(cluster: Any, value: Any) -> Any:
    if cluster.engine == "dask":
        return cluster.client.scatter(value, hash=False)
    import ray  # noqa: PLC0415  after its session is open

    return ray.put(value)


def _value(engine: str, reference: Any) -> Any:
    if engine == "dask":
        return reference.result()
    import ray  # noqa: PLC0415  after its session is open

    return ray.get(reference)


def _wait(engine: str, reference: Any) -> None:
    """Until the store has it, without bringing it here."""
    if engine == "dask":
        from distributed import wait  # noqa: PLC0415

        wait([reference])
    else:
        import ray  # noqa: PLC0415  after its session is open

        ray.wait([reference], fetch_local=False)


@click.command(epilog="Example: python -m bench.figures_hybrid --only calls")
@click.option("--stack", "name", type=StackName(), default="dev", show_default=True, help="An embedded stack.")
@click.option("--only", type=click.Choice(["calls", "sort"]), help="One part, printed and not written.")
def main(name: str, only: str | None) -> None:
    """Measure the figures and write benchmarks/hybrid.md."""
    told = [
        *head("The hybrid: functions beside a cluster", "python -m bench.figures_hybrid"),
        "The sort: each hybrid's warm median against the better native reader of a cluster alone, on the same cores; "
        "all ended with the same rows in the same order.\n",
    ]
    found: list[Figure] = []
    with stack_up(name), command.told():
        if only != "sort":
            with command.open_stack(name, None, None) as sessions:
                found += calls(sessions)
        if only != "calls":
            found += one_file(name)
    text = "\n".join([*told, *lines(found), ""])
    if only is None:
        (FOLDER / "hybrid.md").write_text(text)
    click.echo(text)


if __name__ == "__main__":
    with reported():
        main()
