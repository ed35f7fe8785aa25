"""The truth of a manifest is that of the very objects that it was written for; other data has its own."""

import json
import shutil
from pathlib import Path

import pytest

from bench import dataset
from plan.outputs import Outputs
from tasks import manifest
from tasks.answer import Answer, Query
from tasks.dialect import Dialect
from tasks.objects import Access
from tasks.records import BadData
from tasks.store_sales import plan_files

OUTPUTS = Outputs(stack="own", program="bench", region="us-east-1", worker_memory_mib=4096, worker_vcpu=1)
UNBOUND = Query(above=None)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    base, specs = str(tmp_path / "made"), plan_files(0.0001, 2, 0)
    for spec in manifest.begin(Access(), base, specs, Query()):
        manifest.write_file(Access(), base, spec, Query())
    manifest.finish(Access(), base, specs, Query())
    return Path(base)


def find(place: Path, query: Query = UNBOUND, dialect: Dialect | None = None) -> dataset.Dataset:
    return dataset.find(Access(), OUTPUTS, str(place), query, dialect or Dialect())


def test_generated_data_has_its_truth_and_bound(made: Path) -> None:
    found = find(made)
    assert found.query == Query()
    assert found.truth
    assert found.truth.rows == sum(len(path.read_text().splitlines()) - 1 for path in made.glob("*.csv"))
    assert find(made, Query(above=1)).truth is None


@pytest.mark.parametrize("change", ["a file more", "a file less", "a copy", "other bytes of that size", "one file"])
def test_changed_data_has_no_truth_but_its_own(change: str, made: Path, tmp_path: Path) -> None:
    one, other = sorted(made.glob("*.csv"))
    place = made
    if change == "a file more":
        shutil.copy(one, made / "more.csv")
    elif change == "a file less":
        one.unlink()
    elif change == "a copy":
        shutil.copytree(made, tmp_path / "copy")
        shutil.copy(other, tmp_path / "copy" / one.name)
        place = tmp_path / "copy"
    elif change == "one file":
        place = one
    else:
        data = bytearray(one.read_bytes())
        data[-2] ^= 1
        one.write_bytes(data)
    found = find(place)
    assert found.truth is None
    assert found.query.above is None, "no bound is guessed for what is not generated data"
    assert change == "one file" or "changed since it was generated" in found.told


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"files": []}', '{"generator": 1, "files": [1], "schema": 1}'])
def test_a_manifest_of_another_tool_is_no_truth_and_no_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,ss_net_profit\n1,2\n")
    (tmp_path / "_manifest.json").write_text(text)
    found = find(tmp_path)
    assert found.truth is None
    assert "its _manifest.json is not of `generate`" in found.told
    with pytest.raises(manifest.OtherData, match="was not written by `generate`"):
        manifest.begin(Access(), str(tmp_path), plan_files(0.0001, 2, 0), Query())


def test_a_manifest_that_adds_up_wrongly_is_told(made: Path) -> None:
    path = made / "_manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rows": 1}))
    with pytest.raises(manifest.Incomplete, match="generate the data again"):
        find(made)


def test_another_column_is_told_with_the_option_that_finds_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id;ss_net_profit\n1;2\n")
    with pytest.raises(BadData, match="pass --delimiter ';'"):
        find(tmp_path)
    assert find(tmp_path, dialect=Dialect(";")).columns == ("id", "ss_net_profit")


@pytest.mark.parametrize(
    ("query", "truth", "line"),
    [
        (
            Query("x", 500000, 3, 2),
            Answer(2_880_404, 2, 1_234_567, (1_000_000, 234_567)),
            "answer: 2,880,404 rows read, 2 kept (above 5,000.00 in x), sum 12,345.67, largest 10,000.00, 2,345.67",
        ),
        (Query("x", None, 3, 0), Answer(3, 0, 0, ()), "answer: 3 rows read, 0 kept (with a value in x), sum 0"),
    ],
)
def test_the_answer_is_told_exactly(query: Query, truth: Answer, line: str) -> None:
    assert dataset.answer_line(query, truth) == line
