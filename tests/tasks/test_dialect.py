"""A file that is written otherwise is told with the option that reads it."""

from pathlib import Path

import pytest

from tasks import ranges
from tasks.answer import Query
from tasks.dialect import Dialect
from tasks.listing import list_objects
from tasks.objects import Access
from tasks.records import BadData
from tests.tasks.folders import COMPRESS

QUERY = Query("amount", None, 3, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"id;amount\n1;2\n", "found ';' as delimiter: pass --delimiter ';'"),
        (b"id\tamount\n1\t2\n", "found '\\t' as delimiter: pass --delimiter '\\t'"),
        (b"id|amount\n1|2\n", "found '|' as delimiter: pass --delimiter '|'"),
        (b'"id";"amount";"a,b"\n1;2;3\n', "found ';' as delimiter: pass --delimiter ';'"),
        (b"id,Amount\n1,2\n", "nearest: Amount"),
        (b'id,amount\n1,"2,50"\n', "found ',' as decimal: pass --decimal ','"),
        (b"id,amount\n1,2.12345\n", "found 5 decimals: pass --decimals 5"),
        (b"id,amount\n1,NULL\n", "if it stands for a missing value pass --null 'NULL'"),
        (b"id,amount\n1,\\N\n", "if it stands for a missing value pass --null '\\N'"),
        (b"id,amount\n1,nan\n", "if it stands for a missing value pass --null 'nan'"),
        ("id,größe\n1,2\n".encode("latin-1"), "the header is not UTF-8: pass --encoding, for example cp1252"),
        ("id,amount\n1,2\n".encode("utf-16"), "this is UTF-16: pass --encoding utf-16"),
        ("id,amount\n1,2\n".encode("utf-32"), "this is UTF-32: pass --encoding utf-32"),
        ("id,amount\n1,2\n".encode("utf-16-le"), "if it is UTF-16 pass --encoding utf-16-le"),
        ("id,amount\n1,2\n".encode("utf-16-be"), "if it is UTF-16 pass --encoding utf-16-be"),
        (b"PAR1\x15\x04", "this is Parquet: convert it to CSV"),
        *((COMPRESS[suffix](b"id,amount\n1,2\n" * 9), f"name it .csv{suffix}") for suffix in COMPRESS if suffix),
    ],
)
def test_the_error_offers_the_option(text: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    objects = list_objects(Access(), str(tmp_path))
    with pytest.raises(BadData) as told:
        ranges.answer(map, Access(), ranges.plan(objects, 1 << 20), QUERY)
    assert said in str(told.value)
    assert str(told.value).isprintable(), "no control character reaches the terminal"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"delimiter": ";;"}, "found delimiter ';;'"),
        ({"delimiter": '"'}, "found delimiter"),
        ({"delimiter": "§"}, "found delimiter"),
        ({"decimal": ","}, "and not the same"),
        ({"decimal": "x"}, "found decimal 'x'"),
        ({"nulls": ("-999",)}, "found null '-999', wanted a word that is no number"),
        ({"nulls": ("a,b",)}, "found null 'a,b'"),
        ({"encoding": "klingon"}, "found encoding 'klingon'"),
        ({"encoding": "base64"}, "found encoding 'base64'"),
    ],
)
def test_a_dialect_that_nothing_is_written_in_is_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match="wanted") as told:
        Dialect(**options)  # type: ignore[arg-type]
    assert said in str(told.value)
