"""Guards: an estimate that needs a driver host, and a driver host that does not know what was spent."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bench import budget, options
from bench.data_options import data_options
from bench.engines import EngineError
from bench.readers.native import that_skip
from plan.outputs import ClusterOutputs, KubernetesOutputs, Outputs
from tasks.dialect import Dialect


@click.command()
@options.run_options
def workload(**asked: Any) -> None:
    """A workload that says what reached it."""
    click.echo(f"{asked['estimate']} {click.get_current_context().meta[budget.SPENT]}")


@click.command()
@options.run_options
@data_options
def reading(*, uri: str | None, dialect: Dialect, **_: Any) -> None:
    """A workload that says what it is to read."""
    click.echo(f"{uri} {dialect}")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would run on the driver host of a stack that has one: AWS is not to be had here."""
    out = Outputs(stack="bench-128", program="bench", region="us-east-1", worker_memory_mib=4096, worker_vcpu=1)
    there: list[list[str]] = []
    monkeypatch.setattr(options.around, "elsewhere", lambda name: out)
    monkeypatch.setattr(options.budget, "of_stack", lambda outputs, results: 12.5)
    monkeypatch.setattr(options.remote, "workload", lambda root: ["workloads/ingest.py"])

    def run(outputs: Outputs, arguments: list[str], results: Path, root: Path) -> int:
        there.append(arguments)
        return 0

    monkeypatch.setattr(options.remote, "run", run)
    return there


def test_a_driver_host_is_told_what_earlier_runs_cost(sent: list[list[str]]) -> None:
    assert CliRunner().invoke(workload, ["--stack", "bench-128"]).exit_code == 0
    assert sent[0][-2:] == ["--spent", "12.500000"]
    there = CliRunner().invoke(workload, [*sent[0][1:], "--stack", "bench-128"])
    assert there.output == "False 12.5\n"


def test_an_estimate_is_made_here(sent: list[list[str]]) -> None:
    assert CliRunner().invoke(workload, ["--stack", "bench-128", "--estimate"]).output == "True 0.0\n"
    assert not sent


def _cluster(engine: Any, platform: Any) -> ClusterOutputs:
    return ClusterOutputs(engine=engine, platform=platform, group="g", nodes=2, slots_per_node=1, limit_mib=4096)


@pytest.fixture
def mixed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Hosts and pods in one stack; what each way of driving would be asked for."""
    clusters = {"hosts": _cluster("ray", "ec2"), "pods": _cluster("ray", "eks")}
    kubernetes = KubernetesOutputs(cluster="k", namespace="k8s-32", driver_account="driver", nodes=1)
    out = Outputs(
        stack="k8s-32", program="bench", region="r", worker_memory_mib=4096, worker_vcpu=1, clusters=clusters,
        kubernetes=kubernetes, driver_instance="i-0",
    )  # fmt: skip
    there: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(options.around.stack, "outputs", lambda name: out)
    monkeypatch.setattr(options.budget, "of_stack", lambda outputs, results: 0.0)
    monkeypatch.setattr(options.remote, "workload", lambda root: ["workloads/ingest.py"])
    for module in (options.remote, options.kubernetes_job):
        name = module.__name__.rpartition(".")[2]

        def run(outputs: Outputs, arguments: list[str], results: Path, root: Path, name: str = name) -> int:
            there.append((name, list(outputs.clusters)))
            return 0

        monkeypatch.setattr(module, "run", run)
    return there


@pytest.mark.parametrize(
    ("asked", "driven"), [("hosts", ("remote", ["hosts"])), ("pods", ("kubernetes_job", ["pods"]))]
)
def test_hosts_and_pods_of_one_stack_are_driven_from_where_they_answer(
    mixed: list[tuple[str, list[str]]], asked: str, driven: tuple[str, list[str]]
) -> None:
    assert CliRunner().invoke(workload, ["--stack", "k8s-32", "--clusters", asked]).exit_code == 0
    assert mixed == [driven]


@pytest.mark.parametrize(
    ("arguments", "said"), [([], "run once with --clusters hosts and once"), (["--clusters", "hots"], "hosts, pods")]
)
def test_what_no_one_place_reaches_is_refused(
    mixed: list[tuple[str, list[str]]], arguments: list[str], said: str
) -> None:
    done = CliRunner().invoke(workload, ["--stack", "k8s-32", *arguments])
    assert done.exit_code == 1
    assert said in done.output
    assert not mixed


@pytest.mark.parametrize("script", ["ingest", "palette", "sort", "startup", "generate"])
def test_a_command_that_ends_at_once_does_not_wait_for_what_it_does_not_use(script: str) -> None:
    """What is loaded is judged, not this machine's speed: each of these takes seconds."""
    look = (
        f"import runpy, sys; sys.argv = ['{script}.py', '--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'ray', 'dask', 'distributed', 'lithops', 'scipy', 'pulumi', 'altair'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    folder = Path(__file__).parents[2] / "workloads"
    done = subprocess.run([sys.executable, "-c", look], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


@pytest.mark.parametrize(
    ("reader", "asked_for", "kept"),
    [("ranges", False, ["ray", "dask#2"]), ("ranges", True, None), ("native", False, None), ("native", True, None)],
)
def test_only_engines_that_tell_the_same_bad_rows_skip_them(
    reader: str, asked_for: bool, kept: list[str] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = [("ray", "ray"), ("pandas", "pandas"), ("dask#2", "dask"), ("arrow", "arrow")]
    if kept is None:
        with pytest.raises(EngineError, match="wanted --reader ranges and other engines"):
            that_skip(labels, reader, asked_for=asked_for)
        return
    assert [label for label, _ in that_skip(labels, reader, asked_for=asked_for)] == kept
    assert "pandas, arrow" in capsys.readouterr().err


def test_a_folder_of_this_machine_is_not_sent_for_on_another(sent: list[list[str]], tmp_path: Path) -> None:
    done = CliRunner().invoke(reading, ["--stack", "bench-128", "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert "copy the data to S3, or say --driver local" in done.output
    assert not sent
    done = CliRunner().invoke(reading, ["--stack", "bench-128", "--data", "s3://bucket/x/"])
    assert len(sent) == 1


def test_how_files_are_written_reaches_the_workload_or_is_refused(tmp_path: Path) -> None:
    given = ["--driver", "local", "--data", f"file://{tmp_path}/", "--delimiter", "\\t", "--null", "NA", "--null", "-"]
    done = CliRunner().invoke(reading, [*given, "--encoding", "Latin-1"])
    assert done.output.strip() == f"{tmp_path} {Dialect(chr(9), '.', ('NA', '-'), 'iso8859-1')}"
    done = CliRunner().invoke(reading, [*given, "--encoding", "klingon"])
    assert done.exit_code == 1
    assert done.output.strip().startswith("Error: found encoding 'klingon'")
