"""Whatever the cuts, the answer is that of Python's csv module over the whole file, or the error names the place."""

import csv
import gzip
import io
import pickle
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.answer import Answer, Query, answer_of
from tasks.objects import Access, list_objects
from tasks.ranges import Piece, PartialAnswer, Result, combine, plan, range_bytes, read, schema, tables
from tasks.records import BadData

QUERY = Query(column="v", above=None, largest=3)
NUMBER = re.compile(r"[ \t]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t]*", re.ASCII)


def oracle(text: bytes) -> tuple[list[int | None], int]:
    """Units of column v by Python's csv module over the whole file, and the number of bad rows."""
    decoded = text.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    # A last record of our own shows whether a quote was left open.
    rows = list(csv.reader(io.StringIO(decoded + "\r\nend", newline="")))
    open_quote = rows[-1] != ["end"]
    rows = [row for row in rows[:-1] if row]
    if not rows:
        return [], int(open_quote)
    names, good, bad = rows[0], [], int(open_quote)
    width = len(names)
    if len(rows) > 1 and len(rows[1]) == width + 1 and rows[1][-1] == "":
        width += 1
    for row in rows[1:]:
        value = row[names.index("v")] if len(row) == width and not (width > len(names) and row[-1]) else "bad"
        if value == "":
            good.append(None)
        elif NUMBER.fullmatch(value) and (units := Decimal(value.strip()) * 100) == units.to_integral_value():
            good.append(int(units))
        else:
            bad += 1
    return good, bad


def in_order(
    pieces: Sequence[Piece], query: Query = QUERY, bad_rows: str = "fail", block_bytes: int = 1 << 24
) -> Result:
    """As an engine would run it, partial answers through pickle."""

    def run(piece: Piece) -> PartialAnswer:
        found: PartialAnswer = pickle.loads(pickle.dumps(read(Access(), piece, query, bad_rows, block_bytes=block_bytes)))
        return found

    partials = [run(piece) for piece in pieces]
    result = combine(reversed(partials), query)
    if result.again:
        result = combine([*partials, *map(run, result.again)], query)
        assert result.reread_whole
    assert not result.again
    return result


def expected(text: bytes) -> tuple[Answer, int]:
    good, bad = oracle(text)
    import numpy as np

    units = np.array([value for value in good if value is not None], np.int64)
    return answer_of(units, len(good), QUERY), bad


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranges")


def check(folder: Path, text: bytes, cut: int, block: int) -> None:
    (folder / "a.csv").write_bytes(text)
    pieces = plan(list_objects(Access(), str(folder)), cut)
    answer, bad = expected(text)
    skipping = in_order(pieces, bad_rows="skip", block_bytes=block)
    assert (skipping.answer, skipping.bad_rows) == (answer, bad)
    if bad:
        with pytest.raises(BadData) as error:
            in_order(pieces, block_bytes=block)
        assert 0 <= error.value.offset <= len(text)
    else:
        assert in_order(pieces, block_bytes=block).answer == answer
    good = oracle(text)[0]
    found = [
        value
        for piece in pieces
        for table in tables(Access(), piece, {"v": pa.decimal128(38, 2)}, "skip", block_bytes=block)
        for value in table.column("v").to_pylist()
    ] if good else []
    assert [None if value is None else int(value * 100) for value in found] == good


TEXTS = st.text(st.sampled_from("ab\",\n\r é'"), max_size=8)
VALUES = st.one_of(st.just(""), st.integers(-(10**6), 10**6).map(lambda units: f"{units / 100:.2f}"))


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Well-formed files: quotes where they must be or may be, stray quotes within plain fields, mixed line ends."""
    before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    trailing = "," if draw(st.booleans()) and draw(st.booleans()) else ""

    def written(value: str) -> str:
        must = value[:1] == '"' or any(c in value for c in ",\r\n") or not value
        return '"' + value.replace('"', '""') + '"' if must or draw(st.booleans()) else value

    names = [*(f"a{i}" for i in range(before)), "v", *(f"b{i}" for i in range(after))]
    lines = [",".join(written(name) for name in names)]
    for _ in range(draw(st.integers(0, 6))):
        row = [written(draw(TEXTS)) for _ in range(before)], [written(draw(TEXTS)) for _ in range(after)]
        value = draw(VALUES)
        lines.append(",".join([*row[0], written(value) if value or not (before or after) else value, *row[1]]) + trailing)
        lines += [""] * draw(st.sampled_from([0, 0, 0, 1]))
    text = end.join(lines) + draw(st.sampled_from(["", end]))
    return (b"\xef\xbb\xbf" if draw(st.booleans()) else b"") + text.encode()


@settings(max_examples=400, deadline=None)
@given(files(), st.integers(1, 60), st.integers(1, 80))
def test_any_cut_of_a_good_file_gives_the_whole_files_answer(folder: Path, text: bytes, cut: int, block: int) -> None:
    check(folder, text, cut, block)


@settings(max_examples=600, deadline=None)
@given(st.text(st.sampled_from('"",,\n\n\r12.x -'), max_size=40), st.integers(1, 30), st.integers(1, 40))
def test_any_cut_of_any_bytes_gives_the_whole_files_answer(folder: Path, text: str, cut: int, block: int) -> None:
    check(folder, b"v,w\n" + text.encode(), cut, block)
