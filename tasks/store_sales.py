"""Store-sales-like CSV: the 23 columns of TPC-DS store_sales, a pure function of (seed, plan, file, block).

The columns, their types, the order of a sale's arithmetic and the null rule follow TPC-DS and its generator dsdgen; the
numbers are drawn anew here, so this is not TPC-DS data. Money is made and summed in integer cents: the answer computed
while generating is exact. Only the raw words of numpy's Philox are used, whose stream numpy promises not to change.
"""

import functools
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from tasks.answer import Answer, Query, answer_of

# decimals of each column, in the file's order; whole numbers have none.
COLUMNS = {
    "ss_sold_date_sk": 0,
    "ss_sold_time_sk": 0,
    "ss_item_sk": 0,
    "ss_customer_sk": 0,
    "ss_cdemo_sk": 0,
    "ss_hdemo_sk": 0,
    "ss_addr_sk": 0,
    "ss_store_sk": 0,
    "ss_promo_sk": 0,
    "ss_ticket_number": 0,
    "ss_quantity": 0,
    "ss_wholesale_cost": 2,
    "ss_list_price": 2,
    "ss_sales_price": 2,
    "ss_ext_discount_amt": 2,
    "ss_ext_sales_price": 2,
    "ss_ext_wholesale_cost": 2,
    "ss_ext_list_price": 2,
    "ss_ext_tax": 2,
    "ss_coupon_amt": 2,
    "ss_net_paid": 2,
    "ss_net_paid_inc_tax": 2,
    "ss_net_profit": 2,
}
NEVER_NULL = ("ss_item_sk", "ss_ticket_number")
HEADER = (",".join(COLUMNS) + "\n").encode()

# 1 GB = 1024 MB = 2**30 bytes, as in the published runs.
GB_BYTES = 2**30
# One draw of the random stream serves one block, so its size is part of what the data is: never change it alone.
BLOCK_ROWS = 32_768
# Mean over 2.8 M rows of four seeds, which differ by 0.03 %; turns a wanted size into a row count.
MEAN_ROW_BYTES = 156.26
# Rows of a ticket share these; sizes of the dimension tables at scale factor 100000 (TPC-DS specification, table 3-2).
_CUSTOMERS, _ADDRESSES, _ITEMS, _STORES, _PROMOTIONS = 100_000_000, 50_000_000, 502_000, 1_902, 2_500
_CUSTOMER_DEMOGRAPHICS, _HOUSEHOLD_DEMOGRAPHICS = 1_920_800, 7_200
# Of one width however large the set is, so that the mean length of a row holds in every file; a float64 still holds it.
_FIRST_TICKET = 10**14
# Coprime with the number of items: the lines of a ticket walk through all items without repeating one.
_ITEM_STEP = 7_919


def _weighted_days() -> np.ndarray:
    """Julian day numbers of five years, repeated by season: a third of a year's sales fall in November and December."""
    days = np.arange("1998-01-02", "2003-01-03", dtype="datetime64[D]")
    month = days.astype("datetime64[M]").astype(int) % 12 + 1
    weight = np.where(month >= 11, 3, np.where(month >= 8, 2, 1))
    return np.repeat(days.astype(np.int64) + 2_440_588, weight)


_DAYS = _weighted_days()
# Opening hours 8 to 20, busier at noon and after work.
_HOURS = np.repeat(np.arange(8, 21), [1, 2, 2, 2, 3, 3, 2, 2, 3, 4, 4, 3, 1])


@dataclass(frozen=True)
class FileSpec:
    """One file of a set. first_row: the rows of the files before it, which keeps ticket numbers apart."""

    seed: int
    gb: float
    files: int
    index: int
    rows: int
    first_row: int

    @property
    def name(self) -> str:
        return f"part-{self.index:05d}.csv"


@dataclass(frozen=True)
class Totals:
    """Of one column: values that are not null, and their sum in units of 10**-decimals."""

    decimals: int
    values: int
    total: int


@dataclass(frozen=True)
class Block:
    """Some rows as CSV without a header, and what is known of them without reading them back."""

    csv: bytes
    answer: Answer
    totals: dict[str, Totals]


def plan_files(gb: float, files: int, seed: int) -> list[FileSpec]:
    """Split `gb` (1 GB = 2**30 bytes) into `files` files of equal row counts, to within one row.

    A file of 1 MB or more comes within 1 % of gb / files; its exact bytes are known once it is made.
    Raises ValueError for a seed below 0, no files, or a size that leaves a file without rows.
    """
    rows = round((gb * GB_BYTES - files * len(HEADER)) / MEAN_ROW_BYTES)
    if seed < 0 or files < 1 or rows < files:
        raise ValueError(
            f"found gb={gb}, files={files}, seed={seed}; wanted seed >= 0, files >= 1 and a row per file: "
            f"raise --gb or lower --files"
        )
    each, more = divmod(rows, files)
    return [FileSpec(seed, gb, files, i, each + (i < more), each * i + min(i, more)) for i in range(files)]


def columns_of(spec: FileSpec, block: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Block `block` of a file: int64 values by column (money in cents); by nullable column, the rows that are null."""
    rows = min(BLOCK_ROWS, spec.rows - block * BLOCK_ROWS)
    stream = np.random.Philox(np.random.SeedSequence(spec.seed, spawn_key=(spec.index, block)))

    def words(count: int) -> np.ndarray:
        return stream.random_raw((count + 1) // 2).astype("<u8", copy=False).view("<u4")[:count]

    def below(bound: int, count: int) -> np.ndarray:
        return ((words(count).astype(np.uint64) * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)

    tickets = rows // 8 + 1
    lines = below(9, tickets) + 8  # dsdgen: 8 to 16 lines a ticket
    ticket = np.repeat(np.arange(tickets), lines)[:rows]
    line = np.arange(rows) - (np.cumsum(lines) - lines)[ticket]

    def shared(bound: int) -> np.ndarray:
        return below(bound, tickets)[ticket]

    date, hour = _DAYS[shared(len(_DAYS))], _HOURS[shared(len(_HOURS))]
    # dsdgen's order: the list price is the wholesale cost marked up, the sales price the list price discounted; a
    # coupon comes off one sale in five. Percentages are whole, prices are rounded to the cent once, the rest is exact.
    quantity, wholesale = below(100, rows) + 1, below(9_901, rows) + 100
    list_price = (wholesale * (below(201, rows) + 100) + 50) // 100
    sales_price = (list_price * (100 - below(101, rows)) + 50) // 100
    ext_list, ext_sales, ext_wholesale = quantity * list_price, quantity * sales_price, quantity * wholesale
    coupon = (ext_sales * np.where(below(5, rows) == 0, below(101, rows), 0) + 50) // 100
    net_paid = ext_sales - coupon
    tax = (net_paid * below(10, rows) + 50) // 100
    values = (
        date,
        hour * 3600 + shared(3600),
        (shared(_ITEMS) + line) * _ITEM_STEP % _ITEMS + 1,
        shared(_CUSTOMERS) + 1,
        shared(_CUSTOMER_DEMOGRAPHICS) + 1,
        shared(_HOUSEHOLD_DEMOGRAPHICS) + 1,
        shared(_ADDRESSES) + 1,
        shared(_STORES) + 1,
        below(_PROMOTIONS, rows) + 1,
        _FIRST_TICKET + spec.first_row + block * BLOCK_ROWS + ticket,
        quantity,
        wholesale,
        list_price,
        sales_price,
        ext_list - ext_sales,
        ext_sales,
        ext_wholesale,
        ext_list,
        tax,
        coupon,
        net_paid,
        net_paid + tax,
        net_paid - ext_wholesale,
    )
    # dsdgen: 9 % of the rows have nulls, and in those a coin is thrown for every nullable column.
    holed = np.flatnonzero(below(100, rows) < 9)
    coins = words(len(holed))
    nulls = {c: holed[(coins >> i) & 1 == 1] for i, c in enumerate(COLUMNS) if c not in NEVER_NULL}
    return dict(zip(COLUMNS, values, strict=True)), nulls


def _csv(values: dict[str, np.ndarray], nulls: dict[str, np.ndarray], rows: int) -> bytes:
    arrays = []
    for column, units in values.items():
        valid = np.ones(rows, bool)
        valid[nulls.get(column, [])] = False
        kind = pa.decimal64(7, 2) if COLUMNS[column] else pa.int64()
        buffers = [pa.py_buffer(np.packbits(valid, bitorder="little")), pa.py_buffer(np.ascontiguousarray(units))]
        arrays.append(pa.Array.from_buffers(kind, rows, buffers))
    out = io.BytesIO()
    options = pacsv.WriteOptions(include_header=False, quoting_style="none", batch_size=8_192)
    pacsv.write_csv(pa.table(arrays, names=list(values)), out, options)
    return out.getvalue()


def _scale(query: Query) -> int:
    """Factor from a column's own units to the query's."""
    if query.column not in COLUMNS:
        raise ValueError(f"found column {query.column!r}, wanted one of {', '.join(COLUMNS)}")
    more = query.decimals - COLUMNS[query.column]
    if more < 0:
        raise ValueError(f"{query.column} has {COLUMNS[query.column]} decimals, the query only {query.decimals}")
    return int(10**more)


def blocks(spec: FileSpec, query: Query) -> Iterator[Block]:
    """The rows of a file in order, `BLOCK_ROWS` at a time. Raises ValueError for a column that is not in the table."""
    scale = _scale(query)
    for block in range(-(-spec.rows // BLOCK_ROWS)):
        values, nulls = columns_of(spec, block)
        rows = len(values[query.column])
        none = np.empty(0, np.int64)
        totals = {
            c: Totals(COLUMNS[c], rows - len(gone), int(v.sum()) - int(v[gone].sum()))
            for c, v in values.items()
            for gone in (nulls.get(c, none),)
        }
        asked = np.delete(values[query.column], nulls.get(query.column, none)) * scale
        yield Block(_csv(values, nulls, rows), answer_of(asked, rows, query), totals)


@functools.cache
def generator_hash() -> str:
    """First 16 hexadecimal digits of the SHA-256 of a block of rows made here and now.

    Tells apart generators by what they make, so that a change of wording keeps data and a change of a library that
    prints or draws otherwise does not.
    """
    probe = replace(plan_files(0.01, 1, 0)[0], rows=4_096)
    return hashlib.sha256(HEADER + next(blocks(probe, Query())).csv).hexdigest()[:16]
