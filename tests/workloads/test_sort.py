"""The sort: its digest tells orders apart, and every variant ends with the same rows in the same order."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plan.outputs import Outputs
from tasks import sorting
from tasks.answer import Query

QUERY = Query("b", 0, 3, 2)
ROOT = Path(__file__).resolve().parents[2]

values = st.one_of(st.none(), st.integers(-3, 3).map(float))
tables = st.lists(st.tuples(values, st.integers(1, 4).map(float), values), max_size=30)


def table(rows: list[tuple[float | None, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    return pa.table({name: pa.array(column, pa.float64()) for name, column in zip("abc", columns, strict=True)})


def by_hand(row: tuple[float | None, ...]) -> tuple[float, ...]:
    a, b, c = (np.inf if v is None else v for v in row)
    return (-b, a, c)


@given(tables)
def test_the_order_is_total_and_that_of_pythons_own_sort(rows: list[tuple[float | None, ...]]) -> None:
    wanted = sorted(rows, key=by_hand)
    found = sorting.settle(table(rows), QUERY)
    assert [tuple(row.values()) for row in found.to_pylist()] == wanted
    frame = sorting.settle_frame(sorting.frame(table(rows)), QUERY)
    whole = [sorting.digested_frame(frame, QUERY)[0]], [sorting.digested(found, QUERY)]
    by_frame, by_table = (sorting.combined(parts, QUERY, 9) for parts in whole)
    assert by_frame == by_table
    assert by_table.in_order
    assert sorting.digested(table(rows), QUERY).in_order == (rows == wanted)


@given(tables, st.integers(0, 30))
@settings(max_examples=50)
def test_the_check_does_not_depend_on_where_parts_are_cut(rows: list[tuple[float | None, ...]], at: int) -> None:
    whole = sorting.digested(table(rows), QUERY)
    parts = [sorting.digested(table(part), QUERY) for part in (rows[:at], rows[at:])]
    assert sorting.combined(parts, QUERY, 9) == sorting.combined([whole], QUERY, 9)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([(1.0, 2.0, 3.0), (2.0, 3.0, 1.0)], id="swapped rows"),
        pytest.param([(2.0, 3.0, 1.0), (2.0, 3.0, 1.0), (1.0, 2.0, 3.0)], id="a row twice"),
        pytest.param([(2.0, 3.0, 1.0)], id="a lost row"),
        pytest.param([(2.0, 3.0, None), (1.0, 2.0, 3.0)], id="a lost value"),
        pytest.param([(2.0, 3.0, 0.0), (1.0, 2.0, 3.0)], id="another value"),
        pytest.param([(3.0, 2.0, 1.0), (1.0, 2.0, 3.0)], id="values in other columns"),
    ],
)
@pytest.mark.parametrize("cut", [False, True])
def test_the_check_tells(other: list[tuple[float | None, ...]], cut: bool) -> None:
    def answer(rows: list[tuple[float | None, ...]]) -> sorting.SortedAnswer:
        parts = [[row] for row in rows] if cut else [rows]
        return sorting.combined([sorting.digested(table(part), QUERY) for part in parts], QUERY, 9)

    assert answer(other) != answer([(2.0, 3.0, 1.0), (1.0, 2.0, 3.0)])


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["native", "ranges"])
def test_all_variants_end_with_the_same_rows_in_one_order(dev_stack: Outputs, tmp_path: Path, reader: str) -> None:
    run = [sys.executable, str(ROOT / "workloads" / "sort.py"), "--reader", reader, "--no-cold", "--repeats", "0"]
    make = [sys.executable, str(ROOT / "workloads" / "generate.py"), "--gb", "0.004", "--files", "2", "--seed", "3"]
    subprocess.run(make, check=True, timeout=120)
    engines = "ray,dask,ray+lithops,dask+lithops" if reader == "native" else "ray,dask"
    run += ["--results", str(tmp_path), "--engines", engines, "--cold"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.rglob("*.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    runs = [row for row in rows if row["metric"] == "run_s"]
    assert [row["engine"] for row in runs] == engines.split(",")
    assert {row["status"] for row in runs} == {"ok"}, [row["failure"] for row in runs]
    assert len({row["answer"] for row in runs}) == 1
    for row in runs:
        if "lithops" in row["engine"]:
            assert row["billed"]["function_requests"] == row["parameters"]["invoked"] > 0
    assert {row["engine"] for row in rows if row["metric"] == "smoke_s"} == {
        name for engine in engines.split(",") for name in engine.split("+")
    }
