"""Guards: untimed or failed samples that count, data or runs pooled, a line number that misses, a lost row."""

from pathlib import Path

import pytest

from bench.report.data import Report, null_tests
from bench.rows import Row
from bench.stored import data_words, load


def test_every_group_is_of_one_run_one_data_one_condition(found: Report) -> None:
    rows = {s.ref: s.row for s in found.rows}
    for measured in found.measured:
        shared = {(rows[ref].run_id, rows[ref].label, rows[ref].condition, rows[ref].data) for ref in measured.refs}
        assert len(shared) == 1


def test_untimed_dropped_and_failed_samples_do_not_count(found: Report) -> None:
    rows = {s.ref: s.row for s in found.rows}
    counted = [rows[ref] for measured in found.measured for ref in measured.refs]
    assert {row.condition for row in counted} == {"cold", "warm"}
    assert {row.status for row in counted} == {"ok"}
    assert {s.row.failure.kind for s in found.uncounted if s.row.failure} == {"not-cold", "wrong-answer"}


def test_a_reference_leads_to_its_line(found: Report, results: Path) -> None:
    for sourced in found.rows[::17]:
        line = (results / sourced.file).read_text().splitlines()[sourced.line - 1]
        assert Row.model_validate_json(line) == sourced.row


def test_a_half_written_line_is_reported_and_the_rest_used(found: Report) -> None:
    (line,) = found.unreadable
    assert (line.path, line.line) == ("odd.jsonl", 4)
    assert any(s.file == "odd.jsonl" for s in found.rows)


def test_blank_lines_do_not_shift_references(tmp_path: Path, results: Path) -> None:
    text = next(results.glob("*r1.jsonl")).read_text().splitlines()
    (tmp_path / "gaps.jsonl").write_text("\n".join([text[0], "", text[1]]))
    assert sorted(s.line for s in load([tmp_path]).rows) == [1, 3]


@pytest.mark.parametrize(("size", "told"), [(2**30 * 2 // 5, "0.4 GB in 1 file"), (34, "34 bytes in 1 file")])
def test_data_is_told_in_a_unit_of_its_size(found: Report, size: int, told: str) -> None:
    row = next(s.row for s in found.rows if s.row.data)
    assert row.data is not None
    data = row.data.model_copy(update={"size_bytes": size, "files": 1})
    assert data_words(row.model_copy(update={"data": data, "parameters": {}})) == told


def test_only_the_latest_run_of_a_thing_is_latest(found: Report) -> None:
    latest = [m.group[:-1] for m in found.measured if m.latest]
    assert len(latest) == len(set(latest))
    runs = {
        m.group.run[-2:] for m in found.measured if m.latest and m.engine == "pandas" and "8 files" in m.group.dataset
    }
    assert runs == {"r2"}, "a baseline has no reader, so the later run replaces the earlier"


def test_phases_are_of_one_sample_and_do_not_pass_it(found: Report) -> None:
    rows = {s.ref: s.row for s in found.rows}
    for measured in found.measured:
        assert measured.phases == rows[measured.typical_ref].phases
        assert sum(measured.phases.values()) <= (rows[measured.typical_ref].value or 0)


def test_functions_and_workers_are_priced(found: Report) -> None:
    assert all(m.usd is not None and m.usd > 0 for m in found.measured)
    assert all(m.priced_on is not None for m in found.measured)


def test_an_engine_beside_itself_is_tested(found: Report) -> None:
    tests = null_tests(found)
    assert {m.engine for m, _ in tests} == {"dask"}
    assert all(test.resamples == 100 for _, test in tests)


def test_rows_of_other_stacks_are_left_out(results: Path) -> None:
    assert load([results], stack="bench-128").rows == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load([tmp_path / "nowhere"])
