"""What an engine's own reader is given: nothing that it would refuse though it holds no record."""

from pathlib import Path

import pytest

from bench.dataset import find
from bench.readers.ingest import Ingest
from bench.readers.native import parted, with_records
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
    own, _ = parted(job)
    assert [Path(item.uri).name for item in with_records(job, own)] == ["a.csv", *["b.csv"] * given]


def test_polars_reads_nothing_from_an_empty_file(tmp_path: Path) -> None:
    pytest.importorskip("polars")
    (tmp_path / "a.csv").write_bytes(b"")
    (tmp_path / "b.csv").write_text("id,amount\n1,2.50\n")
    data = find(Access(), OUTPUTS, str(tmp_path), Query("amount", None))
    assert polars_answer(Access(), data.objects, data.query, Dialect()) == Answer(1, 1, 250, (250,))
