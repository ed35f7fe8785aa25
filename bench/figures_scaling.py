"""Figures of the scaling experiments: each a time or ratio in one run on this machine, beside its bound.

    python -m bench.figures_scaling --stack dev --only empty

Engines and references take turns, so that a slow minute hits all. A bound that is missed is told as missed.
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import click

from bench import command, images
from bench.autoscale import chunks
from bench.dataset import DataError
from bench.engines import Sessions
from bench.sessions.session import Session
from tasks.empty import empties, empty
from tasks.objects import Access
from tasks.palette import checksum, extract, extract_all

EMPTY_TASKS, EMPTY_CHUNK, EMPTY_BOUND_S = 1000, 50, 3.0
ENGINES, RATIO_BOUND = ("ray", "dask", "lithops"), 1.1


@dataclass(frozen=True)
class Figure:
    """`value` is seconds or a ratio (unit `x`) and should not exceed `bound`."""

    name: str
    engine: str
    value: float
    bound: float
    unit: str
    note: str

    @property
    def held(self) -> bool:
        """Whether the bound was kept."""
        return self.value <= self.bound


class NotEqual(RuntimeError):
    """Two ways to do the same work gave different answers: their times say nothing."""


def empty_tasks(sessions: Sessions, repeats: int) -> list[Figure]:
    """1,000 empty tasks: as one call of the function pool, in chunks; on Ray and Dask beside the bare engine."""
    found = []
    for engine in [name for name in ENGINES if name in sessions.available()]:
        (session,) = sessions.of(engine)
        if engine == "lithops":
            times = _turns([lambda s=session: _in_chunks(s)], repeats)  # type: ignore[misc]
            note = f"one call of {EMPTY_TASKS} tasks, {EMPTY_CHUNK} to a function; warm, median of {repeats}"
            found.append(Figure("1,000 empty tasks", engine, statistics.median(times[0]), EMPTY_BOUND_S, "s", note))
            continue
        ours, bare = _turns([lambda s=session: _by_session(s), BARE[engine]], repeats)  # type: ignore[misc]
        found.append(_ratio("1,000 empty tasks", engine, ours, bare, "the bare engine"))
    return found


def palette_fixed(sessions: Sessions, repeats: int, count: int = 200, chunk: int = 1) -> list[Figure]:
    """Palettes on the workers there are, beside a process pool of as many; functions take ten images each."""
    out = sessions.outputs
    if out.data_bucket is None:
        raise DataError(f"stack {out.stack!r} has no data bucket for the images")
    photographs = images.upload(sessions.access, out.data_bucket, images.sources(None), "shipped")
    work = photographs.work(count)
    truth = {uri: extract(sessions.access, uri) for uri in photographs.sizes}
    wanted = checksum([truth[uri] for uri in work])
    found = []
    for engine in [name for name in ENGINES if name in sessions.available()]:
        (session,) = sessions.of(engine)
        size = max(chunk, 10) if engine == "lithops" else chunk
        with ProcessPoolExecutor(session.fleet().workers, multiprocessing.get_context("spawn")) as pool:
            ours, reference = _turns(
                [
                    lambda s=session, n=size: _palettes(s, sessions.access, work, n, wanted),  # type: ignore[misc]
                    lambda p=pool: _pooled(p, sessions.access, work, wanted),  # type: ignore[misc]
                ],
                repeats,
            )
        beside = f"a pool of {session.fleet().workers} processes; {count} images, {size} to a task"
        found.append(_ratio("palettes on fixed workers", engine, ours, reference, beside))
    return found


def _turns(works: Sequence[Callable[[], None]], repeats: int) -> list[list[float]]:
    """Seconds of each work, warm: two untimed rounds first, then `repeats` rounds in which each has its turn."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(2 + repeats):
        for held, work in zip(times, works, strict=True):
            began = time.perf_counter()
            work()
            if turn >= 2:
                held.append(time.perf_counter() - began)
    return times


def _ratio(name: str, engine: str, ours: Sequence[float], reference: Sequence[float], beside: str) -> Figure:
    value = statistics.median(ours) / statistics.median(reference)
    note = f"{statistics.median(ours):.3f} s to {statistics.median(reference):.3f} s of {beside}; median of {len(ours)}"
    return Figure(name, engine, value, RATIO_BOUND, "x", note)


def _by_session(session: Session) -> None:
    done = list(session.stream(empty, [(number,) for number in range(EMPTY_TASKS)]))
    _check(sorted(one.result for one in done), list(range(EMPTY_TASKS)))


def _in_chunks(session: Session) -> None:
    numbers = [str(number) for number in range(EMPTY_TASKS)]
    done = list(session.stream(empties, [(part,) for part in chunks(numbers, EMPTY_CHUNK)]))
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


def lines(found: Sequence[Figure]) -> list[str]:
    """A Markdown table."""
    rows = ["| figure | engine | found | bound | | how |", "|---|---|---|---|---|---|"]
    for one in found:
        kept = "kept" if one.held else "missed"
        rows.append(f"| {one.name} | {one.engine} | {one.value:.2f} {one.unit} | {one.bound:g} | {kept} | {one.note} |")
    return rows


@click.command(epilog="Example: python -m bench.figures_scaling --stack dev --only empty")
@click.option("--stack", default="dev", show_default=True, help="An embedded stack that is up.")
@click.option("--only", type=click.Choice(["empty", "palette"]), help="One of the two; both without it.")
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1), help="Timed rounds.")
def main(stack: str, only: str | None, repeats: int) -> None:
    """Take the figures and print them as a table."""
    with command.told(), command.open_stack(stack, None, None) as sessions:
        found = empty_tasks(sessions, repeats) if only != "palette" else []
        found += palette_fixed(sessions, repeats) if only != "empty" else []
        click.echo("\n".join(lines(found)))


if __name__ == "__main__":
    main()
