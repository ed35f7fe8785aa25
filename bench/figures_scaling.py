"""Figures of the scaling experiments: each a time or ratio in one run on this machine, beside its bound.

    python -m bench.figures_scaling --only empty

Brings the embedded stack up if it is not, and writes `benchmarks/scaling.md` and a row for each timed round. Engines
and references take turns, so that a slow minute hits all. A bound that is missed is told as missed.
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import click

from bench import command, images
from bench.autoscale import chunks
from bench.dataset import DataError
from bench.figure import FOLDER, Figure, head, lines
from bench.figures import stack_up
from bench.scaling_rows import Log
from bench.sessions.session import Session
from plan.faults import reported
from plan.stack_option import StackName
from tasks.empty import empties, empty
from tasks.objects import Access
from tasks.palette import checksum, extract, extract_all

EMPTY_TASKS, EMPTY_BOUND_S = 1000, 3.0
ENGINES, RATIO_BOUND = ("ray", "dask", "lithops"), 1.1
IMAGES = 100  # some ten seconds on two cores


class NotEqual(RuntimeError):
    """Two ways to do the same work gave different answers: their times say nothing."""


def empty_tasks(log: Log, repeats: int) -> list[Figure]:
    """1,000 empty tasks: as one call of the function pool, in chunks; on Ray and Dask beside the bare engine."""
    found, name = [], "1,000 empty tasks"
    for engine in [name for name in ENGINES if name in log.sessions.available()]:
        (session,) = log.sessions.of(engine)
        if engine == "lithops":
            chunk = -(-EMPTY_TASKS // session.fleet().workers)
            (times,) = _turns(name, [lambda s=session, n=chunk: _in_chunks(s, n)], repeats)  # type: ignore[misc]
            _keep(log, engine, engine, "empty_tasks_s", times, tasks=EMPTY_TASKS, chunk=chunk)
            how = f"one call of {EMPTY_TASKS} tasks, {chunk} to a function; warm, median of {repeats}"
            found.append(Figure.of(name, engine, times, "s", EMPTY_BOUND_S, how))
            continue
        ours, bare = _turns(f"{name}, {engine}", [lambda s=session: _by_session(s), BARE[engine]], repeats)  # type: ignore[misc]
        _keep(log, engine, engine, "empty_tasks_s", ours, tasks=EMPTY_TASKS, chunk=1)
        _keep(log, engine, f"bare {engine}", "empty_tasks_s", bare, tasks=EMPTY_TASKS, chunk=1)
        found.append(_ratio(name, engine, ours, bare, "the bare engine"))
    return found


def palette_fixed(log: Log, repeats: int, count: int = IMAGES) -> list[Figure]:
    """Palettes on the workers there are, beside a process pool of as many, written by hand: an image to a task on both.

    Functions take as many images each as make two calls to a worker, for each call is a new process here.
    """
    sessions, found = log.sessions, []
    if sessions.outputs.data_bucket is None:
        raise DataError(f"stack {sessions.outputs.stack!r} has no data bucket for the images")
    photographs = images.upload(sessions.access, sessions.outputs.data_bucket, images.sources(None).files, "shipped")
    work = photographs.work(count)
    truth = {uri: extract(sessions.access, uri) for uri in photographs.sizes}
    wanted = checksum([truth[uri] for uri in work])
    for engine in [name for name in ENGINES if name in sessions.available()]:
        (session,) = sessions.of(engine)
        workers = session.fleet().workers
        chunk = -(-count // (2 * workers)) if engine == "lithops" else 1
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            ours, reference = _turns(
                f"palettes, {engine}",
                [
                    lambda s=session, n=chunk: _palettes(s, sessions.access, work, n, wanted),  # type: ignore[misc]
                    lambda p=pool: _pooled(p, sessions.access, work, wanted),  # type: ignore[misc]
                ],
                repeats,
            )
        _keep(log, engine, engine, "palettes_s", ours, images=count, chunk=chunk)
        _keep(log, engine, "process pool", "palettes_s", reference, images=count, chunk=1, beside=engine)
        beside = f"a pool of {workers} processes; {count} images, {chunk} to a task"
        found.append(_ratio("palettes on fixed workers", engine, ours, reference, beside))
    return found


def _keep(log: Log, engine: str, label: str, metric: str, times: Sequence[float], **parameters: Any) -> None:
    for repeat, seconds in enumerate(times):
        log.add(engine, label, metric, seconds, condition="warm", repeat=repeat, parameters=parameters)


def _turns(name: str, works: Sequence[Callable[[], None]], repeats: int) -> list[list[float]]:
    """Seconds of each work, warm: two untimed rounds first, then `repeats` rounds in which each has its turn."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(2 + repeats):
        for held, work in zip(times, works, strict=True):
            began = time.perf_counter()
            work()
            if turn >= 2:
                held.append(time.perf_counter() - began)
        click.echo(f"{name}: round {turn + 1}/{2 + repeats}", err=True)
    return times


def _ratio(name: str, engine: str, ours: Sequence[float], reference: Sequence[float], beside: str) -> Figure:
    note = f"{statistics.median(ours):.3f} s to {statistics.median(reference):.3f} s of {beside}; median of {len(ours)}"
    return Figure.ratio(name, engine, ours, reference, RATIO_BOUND, note)


def _by_session(session: Session) -> None:
    done = list(session.stream(empty, [(number,) for number in range(EMPTY_TASKS)]))
    _check(sorted(one.result for one in done), list(range(EMPTY_TASKS)))


def _in_chunks(session: Session, chunk: int) -> None:
    numbers = [str(number) for number in range(EMPTY_TASKS)]
    done = list(session.stream(empties, [(part,) for part in chunks(numbers, chunk)]))
    _check(sorted(number for one in done for number in one.result), sorted(numbers))


def _bare_ray() -> None:
    import ray  # noqa: PLC0415  only where Ray is what is measured

    task = ray.remote(num_cpus=1)(empty)
    _check(ray.get([task.remote(number) for number in range(EMPTY_TASKS)]), list(range(EMPTY_TASKS)))


def _bare_dask() -> None:
    from distributed import default_client  # noqa: PLC0415  only where Dask is what is measured

    client = default_client()
    _check(client.gather(client.map(empty, range(EMPTY_TASKS), pure=False)), list(range(EMPTY_TASKS)))


BARE: dict[str, Callable[[], None]] = {"ray": _bare_ray, "dask": _bare_dask}


def _palettes(session: Session, access: Access, work: list[str], chunk: int, wanted: str) -> None:
    done = sorted(session.stream(extract_all, [(access, part) for part in chunks(work, chunk)]), key=lambda d: d.index)
    _check(checksum([palette for one in done for palette in one.result]), wanted)


def _pooled(pool: ProcessPoolExecutor, access: Access, work: list[str], wanted: str) -> None:
    _check(checksum(list(pool.map(extract, [access] * len(work), work))), wanted)


def _check(found: Any, wanted: Any) -> None:
    if found != wanted:
        raise NotEqual(f"found {str(found)[:80]}, wanted {str(wanted)[:80]}")


@click.command(epilog="Example: python -m bench.figures_scaling --only empty")
@click.option("--stack", "name", type=StackName(), default="dev", show_default=True, help="An embedded stack.")
@click.option("--only", type=click.Choice(["empty", "palette"]), help="One of the two, printed and not written.")
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1), help="Timed rounds.")
def main(name: str, only: str | None, repeats: int) -> None:
    """Measure the figures and write benchmarks/scaling.md."""
    told = [
        *head("Scaling: what an engine and this harness add", "python -m bench.figures_scaling"),
        "Whole calls seen from the driver, warm, engine and reference in turn; each gave the right answer.\n",
    ]
    with stack_up(name), command.told(), command.open_stack(name, None, None) as sessions:
        log = Log(sessions, FOLDER / "rows" / "scaling", "figures")
        found = empty_tasks(log, repeats) if only != "palette" else []
        found += palette_fixed(log, repeats) if only != "empty" else []
    text = "\n".join([*told, *lines(found), "", f"Rows: run {log.run_id}.", ""])
    if only is None:
        (FOLDER / "scaling.md").write_text(text)
    click.echo(text)


if __name__ == "__main__":
    with reported():
        main()
