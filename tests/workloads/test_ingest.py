"""The experiment as a user runs it, with 2 MB on the embedded stack: equal answers, typed faults, nothing left over."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import local
from bench import rows, stack
from bench.engines import NEEDS, ON_REQUEST, Sessions
from plan.outputs import Outputs
from tasks.objects import s3_client
from tests.tasks.folders import make

CHECKOUT = Path(__file__).resolve().parents[2]


def command(script: str, *options: str) -> list[str]:
    return [sys.executable, str(CHECKOUT / "workloads" / script), *options]


def run(script: str, *options: str, cwd: Path, timeout_s: int = 240) -> subprocess.CompletedProcess[str]:
    told = command(script, *options)
    return subprocess.run(told, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False)


def read(folder: Path) -> list[rows.Row]:
    found = [row for path in folder.rglob("*.jsonl") for row in rows.read(path)]
    assert all(isinstance(row, rows.Row) for row in found)
    return [row for row in found if isinstance(row, rows.Row) and row.metric == "run_s"]


@pytest.fixture(scope="module")
def data(dev_stack: Outputs, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where 2 MB in 3 files lie; made twice, so that the second run is seen to keep them."""
    options = ("--gb", "0.002", "--files", "3")
    first = run("generate.py", *options, cwd=tmp_path_factory.mktemp("made"))
    again = run("generate.py", *options, cwd=tmp_path_factory.mktemp("made"))
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert "3 files were kept" in again.stdout
    assert first.stdout.splitlines()[1] == again.stdout.splitlines()[1]
    return first.stdout.split(": ")[0]


@pytest.mark.parametrize(
    ("reader", "options"), [("native", ("--repeats", "0")), ("ranges", ("--no-cold", "--repeats", "1"))]
)
def test_every_engine_gives_the_true_answer(data: str, reader: str, options: tuple[str, ...], tmp_path: Path) -> None:
    done = run("ingest.py", *options, "--reader", reader, "--data", data, cwd=tmp_path)
    found = [row for row in read(tmp_path) if row.condition in ("cold", "warm")]
    assert done.returncode == 0, done.stdout + done.stderr + str([r.failure for r in found])
    assert [row.label for row in found] == [name for name in NEEDS if name not in ON_REQUEST]
    assert {row.status for row in found} == {"ok"}
    assert len({row.answer for row in found}) == 1
    assert all(row.workers and row.workers.pids and row.phases for row in found)


def test_an_engine_twice_and_its_warm_samples(data: str, tmp_path: Path) -> None:
    done = run("ingest.py", "--no-cold", "--repeats", "2", "--engines", "dask,dask", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    warm = [row for row in read(tmp_path) if row.condition == "warm"]
    assert [row.label for row in warm] == ["dask", "dask#2", "dask", "dask#2"]
    assert {row.status for row in warm} == {"ok"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--column", "ss_net_profitt"), "nearest: ss_net_profit"),
        (("--engines", "daks"), "did you mean 'dask'"),
        (("--stack", "dve"), "did you mean 'dev'"),
        (("--data", "s3://data/nothing/here"), "found 0 objects"),
    ],
)
def test_what_is_unknown_is_told(data: str, options: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = run("ingest.py", *options, cwd=tmp_path)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_row_of_own_files_is_told_with_its_place_or_skipped_by_every_reader(
    dev_stack: Outputs, tmp_path: Path
) -> None:
    """There is no manifest: the answer to equal is that of one process."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.csv").write_text("x,price\n1,10.5\n2,1e17\n3,7.25\n")
    options = ("--data", str(own), "--column", "price", "--above", "7.249", "--no-cold", "--repeats", "1")
    told = run("ingest.py", *options, cwd=tmp_path)
    assert told.returncode == 1
    assert "a.csv: byte 15: wanted decimal128(18, 2)" in told.stderr
    assert "Traceback" not in told.stderr
    engines = ["ray", "dask", "lithops", "ray+lithops", "dask+lithops"]
    done = run("ingest.py", *options, "--bad-rows", "skip", "--engines", ",".join(engines), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 row of the data skipped" in done.stdout
    found = [row for row in read(tmp_path) if row.condition == "warm"]
    assert [(row.label, row.status, row.parameters["bad_rows"]) for row in found] == [
        (name, "ok", 1) for name in engines
    ]
    assert {row.parameters["above"] for row in found} == {724}  # 7.25 is above 7.249, which rounds to it


def test_own_files_are_checked_without_a_manifest(tmp_path: Path, dev_stack: Outputs) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.csv").write_text("x,price\n1,10.5\n2,\n3,7.25\n")
    options = ("--column", "price", "--above", "7", "--repeats", "0", "--engines", "pandas,arrow")
    done = run("ingest.py", "--data", str(own), *options, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {row.status for row in read(tmp_path)} == {"ok"}


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["native", "ranges"])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_engine_reads_a_folder_of_every_kind_whole(
    reader: str, seed: int, dev_stack: Outputs, tmp_path: Path
) -> None:
    folder = make(tmp_path / "set", seed)
    dialect = folder.dialect
    nulls = [option for null in dialect.nulls for option in ("--null", null)]
    options = ("--delimiter", dialect.delimiter, "--decimal", dialect.decimal, "--encoding", dialect.encoding, *nulls)
    engines = "ray,dask,lithops,ray+lithops,dask+lithops,pandas,arrow,polars"
    run_options = ("--reader", reader, "--engines", engines, "--no-cold", "--repeats", "1", "--column", "amount")
    done = run("ingest.py", *run_options, "--data", str(tmp_path / "set"), *options, cwd=tmp_path, timeout_s=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{folder.answer.rows:,} rows read" in done.stdout
    assert {row.status for row in read(tmp_path) if row.condition == "warm"} == {"ok"}


class Endpoint:
    """A way to the S3 endpoint on which something happens, once, after so many bytes of answers.

    then: "close" it for good, "refuse" each request from now on, or call what is given and go on.
    """

    def __init__(self, target: str, limit_bytes: int, then: str | Callable[[], object]):
        host, _, port = target.removeprefix("http://").partition(":")
        self._target, self._left, self._then = (host, int(port)), limit_bytes, then
        self._once, self.refused = threading.Lock(), 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def _shut(self) -> bool:
        return self._left <= 0 and isinstance(self._then, str)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._shut:
                    self.refused += 1  # before the answer: who counts may look as soon as it is there
                    client.recv(65536)
                    client.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                for source, sink, answers in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pump, args=(source, sink, answers), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                if answers:
                    self._count(len(block))
                if self._shut:
                    break
                sink.sendall(block)
        for end in (source, sink):
            end.close()

    def _count(self, size: int) -> None:
        with self._once:
            before, self._left = self._left, self._left - size
            if before > 0 >= self._left:
                if self._then == "close":
                    self._listener.close()
                elif callable(self._then):
                    self._then()


@pytest.fixture
def through(dev_stack: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Endpoint]]:
    """Makes the stack of `tmp_path` one whose endpoint is reached by an `Endpoint`, and runs against that stack."""
    ways = []

    def make(limit_bytes: int, then: str | Callable[[], object]) -> Endpoint:
        assert dev_stack.s3_endpoint
        ways.append(Endpoint(dev_stack.s3_endpoint, limit_bytes, then))
        folder = stack.state_dir("dev", tmp_path)
        folder.mkdir(parents=True)
        shutil.copy(CHECKOUT / "Pulumi.dev.yaml", tmp_path)
        outputs = dev_stack.model_copy(update={"s3_endpoint": ways[-1].url})
        (folder / "outputs.json").write_text(outputs.model_dump_json(by_alias=True))
        monkeypatch.setenv("BREAKEVEN_ROOT", str(tmp_path))
        return ways[-1]

    yield make
    for way in ways:
        way._listener.close()


def test_an_endpoint_gone_mid_run_is_a_typed_row_and_the_next_engine_still_runs(
    through: Callable[..., Endpoint], data: str, tmp_path: Path
) -> None:
    through(1_500_000, "close")
    done = run("ingest.py", "--repeats", "0", "--engines", "dask,arrow", "--data", data, cwd=tmp_path)
    assert done.returncode == 1
    found = read(tmp_path / "results")
    assert [row.label for row in found] == ["dask", "arrow"]
    assert [row.failure.kind if row.failure else None for row in found] == ["endpoint", "endpoint"]


def test_an_endpoint_that_keeps_failing_is_tried_a_bounded_number_of_times(
    through: Callable[..., Endpoint], data: str, tmp_path: Path
) -> None:
    way = through(1_500_000, "refuse")
    done = run("ingest.py", "--repeats", "0", "--engines", "dask", "--data", data, cwd=tmp_path)
    assert done.returncode == 1
    (row,) = read(tmp_path / "results")
    assert row.failure
    assert row.failure.kind == "endpoint"
    assert "failed 5 times, last with 503" in row.failure.message
    # Each of at most three reads has five attempts each time Dask tries its task; some break off instead.
    assert 1 <= way.refused <= 40


@pytest.mark.parametrize("kind", ["object-gone", "object-changed"])
def test_an_object_gone_or_changed_since_it_was_listed_is_a_typed_row(
    dev_stack: Outputs, through: Callable[..., Endpoint], data: str, kind: str, tmp_path: Path
) -> None:
    """It happens when the driver has listed all and reads the first header."""
    client = s3_client(stack.access(dev_stack))
    prefix = data.removeprefix("s3://data/")
    own = f"faults/{kind}"
    for entry in client.list_objects_v2(Bucket="data", Prefix=f"{prefix}/")["Contents"]:
        body = client.get_object(Bucket="data", Key=entry["Key"])["Body"].read()
        client.put_object(Bucket="data", Key=entry["Key"].replace(prefix, own), Body=body)
    at = {"Bucket": "data", "Key": f"{own}/part-00002.csv"}

    def happens() -> None:
        if kind == "object-gone":
            client.delete_object(**at)
        else:
            changed = client.get_object(**at)["Body"].read().replace(b"1", b"2", 1)
            client.put_object(**at, Body=changed)

    through(300_000, happens)
    done = run("ingest.py", "--repeats", "0", "--engines", "dask", "--data", f"s3://data/{own}", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    (row,) = read(tmp_path / "results")
    assert row.failure
    assert row.failure.kind == kind
    assert "part-00002.csv" in row.failure.message


@pytest.mark.parametrize("engine", ["ray", "dask"])
def test_work_of_a_killed_worker_is_done_by_another(dev_stack: Outputs, engine: str) -> None:
    with Sessions(dev_stack, stack.access(dev_stack), {}) as sessions:
        (session,) = sessions.of(engine)
        done = []
        for one in session.stream(time.sleep, [(0.2,)] * 12):
            if not done:
                os.kill(one.trace.pid, signal.SIGKILL)
            done.append(one)
        assert sorted(d.index for d in done) == list(range(12))
        assert len({d.trace.worker for d in done}) > 1


def marked(mark: str) -> Iterator[str]:
    """Processes that the run started, whoever their parent is now: they carry its environment."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("BREAKEVEN_TEST_RUN") == mark:
                yield " ".join(process.cmdline())


@pytest.mark.parametrize("during", ["opening", "ray cold 1", "lithops cold 1", "pandas cold 1", "pandas warm 1"])
def test_ctrl_c_keeps_rows_and_leaves_nothing_running(
    dev_stack: Outputs, data: str, during: str, tmp_path: Path
) -> None:
    mark = str(tmp_path)
    engines = {"opening": "ray"}.get(during, during.split(maxsplit=1)[0])
    options = (
        "--engines",
        f"pandas,{engines}" if engines != "pandas" else "pandas",
        "--data",
        data,
        "--repeats",
        "100",
    )
    process = subprocess.Popen(
        command("ingest.py", *options),
        cwd=tmp_path,
        env={**os.environ, "BREAKEVEN_TEST_RUN": mark},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr
    previous = {"opening": None, "pandas warm 1": "pandas untimed 2"}.get(during, "pandas cold 1")
    for line in process.stderr if previous else ():
        if previous in line:
            break
    process.send_signal(signal.SIGINT)
    process.stderr.read()
    assert process.wait(timeout=60) == 130 or during == "opening"
    found = read(tmp_path)
    if during != "opening":
        assert found[0].status == "ok"
        assert found[-1].failure
        assert found[-1].failure.kind == "interrupted"
    left = list(marked(mark))
    assert not left
    # A function's process descends from the stack's runtime and bears the stack's environment.
    functions = local.status(stack.state_dir("dev", Path(os.environ["BREAKEVEN_ROOT"])))["functions"]
    _, running = psutil.wait_procs(psutil.Process(functions["pid"]).children(recursive=True), timeout=5)
    assert not running


def test_rows_carry_what_is_needed_to_judge_them(data: str, tmp_path: Path) -> None:
    run("ingest.py", "--repeats", "0", "--engines", "arrow", "--data", data, cwd=tmp_path)
    (row,) = read(tmp_path)
    assert row.versions["python"] == sys.version.split()[0]
    assert row.machine["cpus"] == os.cpu_count()
    assert row.data
    assert row.data.files == 3
    assert isinstance(row.parameters["harness_s"], float)
    secrets = json.loads(
        (stack.state_dir("dev", Path(os.environ["BREAKEVEN_ROOT"])) / "secrets" / "s3.json").read_text()
    )
    assert secrets["secretAccessKey"] not in row.model_dump_json()
