"""What cannot be generated is refused in one line, and what fails in the middle leaves no file behind."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from bench import stack
from plan.outputs import Outputs

CHECKOUT = Path(__file__).resolve().parents[2]


def run(*options: str, cwd: Path, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CHECKOUT / "workloads" / "generate.py"), *options]
    if limit:  # in blocks of 1 KiB, for the workers too
        command = ["bash", "-c", f'trap "" XFSZ; ulimit -f {limit}; exec "$@"', "bash", *command]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=200, check=False)


def workload(folder: Path, found: Outputs, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command's module, to be called in `folder`, with the tests' stack and not the user's own."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(stack, "outputs", lambda name: found)
    spec = importlib.util.spec_from_file_location("generate", CHECKOUT / "workloads" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--gb", "0"), "is not in the range"),
        (("--gb", "nan"), "is not a number in the range"),
        (("--gb", "-1"), "is not in the range"),
        (("--files", "0"), "is not in the range"),
        (("--files", "1000000", "--gb", "0.001"), "raise --gb or lower --files"),
        (("--to", "s3://"), "whose bucket is ''"),
        (("--to", "gs://bucket/x"), "gs:// is not read"),
        (("--to", "s3://nosuchbucket/x"), "the bucket's name"),
        (("--to", "/proc/x"), "room for 0 GB"),
        (("--to", "a-file/x"), "a-file"),
        (("--gb", "1e8", "--to", "here"), "take less, or another disk"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    options: tuple[str, ...], said: str, dev_stack: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a-file").write_bytes(b"")
    module = workload(tmp_path, dev_stack, monkeypatch)
    done = CliRunner().invoke(module.generate, ["--gb", "0.001", "--files", "2", *options])
    assert done.exit_code in (1, 2)
    assert isinstance(done.exception, SystemExit), "no expected failure is a traceback"
    assert said in done.output.splitlines()[-1]


def test_data_that_stand_need_no_room(dev_stack: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = workload(tmp_path, dev_stack, monkeypatch)
    made = CliRunner().invoke(module.generate, ["--gb", "0.001", "--files", "2", "--to", "made"])
    assert made.exit_code == 0, made.output
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    again = CliRunner().invoke(module.generate, ["--gb", "0.001", "--files", "2", "--to", "made"])
    assert again.exit_code == 0, again.output
    assert "2 files were kept" in again.output


def test_a_disk_that_is_full_in_the_middle_leaves_nothing_unfinished(dev_stack: Outputs, tmp_path: Path) -> None:
    """Both files hit the limit at once; the worker that is ended for the other's failure must leave nothing either."""
    done = run("--gb", "0.02", "--files", "2", "--to", "made", cwd=tmp_path, limit=8000)
    assert done.returncode == 1
    assert "part-0000" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == []
    done = run("--gb", "0.02", "--files", "2", "--to", "made/../made/", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "answer: " in done.stdout
