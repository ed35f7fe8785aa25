"""Where people really work: behind a proxy, a profile that is gone, modules of the same names, a read-only home."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import stack
from bench.rows import read
from plan.outputs import Outputs
from tests.conftest import CHECKOUT

HOSTILE = {
    **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:9"),
    "AWS_PROFILE": "not-a-profile",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "HOME": "/proc",  # where nobody, root included, can make a file
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the caller's own settings would come between a command and the stack."""
    mine = tmp_path_factory.mktemp("mine")
    for name in ("bench", "plan", "tasks", "local", "ops"):
        (mine / f"{name}.py").write_text('raise RuntimeError("a module of the user\'s own was imported")\n')
    kept = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    return {**kept, **HOSTILE, "PYTHONPATH": str(mine)}


def test_every_engine_works_in_a_hostile_environment(
    dev_stack: Outputs, hostile: dict[str, str], tmp_path: Path
) -> None:
    data = "s3://data/store_sales/gb0.002-f2-s7"
    asked = f"--repeats 1 --no-cold --engines ray,dask,lithops,arrow --data {data} --results results"
    for command in ("generate.py --gb 0.002 --files 2 --seed 7", f"ingest.py {asked}"):
        script, *options = command.split()
        done = subprocess.run(
            [sys.executable, str(CHECKOUT / "workloads" / script), *options],
            env=hostile, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    rows = [row for path in tmp_path.rglob("*.jsonl") for row in read(path) if row.condition == "warm"]
    assert {row.engine for row in rows if row.status == "ok"} == {"ray", "dask", "lithops", "arrow"}


def test_the_callers_settings_are_as_before_after_a_session(
    dev_stack: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's own program goes on to speak to AWS through its proxy."""
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("no_proxy", "internal.example.org")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with stack.isolated(dev_stack):
        assert "AWS_PROFILE" not in os.environ
        assert os.environ["no_proxy"] == "internal.example.org,127.0.0.1,localhost,::1"
    assert os.environ["AWS_PROFILE"] == "mine"
    assert os.environ["no_proxy"] == "internal.example.org"
    assert "NO_PROXY" not in os.environ
