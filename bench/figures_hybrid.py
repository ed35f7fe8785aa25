"""The hybrid's figures: what the decorator adds to a call, how fast large results come in, one file of 1 GB sorted.

    python -m bench.figures_hybrid

Each is a value beside its bound; a bound that is missed is said to be missed. The stack must be up.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

from bench import command, rows, stage
from bench.engines import Sessions
from bench.rows import Row

ITEMS, LARGE_BYTES, LARGE = 200, 100_000_000, 6
_SCRIPTS = Path(__file__).parents[1] / "workloads"


@dataclass(frozen=True)
class Figure:
    """One value and its bound; `at_least`: whether the bound is from below."""

    name: str
    value: float
    unit: str
    bound: float
    at_least: bool
    how: str

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def overhead(sessions: Sessions, engine: str) -> Figure:
    """Milliseconds per item that are the decorator's: in the function around the program's own, and in the driver.

    In the function: the call without the function itself and the process that Lithops starts for it. In the driver:
    processor time of this thread, which pickles inputs and puts results into the store, less the same of the engine
    alone, whose own work it is too: Lithops's map, and the store's put of the same values.
    """
    cluster, pool = sessions.of(f"{engine}+lithops")
    exchange = stage.exchange_of(sessions, "auto")
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
    return Figure(
        f"{engine}: decorator's overhead per item",
        added * 1e3,
        "ms",
        5.0,
        False,
        f"{ITEMS} small items: {in_function * 1e3:.2f} ms in the function, driver {driver_s:.2f} s of processor time "
        f"against {alone_s:.2f} s of the engines alone",
    )


def large_results(sessions: Sessions, engine: str) -> Figure:
    """MB/s of one result of 100 MB, from the function's value until the cluster's store has it."""
    cluster, pool = sessions.of(f"{engine}+lithops")
    exchange = stage.exchange_of(sessions, "auto")
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
    return Figure(
        f"{engine}: results of 100 MB into the store",
        LARGE_BYTES / 1e6 / median(seconds[1:]),
        "MB/s",
        200.0,
        True,
        f"median of {LARGE - 1} after one untimed, from the function's value to the store; {median(handed):.2f} s "
        f"of it in the function; exchange {exchange.way}",
    )


def one_file(name: str) -> Iterator[Figure]:
    """A single file of 1 GB sorted: each hybrid's warm median against the better native cluster alone, same cores."""
    script = [sys.executable, str(_SCRIPTS / "generate.py"), "--stack", name, "--gb", "1", "--files", "1"]
    subprocess.run(script, check=True)
    with tempfile.TemporaryDirectory() as folder:
        sort = [sys.executable, str(_SCRIPTS / "sort.py"), "--stack", name, "--reader", "native", "--no-cold"]
        sort += ["--data", "s3://data/store_sales/gb1-f1-s0", "--results", folder]
        subprocess.run(sort, check=True)
        found = [row for path in Path(folder).rglob("*.jsonl") for row in rows.read(path) if isinstance(row, Row)]
    times: dict[str, list[float]] = {}
    for row in found:
        if row.metric == "run_s" and row.condition == "warm" and row.status == "ok" and row.value is not None:
            times.setdefault(row.engine, []).append(row.value)
    medians = {engine: median(values) for engine, values in times.items()}
    best = min(seconds for engine, seconds in medians.items() if "+" not in engine)
    told = ", ".join(f"{engine} {seconds:.2f} s (n={len(times[engine])})" for engine, seconds in medians.items())
    for engine, seconds in medians.items():
        if "+" in engine:
            yield Figure(f"{engine}: sort of one file of 1 GB", seconds / best, "times", 1.0, False, told)


def figures(name: str, engines: tuple[str, ...] = ("ray", "dask")) -> Iterator[Figure]:
    """All figures of this module on a stack that is up."""
    with command.open_stack(name, None, None) as sessions:
        for engine in engines:
            yield overhead(sessions, engine)
            yield large_results(sessions, engine)
    yield from one_file(name)


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


@click.command()
@click.option("--stack", "name", default="dev", show_default=True, help="A stack that is up.")
@click.option("--only", type=click.Choice(["calls", "sort"]), help="One part of them.")
def main(name: str, only: str | None) -> None:
    """Measure the figures and print each beside its bound."""
    if only == "sort":
        found = one_file(name)
    elif only == "calls":
        found = (figure for figure in figures(name) if "sort" not in figure.name)
    else:
        found = figures(name)
    for figure in found:
        sign = ">=" if figure.at_least else "<="
        met = "met" if figure.met else "MISSED"
        click.echo(
            f"{figure.name}: {figure.value:.3g} {figure.unit}, wanted {sign} {figure.bound:g}: {met} ({figure.how})"
        )


if __name__ == "__main__":
    main()
