"""Clusters that the user already has, started as their makers say, with workers that have no project and no stack."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bench import rows
from local import worker_env
from local.state import Place

CHECKOUT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        with suppress(OSError):
            return socket.create_connection(("127.0.0.1", port), 1).close()
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"nothing listens on {port} after 60 s: {log.read_text()}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def worker_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same packages, without the project."""
    place = Place.of(tmp_path_factory.mktemp("own"))
    place.make()
    worker_env.make(place)
    return str(place.worker_python)


@contextmanager
def running(log: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a process group of its own, which is ended."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "BREAKEVEN_ROOT")}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):  # `ray start --block` may take its time to end
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)


@contextmanager
def dask(python: str, folder: Path, memory: str = "1GiB") -> Iterator[str]:
    port = free_port()
    common = ("--no-dashboard",)
    scheduler = (python, "-P", "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port))
    workers = (python, "-P", "-m", "distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}", "--host", "127.0.0.1")
    sizes = ("--nworkers", "2", "--nthreads", "1", "--memory-limit", memory, "--local-directory", str(folder))
    with running(folder / "scheduler.log", *scheduler, *common) as process:
        listening(port, process, folder / "scheduler.log")
        with running(folder / "workers.log", *workers, *sizes, *common):
            yield f"tcp://127.0.0.1:{port}"


@contextmanager
def ray(python: str, folder: Path) -> Iterator[str]:
    port = free_port()
    command = (python, "-P", "-m", "ray.scripts.scripts", "start", "--head", "--block", "--node-ip-address=127.0.0.1")
    sizes = (f"--port={port}", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats")
    kept = '--system-config={"idle_worker_killing_time_threshold_ms": 3600000}'  # else warm samples meet new workers
    with running(folder / "ray.log", *command, *sizes, kept, "--object-store-memory=200000000") as process:
        listening(port, process, folder / "ray.log")
        yield f"127.0.0.1:{port}"


CLUSTERS = {"dask": dask, "ray": ray}


@pytest.fixture(scope="module", params=["dask", pytest.param("ray", marks=pytest.mark.slow)])
def own(
    request: pytest.FixtureRequest, worker_python: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """Name and address of a cluster."""
    with CLUSTERS[request.param](worker_python, tmp_path_factory.mktemp(request.param)) as address:
        yield request.param, address


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Files below a folder, read by the workers of this machine; and stack files without a stack that is up."""
    for path in CHECKOUT.glob("Pulumi*.yaml"):
        shutil.copy(path, tmp_path)
    (tmp_path / "data").mkdir()
    for part in range(3):
        lines = "".join(f"{number},{number}.25\n" for number in range(part, 3000, 3))
        (tmp_path / "data" / f"{part}.csv").write_text("x,price\n" + lines)
    return tmp_path / "data"


def run(script: str, own: tuple[str, str], data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    name, address = own
    return subprocess.run(
        [
            *(sys.executable, str(CHECKOUT / "workloads" / script), f"--{name}-address", address),
            *("--engines", name, "--results", str(data.parent / "results"), *options),
        ],
        env={**os.environ, "BREAKEVEN_ROOT": str(data.parent)},
        cwd=data.parent, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def found(data: Path) -> list[rows.Row]:
    read = [row for path in (data.parent / "results").rglob("*.jsonl") for row in rows.read(path)]
    assert all(isinstance(row, rows.Row) for row in read)
    return [row for row in read if isinstance(row, rows.Row) and row.metric == "run_s"]


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("ingest.py", ()),
        pytest.param("ingest.py", ("--reader", "native"), marks=pytest.mark.slow),
        pytest.param("sort.py", (), marks=pytest.mark.slow),
    ],
)
def test_a_workload_runs_on_a_cluster_of_ones_own(
    own: tuple[str, str], data: Path, script: str, options: tuple[str, ...]
) -> None:
    samples = ("--repeats", "1", "--data", str(data), "--column", "price", "--above", "10")
    done = run(script, own, data, *samples, *options)
    assert done.returncode == 0, done.stdout + done.stderr + str([row.failure for row in found(data)])
    read = found(data)
    assert [(row.condition, row.status) for row in read] == [
        ("cold", "ok"),
        ("none", "ok"),
        ("none", "ok"),
        ("warm", "ok"),
    ]
    assert {row.platform for row in read} == {"own"}
    assert {row.workers.count for row in read if row.workers} == {2}


@pytest.mark.slow
def test_nodes_of_ones_own_cluster_are_not_scaled(own: tuple[str, str], data: Path) -> None:
    done = run("startup.py", own, data, "--workers", "1", "--repeats", "1")
    assert done.returncode == 1
    assert "its nodes are yours to scale" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("script", ["ingest.py", "sort.py"])
def test_a_worker_short_of_memory_is_a_typed_row(worker_python: str, data: Path, tmp_path: Path, script: str) -> None:
    """A native read holds its block in memory: more than this worker has, so its nanny ends it again and again."""
    (data / "large.csv").write_text("x,price\n" + "1,2.25\n" * 9_000_000)
    with dask(worker_python, tmp_path, "300MiB") as address:
        done = run(
            script,
            ("dask", address),
            data,
            "--data",
            str(data),
            "--column",
            "price",
            "--repeats",
            "0",
            "--reader",
            "native",
        )
    assert done.returncode == 1
    (row,) = found(data)
    assert row.failure
    assert row.failure.kind == "out-of-memory", row.failure.message
