"""Whatever the cuts, the answer is that of Python's csv module over the whole file, or the error names the place."""

from __future__ import annotations

import csv
import gzip
import io
import pickle
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks import parser, slices
from tasks.answer import Answer, Query, answer_of
from tasks.listing import list_objects
from tasks.objects import Access, DataObject
from tasks.parser import BadRows
from tasks.ranges import PartialAnswer, Piece, Result, answer, combine, plan, range_bytes, read, schema, tables
from tasks.records import BadData

if TYPE_CHECKING:
    from tests.tasks.conftest import Endpoint

QUERY = Query(column="v", above=None, largest=3)
NUMBER = re.compile(r"[ \t]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t]*", re.ASCII)


def units_of(value: str) -> int | None:
    """Cents, None for what is no number, has a third decimal, or more than the 18 digits that the reader holds."""
    number = NUMBER.fullmatch(value) and Decimal(value.strip()).scaleb(2)
    return int(number) if number is not None and number == number.to_integral_value() and abs(number) < 10**18 else None


def oracle(text: bytes) -> tuple[list[int | None], int, bool]:
    """Units of column v by Python's csv module over the whole file, the number of bad rows, is a quote left open."""
    decoded = text.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    # A last record of our own shows whether a quote was left open.
    rows = list(csv.reader(io.StringIO(decoded + "\r\nend", newline="")))
    open_quote = rows[-1] != ["end"]
    rows = [row for row in rows[:-1] if row]
    if not rows:
        return [], 0, open_quote
    good: list[int | None] = []
    names, bad = rows[0], 0
    width = len(names)
    if len(rows) > 1 and len(rows[1]) == width + 1 and rows[1][-1] == "":
        width += 1
    for row in rows[1:]:
        value = row[names.index("v")] if len(row) == width and not (width > len(names) and row[-1]) else "bad"
        if value == "":
            good.append(None)
        elif (units := units_of(value)) is not None:
            good.append(units)
        else:
            bad += 1
    return good, bad, open_quote


def in_order(
    pieces: Sequence[Piece], query: Query = QUERY, bad_rows: BadRows = "fail", block_bytes: int = 1 << 24
) -> Result:
    """As an engine would run it, partial answers through pickle."""

    def run(piece: Piece) -> PartialAnswer:
        found = read(Access(), piece, query, bad_rows=bad_rows, block_bytes=block_bytes)
        back: PartialAnswer = pickle.loads(pickle.dumps(found))
        return back

    partials = [run(piece) for piece in pieces]
    result = combine(reversed(partials), query)
    if result.again:
        result = combine([*partials, *map(run, result.again)], query)
        assert result.reread_whole
    assert not result.again
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranges")


def check(folder: Path, texts: Sequence[bytes], cut: int, block: int) -> None:
    """The texts as files `0.csv`, `1.csv`, ...: read by ranges, row by row and whole, against the oracle."""
    folder = folder.with_name("check")
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for number, text in enumerate(texts):
        (folder / f"{number}.csv").write_bytes(text)
    pieces = plan(list_objects(Access(), str(folder)), cut)
    oracles = [oracle(text) for text in texts]
    good, bad = [value for found, _, _ in oracles for value in found], sum(count for _, count, _ in oracles)
    open_quote = any(left_open for _, _, left_open in oracles)

    def values() -> list[int | None]:
        column = {"v": pa.decimal128(18, 2)}
        found = [
            table for piece in pieces for table in tables(Access(), piece, column, bad_rows="skip", block_bytes=block)
        ]
        return [
            None if value is None else int(value * 100) for value in pa.concat_tables(found).column("v").to_pylist()
        ]

    if open_quote:
        for work in (values, lambda: in_order(pieces, bad_rows="skip", block_bytes=block)):
            with pytest.raises(BadData):
                work()
        return
    wanted = answer_of(np.array([value for value in good if value is not None], np.int64), len(good), QUERY)
    skipping = in_order(pieces, bad_rows="skip", block_bytes=block)
    assert (skipping.answer, skipping.bad_rows) == (wanted, bad)
    # Small files share a task, which may come before the ranges of a large one.
    assert values() == good if len(texts) == 1 else Counter(values()) == Counter(good)
    if bad:
        with pytest.raises(BadData) as error:
            in_order(pieces, block_bytes=block)
        text = texts[int(Path(error.value.uri).stem)]
        assert text[: error.value.offset][-1:] in (b"", b"\n", b"\r", b"\xbf")  # a record starts there
    else:
        assert in_order(pieces, block_bytes=block).answer == wanted


TEXTS = st.text(st.sampled_from("ab\",\n\r é'"), max_size=8)
VALUES = st.one_of(st.just(""), st.integers(-(10**6), 10**6).map(lambda units: f"{units / 100:.2f}"))
ODD_VALUES = st.sampled_from(
    [
        *(
            "1e2",
            "1E+2",
            "100e-4",
            "-.5",
            "5.",
            " 7\t",
            "-0",
            "1e15",
            "-9999999999999999.99",
            "1.2300",
            "1.005",
            "1e-3",
        ),
        *("1e16", "1e17", "-1e18", "999999999999999999", "9223372036854775808", "0x10", "1_0", "--1", "  ", "1\0"),
        *("nan", "NaN", "inf", "-Infinity", "NULL", "N/A", "true", "1,5", "\N{ARABIC-INDIC DIGIT THREE}"),
    ]
)


@st.composite
def files(draw: st.DrawFn, values: st.SearchStrategy[str] = VALUES) -> bytes:
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
        value = draw(values)
        lines.append(
            ",".join([*row[0], written(value) if value or not (before or after) else value, *row[1]]) + trailing
        )
        lines += [""] * draw(st.sampled_from([0, 0, 0, 1]))
    text = end.join(lines) + draw(st.sampled_from(["", end]))
    return (b"\xef\xbb\xbf" if draw(st.booleans()) else b"") + text.encode()


# Sizes within the reader, that so small a file meets their borders too.
INNER = st.fixed_dictionaries(
    {
        "_OVERLAP_BYTES": st.sampled_from([64 << 10, 1, 9]),
        "_ARROW_BLOCK_BYTES": st.sampled_from([1 << 20, 16, 50]),
        "_GUESS_BYTES": st.sampled_from([1 << 20, 1, 20]),
    }
)


@settings(max_examples=60)
@given(files(), st.integers(1, 8), st.integers(0, 5), st.integers(1, 80), INNER)
def test_any_cut_of_a_good_file_gives_the_whole_files_answer(
    folder: Path, text: bytes, pieces: int, more: int, block: int, inner: dict[str, Any]
) -> None:
    arrow_block = inner.pop("_ARROW_BLOCK_BYTES")
    with patch.multiple(slices, **inner), patch.object(parser, "_ARROW_BLOCK_BYTES", arrow_block):
        check(folder, [text], max(1, len(text) // pieces + more), block)


@settings(max_examples=30)
@given(st.lists(files(st.one_of(VALUES, ODD_VALUES)), min_size=1, max_size=4), st.integers(1, 300), INNER)
def test_any_cut_of_files_of_odd_numbers_gives_their_whole_answer(
    folder: Path, texts: list[bytes], cut: int, inner: dict[str, Any]
) -> None:
    arrow_block = inner.pop("_ARROW_BLOCK_BYTES")
    with patch.multiple(slices, **inner), patch.object(parser, "_ARROW_BLOCK_BYTES", arrow_block):
        check(folder, texts, cut, 64)


@settings(max_examples=150)
@given(st.text(st.sampled_from('"",,\n\n\r12.x -'), max_size=40), st.integers(1, 30), st.integers(1, 40))
@example('1,2\n"1,2\n3,4\n', 6, 5)
def test_any_cut_of_any_bytes_gives_the_whole_files_answer(folder: Path, text: str, cut: int, block: int) -> None:
    check(folder, [b"v,w\n" + text.encode()], cut, block)


CASES: dict[str, tuple[bytes, list[int | None]]] = {
    "header only": (b"a,v\n", []),
    "header only, no line end": (b"a,v", []),
    "empty": (b"", []),
    "only a byte-order mark": (b"\xef\xbb\xbf", []),
    "only blank lines": (b"\n\r\n\n", []),
    "byte-order mark": (b"\xef\xbb\xbfv,a\n1.5,2\n", [150]),
    "byte-order mark and a quoted header": (b'\xef\xbb\xbf"v","a"\n1.5,2\n', [150]),
    "CRLF": (b"a,v\r\n1,2\r\n3,4\r\n", [200, 400]),
    "CR": (b"a,v\r1,2\r3,4", [200, 400]),
    "mixed line ends": (b"a,v\n1,2\r\n3,4\r5,6", [200, 400, 600]),
    "no final line end": (b"a,v\n1,2", [200]),
    "blank lines": (b"\n\na,v\n\n1,2\n\n\n3,4\n\n", [200, 400]),
    "empty and quoted empty are null": (b'a,v\n1,\n2,""\n3,0\n', [None, None, 0]),
    "one column": (b'v\n1\n\n""\n2\n', [100, None, 200]),
    "quoted numbers": (b'"a","v"\n"1","2.5"\n', [250]),
    "delimiters, quotes and line ends within quotes": (b'a,v\n"x,""y""\r\nz\n",1\n"\n9,9\n",2\n', [100, 200]),
    "a quote within a plain field": (b'a,v\n5" pipe,1\n6" pipe,2\n7,3\n', [100, 200, 300]),
    "text after a closing quote": (b'a,v\n"5"" x"y"z,1\n8,2\n', [100, 200]),
    "a delimiter at the end of each record": (b"a,v,\n1,2,\n3,4,\n", [200, 400]),
    "a delimiter at the end of each record but the header": (b"a,v\n1,2,\n3,4,\n", [200, 400]),
    "other columns twice": (b"a,a,v\n1,2,3\n", [300]),
    "no UTF-8 in another column": (b"a\xff,v\n\xe9\xff\xfe,2\n", [200]),
    "a byte-order mark within": (b"a,v\n\xef\xbb\xbf1,2\n", [200]),
    "NUL in another column": (b"a,v\n\0,2\n", [200]),
    "signs, exponents, spaces, zeros": (
        b"a,v\n0,+1\n0,-.5\n0,1e2\n0, 7 \n0,1.2300\n0,007\n",
        [100, -50, 10000, 700, 123, 700],
    ),
    "a record longer than any range": (b"a,v\n" + b"x" * 100 + b",1\n2,2\n", [100, 200]),
    "a quoted record longer than any range": (b'a,v\n"' + b"\n1,1" * 20 + b'",1\n2,2\n', [100, 200]),
    "quotes in the header's line ends": (b'"a\nv,v\n",v\n1,2\n', [200]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("cut", [5, 17, 10_000])
def test_case(folder: Path, case: str, cut: int) -> None:
    text, units = CASES[case]
    assert oracle(text) == (units, 0, False)
    check(folder, [text], cut, 11)


BAD: dict[str, tuple[bytes, int, str, str]] = {
    "wrong column": (b"a,ss_v,V\n1,2,3\n", 0, "a,ss_v,V", "no such column; nearest: ss_v"),
    "column twice": (b"v,a,v\n1,2,3\n", 0, "v,a,v", "more than one"),
    "short row": (b"a,v\n1,2\n3\n4,5\n", 8, "3", "wanted 2 fields, this record has 1"),
    "long row": (b"a,v\n1,2\n3,4,5\n", 8, "3,4,5", "wanted 2 fields, this record has 3"),
    "value after a last delimiter": (b"a,v\n1,2,\n3,4,5\n", 9, "3,4,5", "wanted nothing"),
    "byte-order mark before a number": (b"v,a\n\xef\xbb\xbf1,2\n", 4, "\N{ZERO WIDTH NO-BREAK SPACE}1", "column 'v'"),
    "only a byte-order mark": (b"v\n\xef\xbb\xbf\n1\n", 2, "\N{ZERO WIDTH NO-BREAK SPACE}", "column 'v'"),
    "text": (b'a,v\n"1\n1",2\n3,4x\n', 12, "4x", "column 'v'"),
    "nan": (b"a,v\n1,2\n3,NaN\n", 8, "NaN", "column 'v'"),
    "infinity": (b"a,v\n1,2\n3,-inf\n", 8, "-inf", "column 'v'"),
    "NULL": (b"a,v\n1,NULL\n", 4, "NULL", "column 'v'"),
    "a third decimal": (b"a,v\n1,2\n3,1.001\n", 8, "1.001", "column 'v'"),
    "too large": (b"a,v\n1,99999999999999999999\n", 4, "99999999999999999999", "column 'v'"),
    "too large once its exponent is applied": (b"a,v\n1,1e17\n", 4, "1e17", "column 'v'"),
    "too large once it has its decimals": (b"a,v\n1,999999999999999999\n", 4, "999999999999999999", "column 'v'"),
    "open quote": (b'a,v\n1,2\n"3,4\n5,6\n', 8, '"3,4\n5,6', "never closed"),
    "UTF-16": ("a,v\n1,2\n".encode("utf-16"), 0, "", "UTF-16"),
    "gzip named csv": (gzip.compress(b"a,v\n"), 0, "", r"name it \.csv\.gz"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("cut", [3, 10_000])
def test_bad_data_is_named_with_its_place(folder: Path, case: str, cut: int) -> None:
    text, offset, found, says = BAD[case]
    (folder / "a.csv").write_bytes(text)
    pieces = plan(list_objects(Access(), str(folder)), cut)
    with pytest.raises(BadData, match=says) as caught:
        in_order(pieces)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.uri, error.offset) == (str(folder / "a.csv"), offset)
    assert found in error.text
    assert str(error) == str(caught.value)


def test_a_bad_row_in_a_large_block_is_found_and_skipped(folder: Path) -> None:
    rows = [f"{i},{i}.25\n".encode() for i in range(100_000)]
    rows[77_777] = b"oops\n"
    rows[88_888] = b"1,nan\n"
    (folder / "a.csv").write_bytes(b"a,v\n" + b"".join(rows))
    pieces = plan(list_objects(Access(), str(folder)), 700_000)
    with pytest.raises(BadData) as caught:
        in_order(pieces)
    assert caught.value.offset == 4 + sum(map(len, rows[:77_777]))
    result = in_order(pieces, bad_rows="skip")
    assert (result.answer.rows, result.bad_rows) == (99_998, 2)
    assert [error.text for error in result.bad_examples] == ["oops", "nan"]


def test_line_ends_within_quotes_survive_the_borders_of_arrows_blocks(folder: Path) -> None:
    texts = ["\r\n" * (size % 7) + "x" * (size % 5) for size in range(2000)]
    (folder / "a.csv").write_bytes(b"t,v\n" + "".join(f'"{text}",1\n' for text in texts).encode())
    columns = {"t": pa.string(), "v": pa.decimal128(18, 2)}
    with patch.object(parser, "_ARROW_BLOCK_BYTES", 64):
        (piece,) = plan(list_objects(Access(), str(folder)), 10**6)
        table = pa.concat_tables(tables(Access(), piece, columns))
    assert table.column("t").to_pylist() == [text or None for text in texts]


def test_gzip_of_one_member_or_several_is_read_by_one_task(tmp_path: Path) -> None:
    parts = [b"a,v\n", *(b"%d,%d\n" % (i, i) for i in range(1000))]
    (tmp_path / "one.csv.gz").write_bytes(gzip.compress(b"".join(parts)))
    (tmp_path / "several.csv.gz").write_bytes(b"".join(map(gzip.compress, parts)) + b"\0" * 20)
    pieces = plan(list_objects(Access(), str(tmp_path)), 100)
    assert [len(piece.slices) for piece in pieces] == [1, 1]
    for block in (50, 1 << 24):
        result = in_order(pieces, block_bytes=block)
        assert (result.answer.rows, result.answer.total) == (2000, 2 * 100 * 499_500)


@pytest.mark.parametrize("kept", [0, 5, 40, -1, -9])
def test_cut_or_damaged_gzip_is_an_error(tmp_path: Path, kept: int) -> None:
    whole = gzip.compress(b"a,v\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(1000)))
    (tmp_path / "a.csv.gz").write_bytes(whole[:kept])
    pieces = plan(list_objects(Access(), str(tmp_path)), 100)
    with pytest.raises(BadData, match="cut short"):
        in_order(pieces, bad_rows="skip")
    (tmp_path / "a.csv.gz").write_bytes(whole[:60] + b"\xff\xff\xff" + whole[63:])
    with pytest.raises(BadData, match=r"damaged gzip|wanted"):
        in_order(plan(list_objects(Access(), str(tmp_path)), 100))


def test_files_of_other_column_order_and_size_share_tasks(tmp_path: Path) -> None:
    texts = [b"v,a\n1,9\n", b"a,v\n9,2\n9,3\n", b"", b"b,v,a\n" + b"8,1,9\n" * 50, b"v\n4\n"]
    for i, text in enumerate(texts):
        (tmp_path / f"{i}.csv").write_bytes(text)
    (tmp_path / "_manifest.json").write_text("{}")
    pieces = plan(list_objects(Access(), str(tmp_path)), 100)
    assert [len(piece.slices) for piece in pieces] == [1, 1, 1, 1, 4] or len(pieces) < 8
    assert sum(piece.size_bytes for piece in pieces) == sum(map(len, texts))
    result = in_order(pieces)
    assert (result.answer.rows, result.answer.total) == (54, 6000)


@given(st.lists(st.integers(0, 500), max_size=20), st.integers(1, 200))
def test_a_plan_covers_each_byte_once_and_fills_pieces(sizes: list[int], cut: int) -> None:
    pieces = plan([DataObject(f"{i}.csv", size, "") for i, size in enumerate(sizes)], cut)
    slices = sorted((part.item.uri, part.start, part.stop) for piece in pieces for part in piece.slices)
    covered = {uri: 0 for uri, _, _ in slices}
    for uri, start, stop in slices:
        assert covered[uri] == start
        covered[uri] = stop
    assert covered == {f"{i}.csv": size for i, size in enumerate(sizes)}
    assert all(piece.size_bytes <= cut for piece in pieces)


def test_a_missing_or_doubled_range_is_never_added_up(folder: Path) -> None:
    (folder / "a.csv").write_bytes(b"a,v\n" + b"1,2\n" * 20)
    partials = [read(Access(), piece, QUERY) for piece in plan(list_objects(Access(), str(folder)), 20)]
    for wrong in (partials[1:], partials[:-1], [*partials, partials[1]]):
        with pytest.raises(ValueError, match="wanted each byte"):
            combine(wrong, QUERY)


def test_a_wrong_guess_is_seen_and_the_object_read_whole(folder: Path) -> None:
    # Within the quotes lies what looks just like records, so the second range can but guess wrongly.
    text = b'a,v\n"' + b"\n1,2" * 100 + b'",5\n'
    (folder / "a.csv").write_bytes(text)
    pieces = plan(list_objects(Access(), str(folder)), len(text) // 2 + 1)
    first = combine([read(Access(), piece, QUERY) for piece in pieces], QUERY)
    assert [piece.slices[0].whole for piece in first.again] == [True]
    result = in_order(pieces)
    assert result.reread_whole == (str(folder / "a.csv"),)
    assert result.answer == Answer(1, 1, 500, (500,))


def test_pieces_are_few_on_functions_and_workers_must_hold_the_stream() -> None:
    item = [DataObject("a.csv", 5 << 30, "")]
    assert len(plan(item, range_bytes(item, workers=8, functions=True))) == 8
    assert len(plan(item, range_bytes(item, workers=8))) == 32
    assert len(plan(item, range_bytes(item, workers=10_000))) == 160
    with pytest.raises(ValueError, match="wanted 256 MiB"):
        range_bytes(item, workers=8, memory_mib=128)


def test_tables_of_chosen_columns_have_inferred_types(folder: Path) -> None:
    text = b"id,name,v,none\n" + b"".join(b'%d,"n\n%d",%d.5,\n' % (i, i, i) for i in range(500))
    (folder / "a.csv").write_bytes(text)
    found = list_objects(Access(), str(folder))
    everything = schema(Access(), found)
    assert everything.types == [pa.int64(), pa.string(), pa.float64(), pa.string()]
    columns = schema(Access(), found, ["v", "name"])
    rows = pa.concat_tables(
        table for piece in plan(found, 300) for table in tables(Access(), piece, columns, block_bytes=64)
    )
    assert rows.to_pydict() == {"v": [i + 0.5 for i in range(500)], "name": [f"n\n{i}" for i in range(500)]}
    with pytest.raises(BadData, match="nearest: name"):
        schema(Access(), found, ["nam"])
    (folder / "a.csv").write_bytes(text + b"1,x,inf,\n")
    with pytest.raises(BadData, match="not a finite number"):
        list(tables(Access(), plan(list_objects(Access(), str(folder)), 10**6)[0], columns))


def test_the_same_over_s3(endpoint: Endpoint) -> None:
    rows = b"".join(b'%d,"a\n%d",%d.25\r\n' % (i, i, i) for i in range(20_000))
    (endpoint.folder / "sales").mkdir()
    (endpoint.folder / "sales/one.csv").write_bytes(b"id,a,v\r\n" + rows)
    (endpoint.folder / "sales/two.csv.gz").write_bytes(gzip.compress(b"v,id,a\n1,2,3\n"))
    found = list_objects(endpoint.access, "s3://bucket/sales")
    for cut in (50_000, 10**9):
        result = answer(lambda work, pieces: list(map(work, pieces)), endpoint.access, plan(found, cut), QUERY)
        assert result.answer == Answer(
            20_001, 20_001, 100 + 25 * 20_000 + 100 * sum(range(20_000)), (1999925, 1999825, 1999725)
        )
        assert result.bytes_read >= sum(item.size_bytes for item in found)


def test_each_ranged_read_is_a_request(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("ss_net_profit\n" + "1.00\n" * 200)  # 1,014 bytes: four blocks of 256
    found = list_objects(Access(), str(path))
    (piece,) = plan(found, 4096)
    assert read(Access(), piece, Query(above=None), block_bytes=256).requests == 4


def test_the_example_in_the_readme_runs(tmp_path: Path) -> None:
    """It named arguments that `Access` no longer takes, and a default that left rows out without a word."""
    (tmp_path / "a.csv").write_text("id,amount\n1,2.50\n2,-7.25\n")
    text = (Path(__file__).parents[2] / "README.md").read_text()
    code = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "tasks.ranges" in block)
    client = SimpleNamespace(map=map, gather=list)
    found: dict[str, Any] = {"client": client}
    exec(code.replace("s3://bucket/sales", str(tmp_path)), found)  # noqa: S102
    assert found["result"].answer == Answer(2, 2, -475, (250, -725))
    Access("http://127.0.0.1:9", "us-east-1", keys_at="keys.json")
