"""Whatever a folder holds: every reader gives the answer of all of it, or says what stops it. Never a part of it."""

import os
from functools import partial
from pathlib import Path

import pytest

from bench.dataset import Dataset
from bench.readers.ingest import Ingest
from bench.readers.native import arrow_filesystem, parted
from tasks import native, ranges
from tasks.listing import listed
from tasks.objects import Access, NoData
from tests.tasks.folders import QUERY, make

# `BREAKEVEN_FUZZ=2000 pytest tests/tasks/test_folders.py` for longer.
SEEDS = range(int(os.environ.get("BREAKEVEN_FUZZ", "60")))
LOCAL = Access()


@pytest.mark.parametrize("seed", SEEDS)
def test_every_reader_gives_the_answer_of_the_whole_folder(seed: int, tmp_path: Path) -> None:
    folder = make(tmp_path / "set", seed)
    listing = listed(LOCAL, str(tmp_path / "set"))
    dialect = folder.dialect
    assert len(listing.objects) == folder.files, listing.told()
    pieces = ranges.plan(listing.objects, 100 + seed * 37, dialect)
    found = ranges.answer(map, LOCAL, pieces, QUERY, dialect=dialect)
    assert found.answer == folder.answer
    job = Ingest(LOCAL, Dataset("", listing.objects, (), QUERY, None, dialect), None, 4096)
    own, apart = parted(job)
    for name, read in {
        "pandas": partial(native.pandas_answer, LOCAL, own, None, apart, QUERY, dialect),
        "arrow": partial(native.arrow_answer, LOCAL, *arrow_filesystem(LOCAL, own), apart, QUERY, dialect),
        "polars": partial(native.polars_answer, LOCAL, listing.objects, QUERY, dialect),
    }.items():
        assert read() == folder.answer, name


@pytest.mark.parametrize("seed", range(14))
def test_what_looks_like_data_and_cant_be_read_stops_everything(seed: int, tmp_path: Path) -> None:
    folder = make(tmp_path / "set", seed, refuse=True)
    with pytest.raises(NoData, match=folder.refused):
        listed(LOCAL, str(tmp_path / "set"))
