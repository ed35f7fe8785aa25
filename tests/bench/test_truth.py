"""The truth of one's own data: by several processes, within the deadline, of a sort without the rows."""

from pathlib import Path

import pytest

from bench import dataset, truth
from bench.budget import Guard
from bench.dataset import DataError
from bench.engines import Sessions
from bench.readers.ingest import Ingest
from plan.outputs import Outputs
from tasks import ranges, sorting
from tasks.answer import Answer, Query
from tasks.objects import Access

OUTPUTS = Outputs(stack="own", program="bench", region="us-east-1", worker_memory_mib=4096, worker_vcpu=1)


def job(folder: Path, bad_rows: str = "fail") -> Ingest:
    data = dataset.find(Access(), OUTPUTS, str(folder), Query("v", 100, 3, 2))
    return Ingest(Access(), data, None, 4096, bad_rows)  # type: ignore[arg-type]


def test_the_truth_is_that_of_a_sort_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "range_bytes", lambda *_: 2000)
    (tmp_path / "a.csv").write_text("k,v\n" + "".join(f"{i},{i % 7}.5\n" for i in range(2000)))
    with Sessions(OUTPUTS, Access(), {}) as sessions:
        wanted = job(tmp_path)
        ingested = truth.of_ingest(sessions, wanted, Guard(), 60)
        found, bad, _ = truth.of_sort(sessions, wanted, Guard(), 60)
    kept = [i % 7 * 100 + 50 for i in range(2000) if i % 7 > 0]
    assert ingested == Answer(2000, len(kept), sum(kept), (650, 650, 650))
    (piece,) = ranges.plan(wanted.data.objects, 1 << 30)
    work = (Access(), piece, wanted.data.columns, wanted.data.query, "fail", wanted.data.dialect)
    by_hand = sorting.digested(sorting.settle(sorting.read_kept(work), wanted.data.query), wanted.data.query)
    assert found == sorting.combined([by_hand], wanted.data.query, 2000)
    assert bad == 0


def test_it_ends_at_the_deadline_and_bad_rows_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("k,v\n1,2\n1,x\n")
    with Sessions(OUTPUTS, Access(), {}) as sessions:
        with pytest.raises(DataError, match=r"was not found in 0\.001 s: raise --timeout"):
            truth.of_ingest(sessions, job(tmp_path, "skip"), Guard(), 0.001)
        found, bad, examples = truth.of_sort(sessions, job(tmp_path, "skip"), Guard(), 60)
    assert (found.rows, found.kept, bad, len(examples)) == (1, 1, 1, 1)


def test_what_samples_leave_is_cleared_though_one_fails(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("k,v\n1,2\n")
    wanted, done = job(tmp_path), []
    wanted.afterwards.extend([lambda: done.append(1), lambda: 1 / 0, lambda: done.append(2)])
    with pytest.raises(ZeroDivisionError):
        wanted.clear()
    assert done == [2, 1]
    wanted.clear()
