"""What an engine's own reader is given: nothing that it would refuse though it holds no record."""

from pathlib import Path

import pytest

from bench.dataset import find
from bench.readers.ingest import Ingest
from bench.readers.native import parted, parted_for_ray
from plan.outputs import Outputs
from tasks.answer import Answer, Query
from tasks.dialect import Dialect
from tasks.native import polars_answer
from tasks.objects import Access

OUTPUTS = Outputs(stack="dev", program="embedded", region="us-east-1", worker_memory_mib=4096, worker_vcpu=1)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("id,amount", False),  # Arrow's reader by blocks, which is Ray's, refuses this one
        ('\ufeff"id","amount"', False),
        ("id,amount\r\n", False),
        ("id,amount\n1,", True),
        ("id,amount\n1,2.50\n2,7.25\n3,9.00\n", True),
    ],
)
def test_ray_is_given_no_file_that_is_a_header_alone(text: str, given: bool, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,amount\n1,2.50\n2,7.25\n3,9.00\n")
    (tmp_path / "b.csv").write_text(text, newline="")
    data = find(Access(), OUTPUTS, str(tmp_path), Query("amount", None))
    job = Ingest(Access(), data, None, 4096)
    own, apart = parted_for_ray(job)
    assert [Path(item.uri).name for item in own] == ["a.csv", *["b.csv"] * given]
    assert [Path(item.uri).name for item in apart] == ["b.csv"] * (not given)


def test_of_files_without_a_byte_all_are_looked_at_where_there_are_no_others(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"")
    job = Ingest(Access(), find(Access(), OUTPUTS, str(tmp_path), Query("amount", None)), None, 4096)
    assert [[Path(item.uri).name for item in part] for part in parted(job)] == [[], ["a.csv"]]
    (tmp_path / "b.csv").write_text("id,amount\n1,2.50\n")
    job = Ingest(Access(), find(Access(), OUTPUTS, str(tmp_path), Query("amount", None)), None, 4096)
    assert [[Path(item.uri).name for item in part] for part in parted(job)] == [["b.csv"], []]


def test_polars_reads_nothing_from_an_empty_file(tmp_path: Path) -> None:
    pytest.importorskip("polars")
    (tmp_path / "a.csv").write_bytes(b"")
    (tmp_path / "b.csv").write_text("id,amount\n1,2.50\n")
    data = find(Access(), OUTPUTS, str(tmp_path), Query("amount", None))
    assert polars_answer(Access(), data.objects, data.query, Dialect()) == Answer(1, 1, 250, (250,))
