"""The generated table: what it holds, that it is always the same, and that its answer is true."""

import csv
import hashlib
import io
import itertools
import multiprocessing
import re
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import store_sales
from tasks.answer import Query, merge
from tasks.store_sales import (
    BLOCK_ROWS,
    COLUMNS,
    GB_BYTES,
    HEADER,
    NEVER_NULL,
    FileSpec,
    blocks,
    columns_of,
    plan_files,
)

MB = 1 / 1024
QUERY = Query()


def csv_of(spec: FileSpec, query: Query = QUERY) -> bytes:
    return HEADER + b"".join(block.csv for block in blocks(spec, query))


def digest_of(spec: FileSpec) -> str:
    return hashlib.sha256(csv_of(spec)).hexdigest()


@pytest.fixture(scope="module")
def spec() -> FileSpec:
    """Two blocks, the second one short: 6 MB."""
    return plan_files(6 * MB, 1, 3)[0]


@pytest.fixture(scope="module")
def text(spec: FileSpec) -> bytes:
    return csv_of(spec)


@pytest.fixture(scope="module")
def rows(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


@given(gb=st.floats(MB / 100, 500), files=st.integers(1, 500), seed=st.integers(0, 2**64))
def test_a_plan_covers_its_rows_once_and_evenly(gb: float, files: int, seed: int) -> None:
    try:
        specs = plan_files(gb, files, seed)
    except ValueError:
        assert gb * GB_BYTES / files < 2 * len(HEADER)  # only a plan without room for rows is refused
        return
    assert len(specs) == len({s.name for s in specs}) == files
    assert [s.first_row for s in specs] == list(np.cumsum([0] + [s.rows for s in specs[:-1]]))
    assert max(s.rows for s in specs) - min(s.rows for s in specs) <= 1
    size = sum(s.rows for s in specs) * store_sales.MEAN_ROW_BYTES + files * len(HEADER)
    assert size == pytest.approx(gb * GB_BYTES, abs=store_sales.MEAN_ROW_BYTES)


@pytest.mark.parametrize(("gb", "files", "seed"), [(0.4, 0, 0), (0.4, 8, -1), (0, 1, 0), (1e-6, 8, 0), (-1, 1, 0)])
def test_a_plan_that_cannot_be_is_refused(gb: float, files: int, seed: int) -> None:
    with pytest.raises(ValueError, match=f"gb={gb}, files={files}, seed={seed}"):
        plan_files(gb, files, seed)


@pytest.mark.parametrize(("gb", "files"), [(1 * MB, 1), (4 * MB, 3), (12 * MB, 2)])
def test_a_file_comes_within_one_percent_of_its_size(gb: float, files: int) -> None:
    for spec in plan_files(gb, files, 5):
        assert len(csv_of(spec)) == pytest.approx(gb * GB_BYTES / files, rel=0.01)


def test_the_data_are_what_they_have_always_been() -> None:
    """A change here makes every generated set another one: existing buckets would be refused as other data."""
    pinned = ["b93a52a374bab321", "2604a479e8dee8d6"]
    assert [digest_of(s)[:16] for s in plan_files(2 * MB, 2, 1)] == pinned


def test_files_are_the_same_from_other_processes_in_another_order() -> None:
    specs = plan_files(2 * MB, 3, 1)
    here = [digest_of(s) for s in specs]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        there = list(pool.map(digest_of, reversed(specs)))
    assert there[::-1] == here


def test_no_block_repeats_another_stream() -> None:
    """Full blocks of one length: a stream used twice would give the same profits."""
    one, two = plan_files(20 * MB, 2, 1)
    other = plan_files(20 * MB, 2, 2)[0]
    made = [columns_of(s, b)[0]["ss_net_profit"] for s, b in [(one, 0), (one, 1), (two, 0), (two, 1), (other, 0)]]
    assert [len(m) for m in made] == [BLOCK_ROWS] * 5
    assert all((a == b).mean() < 0.01 for a, b in itertools.combinations(made, 2))


def test_the_header_and_shape_are_those_of_store_sales(spec: FileSpec, text: bytes, rows: list[dict[str, str]]) -> None:
    assert len(COLUMNS) == 23
    assert text.startswith(b"ss_sold_date_sk,ss_sold_time_sk,ss_item_sk,")
    assert text.endswith(b"\n")
    assert b"\r" not in text
    assert spec.rows > BLOCK_ROWS
    assert len(rows) == spec.rows
    assert all(len(row) == 23 and None not in row.values() for row in rows)


def test_fields_print_plainly(rows: list[dict[str, str]]) -> None:
    """No exponent, no float's tail, two places for money, none for the rest; dsdgen's widths: decimal(7,2)."""
    form = {0: re.compile(r"\d+"), 2: re.compile(r"-?\d{1,5}\.\d\d")}
    wrong = [(c, v) for row in rows for c, v in row.items() if v and not form[COLUMNS[c]].fullmatch(v)]
    assert not wrong


def test_readers_infer_numbers_for_every_column(text: bytes) -> None:
    table = pacsv.read_csv(pa.BufferReader(text))
    assert {f.name: f.type for f in table.schema} == {c: pa.float64() if d else pa.int64() for c, d in COLUMNS.items()}


def test_nulls_have_their_share(rows: list[dict[str, str]]) -> None:
    """dsdgen: half of 9 %; five standard errors at this number of rows are 0.5 points."""
    empty = Counter(c for row in rows for c, v in row.items() if v == "")
    assert set(empty) == set(COLUMNS) - set(NEVER_NULL)
    assert all(count / len(rows) == pytest.approx(0.045, abs=0.005) for count in empty.values())
    assert sum("" in row.values() for row in rows) / len(rows) == pytest.approx(0.09, abs=0.008)


def test_money_adds_up(rows: list[dict[str, str]]) -> None:
    for row in rows:
        if "" in row.values():
            continue
        d = {c.removeprefix("ss_"): Decimal(v) for c, v in row.items()}
        assert d["ext_list_price"] == d["quantity"] * d["list_price"]
        assert d["ext_sales_price"] == d["quantity"] * d["sales_price"]
        assert d["ext_wholesale_cost"] == d["quantity"] * d["wholesale_cost"]
        assert d["ext_discount_amt"] == d["ext_list_price"] - d["ext_sales_price"]
        assert d["net_paid"] == d["ext_sales_price"] - d["coupon_amt"]
        assert d["net_paid_inc_tax"] == d["net_paid"] + d["ext_tax"]
        assert d["net_profit"] == d["net_paid"] - d["ext_wholesale_cost"]
        assert 0 <= d["ext_tax"] <= d["net_paid"] * Decimal("0.09") + Decimal("0.01")
        assert 0 <= d["coupon_amt"] <= d["ext_sales_price"]
        assert d["wholesale_cost"] <= d["list_price"] <= 3 * d["wholesale_cost"] + Decimal("0.01")


def test_values_spread_as_in_store_sales(rows: list[dict[str, str]]) -> None:
    profit = np.array([float(row["ss_net_profit"]) for row in rows if row["ss_net_profit"]])
    assert -10_000 <= profit.min() < -8_000
    assert 12_000 < profit.max() <= 20_000
    assert 0.02 < (profit > 5_000).mean() < 0.04
    assert {row["ss_quantity"] for row in rows} == {"", *map(str, range(1, 101))}
    coupons = [float(row["ss_coupon_amt"]) > 0 for row in rows if row["ss_coupon_amt"]]
    assert np.mean(coupons) == pytest.approx(0.2, abs=0.02)
    dates = [int(row["ss_sold_date_sk"]) for row in rows if row["ss_sold_date_sk"]]
    assert (min(dates), max(dates)) == (2_450_816, 2_452_642)  # 1998-01-02 and 2003-01-02 as Julian days


def test_item_and_ticket_are_a_key_over_all_files() -> None:
    keys: list[tuple[int, int]] = []
    tickets: list[set[int]] = []
    for spec in plan_files(15 * MB, 2, 4):  # two blocks each
        for block in range(2):
            values = columns_of(spec, block)[0]
            keys += zip(values["ss_item_sk"].tolist(), values["ss_ticket_number"].tolist(), strict=True)
            tickets.append(set(values["ss_ticket_number"].tolist()))
    assert sum(map(len, tickets)) == len(set().union(*tickets))  # blocks and files share no ticket
    assert len(set(keys)) == len(keys)
    lines = Counter(ticket for _, ticket in keys)
    assert Counter(lines.values()).keys() >= set(range(8, 17))
    assert sum(n < 8 for n in lines.values()) <= 4  # only the last ticket of a block is cut short
    assert max(lines) < 2**53


@pytest.mark.parametrize(
    "query",
    [
        QUERY,
        Query(largest=3),
        Query(above=None),
        Query(above=10**9),
        Query("ss_quantity", above=50, decimals=0),
        Query("ss_quantity", above=5_000),  # whole numbers asked in cents
        Query("ss_item_sk", above=None, decimals=0),
    ],
    ids=str,
)
def test_the_answer_is_that_of_an_independent_read(spec: FileSpec, rows: list[dict[str, str]], query: Query) -> None:
    units = [int(Decimal(row[query.column]).scaleb(query.decimals)) for row in rows if row[query.column]]
    kept = sorted((u for u in units if query.above is None or u > query.above), reverse=True)
    answer = merge((block.answer for block in blocks(spec, query)), query)
    found = (answer.rows, answer.kept, answer.total, answer.largest)
    assert found == (len(rows), len(kept), sum(kept), tuple(kept[: query.largest]))


def test_column_totals_are_those_of_an_independent_read(spec: FileSpec, rows: list[dict[str, str]]) -> None:
    made = [block.totals for block in blocks(spec, QUERY)]
    for column, decimals in COLUMNS.items():
        units = [int(Decimal(row[column]).scaleb(decimals)) for row in rows if row[column]]
        assert sum(t[column].values for t in made) == len(units), column
        assert sum(t[column].total for t in made) == sum(units), column
        assert {t[column].decimals for t in made} == {decimals}


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (Query("ss_profit"), "found column 'ss_profit', wanted one of ss_sold_date_sk"),
        (Query(decimals=1), "2 decimals"),
    ],
)
def test_a_query_the_table_cannot_answer_is_refused(spec: FileSpec, query: Query, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        next(blocks(spec, query))


def test_the_last_block_may_have_a_single_row(spec: FileSpec) -> None:
    single = replace(spec, rows=BLOCK_ROWS + 1)
    made = list(blocks(single, QUERY))
    assert [b.answer.rows for b in made] == [BLOCK_ROWS, 1]
    assert made[1].csv.count(b"\n") == 1
    assert made[0].csv == next(blocks(spec, QUERY)).csv
