"""Rows of loading, autoscaling and sorting as the workloads leave them, made by a seed: measured by nobody."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from bench.rows import Billed, Data, Failure, Row, Task, Workers
from bench.scaling import Step, areas, times
from bench.scaling_rows import SERIES

CLOCK = [datetime(2026, 11, 19, 9, 0, tzinfo=UTC)]  # of the next row
LOAD_S = {"ray": (6.0, 1.6), "dask": (3.0, 0.7), "lithops": (1.5, 0.1)}
"""Seconds to the first worker, and for each doubling."""
BOUNDS = (1, 4)


def startups(seed: int = 0) -> Iterator[Row]:
    """1, 2 and 4 workers of each engine, three times; four also in nodes of two and of four."""
    rng = np.random.default_rng(seed)
    for engine, (first_s, more_s) in LOAD_S.items():
        shapes = [(1, 1), (2, 1), (4, 1)] + ([(4, 2), (4, 4)] if engine != "lithops" else [])
        for repeat in range(3):
            for workers, slots in shapes:
                nodes = workers // slots
                whole_s = (first_s + more_s * float(np.log2(nodes))) * float(np.exp(0.05 * rng.standard_normal()))
                told = {"workers": workers, "nodes": nodes, "slots_per_node": slots, "image": "local processes"}
                for metric, share in (("first", 0.8), ("half", 0.9), ("90", 1.0), ("all", 1.0)):
                    spent_s = whole_s * (share if workers > 1 else 1)
                    spans = {"request": 0.2 * spent_s, "engine": 0.5 * spent_s, "first task": 0.3 * spent_s}
                    yield row(
                        "startup", engine, f"startup_{metric}_s", spent_s, repeat=repeat, condition="cold",
                        parameters=told, phases=spans if engine != "lithops" else {"first task": spent_s},
                    )  # fmt: skip
    missed = Failure(kind="deadline", message="3 of 16 workers have run a task after 60 s")
    told = {"workers": 16, "nodes": 16, "slots_per_node": 1, "image": "local processes"}
    yield row(
        "startup", "ray", "startup_all_s", None, condition="cold", status="failed", failure=missed, parameters=told
    )


def palettes() -> Iterator[Row]:
    """Two warm samples of 200 images on each engine; clusters grow from one to four workers and back."""
    images, least, most = 200, *BOUNDS
    for engine, (first_s, more_s) in LOAD_S.items():
        for repeat in range(2):
            steps = list(_steps(engine, images, first_s * (1 + 0.1 * repeat), more_s))
            run_s = next(step.at_s for step in steps if step.done == images)
            told: dict[str, Any] = {"images": images, "chunk": 1}
            fields: dict[str, Any] = {
                "condition": "warm",
                "repeat": repeat,
                "data": Data(uri="s3://data/images", files=20, size_bytes=40_000_000, rows=images),
            }
            functions = engine == "lithops"
            billed = Billed(function_gb_s=run_s, function_s=run_s) if functions else Billed(worker_s=3 * run_s)
            yield row("palette", engine, "run_s", run_s, parameters=told, billed=billed, answer="0" * 16, **fields)
            shown = {"image": "coffee.png", "colours": "#231815 #f0ece2 #a3693f #6b3f26 #c9a27b #3d2a20"}
            yield row("palette", engine, "palette", 6.0, unit="colours", parameters=told | shown, **fields)
            found = times(steps, most, least, run_s)
            under, over = areas(steps)
            yield row("palette", engine, "under_worker_s", under, parameters=told, **fields)
            yield row("palette", engine, "over_worker_s", over, parameters=told, **fields)
            for step in steps:
                counts = {"at_s": step.at_s, "wanted": step.wanted, "busy": step.busy, "done": step.done}
                moving = {} if functions else {"starting": step.starting, "leaving": step.leaving}
                at = told | counts | moving
                yield row("palette", engine, SERIES, float(step.ready), unit="workers", parameters=at, **fields)
            if not functions:
                for metric in ("first_extra_s", "to_max_s", "to_min_s"):
                    yield row("palette", engine, metric, getattr(found, metric), parameters=told, **fields)


def sorts(seed: int = 0) -> Iterator[Row]:
    """Six warm samples of each cluster and its hybrid: Ray's is surely ahead, Dask's is not."""
    rng = np.random.default_rng(seed)
    typical = {"ray": 6.0, "ray+lithops": 4.0, "dask": 5.0, "dask+lithops": 4.9}
    for repeat in range(6):
        for engine, seconds in typical.items():
            run_s = seconds * float(np.exp(0.06 * rng.standard_normal()))
            function_s = 0.5 * run_s if "+" in engine else 0.0
            told = {"invoked": 4, "retried": 0, "cancelled": 0, "handed_over_s": 0.1, "bytes_by_s3": 2**20}
            yield row(
                "sort", engine, "run_s", run_s, condition="warm", repeat=repeat, reader="ranges",
                data=Data(uri="s3://data/sales", files=4, size_bytes=430_000_000, rows=2_400_000),
                phases={"plan": 0.1 * run_s, "read": 0.5 * run_s, "sort": 0.38 * run_s},
                billed=Billed(worker_s=2 * run_s, function_s=function_s, function_gb_s=4 * function_s),
                parameters=told if "+" in engine else {}, tasks=_tasks(run_s, functions="+" in engine), answer="0" * 64,
            )  # fmt: skip


def larger(seed: int = 0) -> Iterator[Row]:
    """Ingestion of 1.6 GB, five warm samples: Ray is below Arrow's time, Dask is not."""
    rng = np.random.default_rng(seed)
    for repeat in range(5):
        for engine, seconds in (("ray", 5.0), ("dask", 7.5), ("arrow", 7.0)):
            run_s = seconds * float(np.exp(0.03 * rng.standard_normal()))
            yield row(
                "ingest", engine, "run_s", run_s, condition="warm", repeat=repeat, run_id="20261120-0900-r4",
                reader="native" if engine == "arrow" else "ranges", billed=Billed(worker_s=2 * run_s), answer="0" * 64,
                data=Data(uri="s3://data/more", files=8, size_bytes=1_720_000_000, rows=9_600_000),
                phases={"plan": 0.1 * run_s, "work": 0.89 * run_s},
            )  # fmt: skip


def row(workload: str, engine: str, metric: str, value: float | None, **fields: Any) -> Row:
    """One row of the `dev` stack; `fields` as Row names them."""
    CLOCK[0] += timedelta(minutes=1)
    known = {
        "run_id": f"20261120-0900-{workload}",
        "at": CLOCK[0].isoformat(),
        "stack": "dev",
        "platform": "local",
        "label": engine,
        "repeat": 0,
        "condition": "none",
        "workers": Workers(count=4, vcpu=1, declared_mib=1024),
        "machine": {"cpu": "test data"},
    }
    return Row(**{**known, **fields}, workload=workload, engine=engine, metric=metric, value=value)


def _steps(engine: str, images: int, first_s: float, more_s: float) -> Iterator[Step]:
    least, most = BOUNDS
    if engine == "lithops":
        yield from (Step(float(at), most if at < 5 else 0, most if at < 5 else 0, most if at < 5 else 0, at * 40)
                    for at in range(6))  # fmt: skip
        return
    grown = [(0.0, least), (first_s, 2), (first_s + more_s, most)]
    done, at = 0.0, 0.0
    while done < images:
        ready = max(count for since, count in grown if since <= at)
        yield Step(at, most, ready, ready, int(done), starting=most - ready, leaving=0)
        done, at = min(images, done + 10 * ready), at + 1
    yield Step(at, least, most, 0, images, starting=0, leaving=0)
    yield Step(at + 6, least, 2, 0, images, starting=0, leaving=2)
    yield Step(at + 9, least, least, 0, images, starting=0, leaving=0)


def _tasks(run_s: float, *, functions: bool) -> list[Task]:
    return [
        Task(lane=lane, began_s=(0.1 + 0.2 * turn) * run_s, ended_s=(0.28 + 0.2 * turn) * run_s, on_function=functions)
        for turn in range(2)
        for lane in range(2)
    ]
