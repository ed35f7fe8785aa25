"""What ended is a row of its cluster, written once, and never lost with the stack's data."""

import json
from pathlib import Path

import pytest

import catalog.prices
from bench import rows
from bench.costs import DOWN
from bench.rows import Row
from bench.teardown import collect

STACK_FILE = Path(catalog.prices.__file__).parents[1] / "Pulumi.dev.yaml"


def ended(root: Path, *parts: tuple[str, float, float], stack: str = "dev") -> None:
    """Notes as local/state.py leaves them: part, when it had ended, seconds that took."""
    (root / ".breakeven").mkdir(exist_ok=True)
    with (root / ".breakeven" / f"{stack}.ended.jsonl").open("a") as lines:
        for part, at, took_s in parts:
            lines.write(json.dumps({"part": part, "began_at": 100.5, "ended_at": at, "took_s": took_s}) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / STACK_FILE.name).write_text(STACK_FILE.read_text())
    return tmp_path


def test_each_cluster_has_a_row_from_its_first_part_to_its_last(root: Path) -> None:
    ended(root, ("ray-node-0", 1001.5, 1.5), ("ray", 1003.0, 2.0), ("s3", 1000.0, 0.1), ("dask", 1000.5, 0.5))
    ended(root, ("ray-node-3", 500.0, 1.0))  # of a `scale` long before
    found = {row.engine: row for row in collect(root / "results", root)}
    assert {engine: row.value for engine, row in found.items()} == {"ray": 3.0, "dask": 0.5}
    ray = found["ray"]
    assert (ray.stack, ray.workload, ray.metric, ray.label) == ("dev", DOWN, "teardown_s", "ray")
    assert (ray.billed.node_s, ray.billed.worker_s) == ({"local": 3.0}, 6.0)
    assert ray.parameters["up_at"] == 100.5
    (path,) = (root / "results" / "dev").glob("*.jsonl")
    assert [row.engine for row in rows.read(path) if isinstance(row, Row)] == ["ray", "dask"]
    assert collect(root / "results", root) == []


def test_two_ends_of_a_cluster_are_two_rows(root: Path) -> None:
    ended(
        root, ("dask", 1000.0, 1.0), ("dask-node-0", 1000.0, 1.0), ("dask", 2000.0, 2.0), ("dask-node-0", 2000.0, 2.0)
    )
    assert [row.value for row in collect(root / "results", root)] == [1.0, 2.0]


def test_a_stack_whose_file_is_gone_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended(root, ("ray", 1000.0, 1.0), stack="gone")
    assert collect(root / "results", root) == []
    assert "no teardown rows of gone" in capsys.readouterr().err
