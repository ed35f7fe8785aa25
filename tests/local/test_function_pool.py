"""The functions' runtime: warm after its first job, cold when told, and a job ends with whoever asked for it."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import local


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("functions") / "state"
    yield str(local.start(local.FunctionPool(workers=1, memory_mib=512), folder)["python"])
    local.down(folder, drop_data=True)


def script(folder: Path, code: str) -> str:
    path = folder / "job.py"
    path.write_text(code)
    return str(path)


def test_a_job_is_run_as_the_interpreter_would(python: str, tmp_path: Path) -> None:
    job = script(tmp_path, "import os, sys; print(sys.argv[1:], os.environ['GIVEN'], os.getcwd()); sys.exit(3)")
    ran = subprocess.run(
        [python, job, "a b"], env=os.environ | {"GIVEN": "1"}, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (3, f"['a b'] 1 {tmp_path}\n")


def test_an_error_is_told_on_the_callers_stream(python: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [python, script(tmp_path, "raise LookupError('of the job')")], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "LookupError: of the job" in ran.stderr


def test_the_second_job_finds_imports_done_and_cold_forgets_them(python: str, tmp_path: Path) -> None:
    """The runtime is the parent of a job's keeper. Asked to be cold it is the same process, with a new interpreter."""
    job = script(tmp_path, "import psutil; print(psutil.Process().parent().ppid())")
    ran = subprocess.run([python, job], capture_output=True, text=True, check=True)
    runtime = psutil.Process(int(ran.stdout))

    def imported() -> bool:
        return any("arrow" in mapped.path for mapped in runtime.memory_maps())

    assert imported()
    # Its output is read to the end, which comes only when nobody keeps it open.
    subprocess.run([python, "cold"], check=True, capture_output=True, timeout=30)
    assert runtime.is_running()
    assert not imported()


def test_a_caller_that_is_killed_takes_its_job_along(python: str, tmp_path: Path) -> None:
    """Lithops kills the process that it started, to end a job."""
    job = script(tmp_path, "import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    with subprocess.Popen([python, job], stdout=subprocess.PIPE, start_new_session=True) as caller:
        assert caller.stdout
        running = psutil.Process(int(caller.stdout.readline()))
        os.killpg(caller.pid, signal.SIGKILL)
        running.wait(5)


def test_a_caller_that_goes_before_it_has_asked_does_not_end_the_runtime(python: str, tmp_path: Path) -> None:
    """Ctrl-C may come between the connection and the request."""
    job = script(tmp_path, "import psutil; print(psutil.Process().parent().ppid())")
    runtime = subprocess.run([python, job], capture_output=True, text=True, check=True).stdout
    (address,) = {c.laddr for c in psutil.Process(int(runtime)).net_connections("unix") if c.laddr}
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(address)
    assert subprocess.run([python, job], capture_output=True, text=True, check=True).stdout == runtime


def test_a_job_that_is_killed_is_told_so(python: str, tmp_path: Path) -> None:
    ran = subprocess.run([python, script(tmp_path, "import os; os.kill(os.getpid(), 9)")], check=False)
    assert ran.returncode == -signal.SIGKILL


def test_without_the_runtime_it_is_the_plain_interpreter(tmp_path: Path) -> None:
    state = tmp_path / "state"
    facts = local.start(local.FunctionPool(workers=1, memory_mib=512), state)
    os.kill(int(str(facts["pid"])), signal.SIGKILL)
    ran = subprocess.run(
        [str(facts["python"]), script(tmp_path, "print(1)")], capture_output=True, text=True, check=True
    )
    local.down(state, drop_data=True)
    assert ran.stdout == "1\n"


def test_a_job_has_its_own_profile_and_need_not_read_what_s3_is(python: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile own]\nregion = eu-central-1\n")
    job = script(
        tmp_path,
        "import sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, given: opened.append(str(given[0])) if event == 'open' else None)\n"
        "import boto3\n"
        "print(boto3.client('s3').meta.region_name, [path for path in opened if 'service-2' in path])\n",
    )
    own = {"AWS_PROFILE": "own", "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_EC2_METADATA_DISABLED": "true"}
    given = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | own
    ran = subprocess.run([python, job], env=given, capture_output=True, text=True, check=False)
    assert ran.stdout == "eu-central-1 []\n", ran.stderr
