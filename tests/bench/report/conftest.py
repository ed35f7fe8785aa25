"""Rows as a run on the embedded stack leaves them, made by a seed: test data, measured by nobody."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import rows
from bench.report.data import Report, report
from bench.report.render import render
from bench.rows import Billed, Data, Failure, Row, Task, Workers
from bench.stored import load
from tests.bench.report import made

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
# Typical seconds of one run: native warm, native cold, ranges warm, ranges cold; start-up apart.
TYPICAL: dict[str, tuple[float, float, float, float]] = {
    "ray": (4.8, 7.9, 1.55, 3.4),
    "dask": (4.7, 6.2, 1.50, 2.9),
    "lithops": (5.9, 8.8, 3.3, 4.9),
    "ray+lithops": (5.1, 7.4, 2.6, 4.2),
    "dask+lithops": (4.9, 6.6, 2.4, 3.8),
    "pandas": (3.1, 3.4, 3.0, 3.3),
    "arrow": (1.9, 2.2, 1.8, 2.1),
}
STARTUP = {
    "ray": 8.6,
    "dask": 3.1,
    "lithops": 0.5,
    "ray+lithops": 9.0,
    "dask+lithops": 3.5,
    "pandas": 0.1,
    "arrow": 0.1,
}
VERSIONS = {"python": "3.11.7", "ray": "2.60.0", "dask": "2026.8.0", "lithops": "3.8.0", "pyarrow": "26.0.1"}


def made_rows(seed: int = 0, repeats: int = 5, labels: tuple[str, ...] = (*TYPICAL, "dask#2")) -> Iterator[Row]:
    """Two runs: native on 8 files, then ranges on 8 files and on 1 file. Unit: seconds, as in every row."""
    rng = np.random.default_rng(seed)
    at = START
    for run, reader, files in (("r1", "native", 8), ("r2", "ranges", 8), ("r3", "ranges", 1)):
        for label in labels:
            yield _row(run, at, label, label.split("#")[0], reader, files, "none", 0, 0).model_copy(
                update={"metric": "startup_s", "value": STARTUP[label.split("#")[0]], "phases": {}, "data": None}
            )
        for turn, condition in enumerate(["cold", "none", "none", *["warm"] * repeats]):
            repeat = turn - 3 if condition == "warm" else turn
            for label in labels:
                engine = label.split("#")[0]
                column = (2 if reader == "ranges" else 0) + (condition == "cold")
                wall_s = (
                    TYPICAL[engine][column] * float(np.exp(0.05 * rng.standard_normal())) * (1.1 if files == 1 else 1)
                )
                at += timedelta(seconds=wall_s + 1)
                yield _row(run, at, label, engine, reader, files, condition, repeat, wall_s)


def _row(
    run: str, at: datetime, label: str, engine: str, reader: str, files: int, condition: str, repeat: int, wall_s: float
) -> Row:
    shares = {"plan": 0.03, "start": 0.15, "work": 0.74, "collect": 0.05, "merge": 0.02}  # 1 % is the harness's
    functions = "lithops" in engine
    workers = 1 if engine in ("pandas", "arrow") else 2
    return Row(
        run_id=f"20261120-0900-{run}",
        at=at.isoformat(),
        stack="dev",
        platform="local",
        workload="ingest",
        engine=engine,
        label=label,
        reader="native" if workers == 1 else reader,
        condition=condition,  # type: ignore[arg-type]
        repeat=repeat,
        workers=Workers(count=workers, vcpu=1, declared_mib=4096, limit_mib=4096, seen_mib=4096, enforced_by="none"),
        data=Data(uri=f"s3://breakeven-dev/ingest-{files}", files=files, size_bytes=430_000_000, rows=2_400_000),
        phases={name: share * wall_s for name, share in shares.items()},
        value=wall_s,
        billed=Billed(
            node_s={"local": wall_s},
            worker_s=0 if engine == "lithops" else workers * wall_s,
            function_gb_s=2 * 4 * wall_s if functions else 0,
            function_s=2 * wall_s if functions else 0,
            function_requests=2 if functions else 0,
            s3_gets=16,
        ),
        answer="0" * 64,
        tasks=[
            Task(lane=lane, began_s=0.2 * wall_s, ended_s=(0.7 + 0.1 * lane) * wall_s, on_function=functions)
            for lane in range(workers)
        ],
        versions=VERSIONS,
        commit="1234567890abcdef1234567890abcdef12345678",
        machine={"cpu": "test data", "cores": 2, "memory_gib": 24},
    )


def uncounted_rows() -> list[Row]:
    """A sample that was not cold, one with a wrong answer, one of unequal workers that counts but is marked."""
    sample = next(row for row in made_rows() if row.metric == "run_s")
    odd: list[dict[str, Any]] = [
        {"repeat": 5, "status": "dropped", "failure": Failure(kind="not-cold", message="worker 4711 was there before")},
        {
            "status": "failed",
            "value": None,
            "failure": Failure(kind="wrong-answer", message="found <0a1b>, wanted 9f3e"),
        },
        {
            "unequal": True,
            "label": "ray",
            "run_id": "20261120-0900-r2",
            "reader": "ranges",
            "condition": "warm",
            "repeat": 5,
        },
    ]
    return [sample.model_copy(update={"at": (START + timedelta(hours=1)).isoformat(), **change}) for change in odd]


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of rows with everything that can be odd in one: two runs of one data, failures, a half-written line."""
    folder = tmp_path_factory.mktemp("results")
    for row in made_rows():
        with (folder / f"{row.run_id}.jsonl").open("a") as lines:
            lines.write(row.model_dump_json() + "\n")
    for row in uncounted_rows():
        rows.append(folder / "odd.jsonl", row)
    with (folder / "odd.jsonl").open("a") as half:
        half.write('{"schema_version": 1, "run_id": "20261')
    return folder


@pytest.fixture(scope="session")
def found(results: Path) -> Report:
    """The report of those rows."""
    return report(load([results]))


@pytest.fixture(scope="session")
def study(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of those rows and of loading, autoscaling and sorting: every page there is."""
    folder = tmp_path_factory.mktemp("study")
    with (folder / "study.jsonl").open("w") as lines:
        for made_row in (*made.startups(), *made.palettes(), *made.sorts(), *made.larger()):
            lines.write(made_row.model_dump_json() + "\n")
    return report(load([results, folder]))


@pytest.fixture(scope="session")
def html(study: Report) -> str:
    """The page of that report: rendering takes seconds, so once."""
    return render(study)
