"""Compressed files and other encodings: read whole, or said to be damaged, never read in part."""

import io
import zipfile
from pathlib import Path

import pytest

from tasks import ranges
from tasks.answer import Answer, Query
from tasks.dialect import Dialect
from tasks.listing import list_objects
from tasks.objects import Access, ObjectGone
from tasks.records import BadData
from tests.tasks.conftest import Endpoint
from tests.tasks.folders import COMPRESS

LOCAL = Access()
QUERY = Query("amount", None, 3, 2)
TEXT = b"id,amount\n" + b"".join(b"%d,%d.50\n" % (i, i) for i in range(3000))
WHOLE = Answer(3000, 3000, sum(i * 100 + 50 for i in range(3000)), (299950, 299850, 299750))


def answer(access: Access, uri: str, dialect: Dialect = ranges.COMMAS) -> Answer:
    pieces = ranges.plan(list_objects(access, uri), 1000, dialect)
    assert len(pieces) == 1, "it must not be cut"
    return ranges.answer(map, access, pieces, QUERY, dialect=dialect).answer


@pytest.mark.parametrize("suffix", [suffix for suffix in COMPRESS if suffix])
def test_each_kind_is_read_from_both_places(suffix: str, tmp_path: Path, endpoint: Endpoint) -> None:
    for folder, uri in ((tmp_path, str(tmp_path)), (endpoint.folder / suffix[1:], f"s3://bucket/{suffix[1:]}")):
        folder.mkdir(exist_ok=True)
        (folder / f"a.CSV{suffix.upper()}").write_bytes(COMPRESS[suffix](TEXT))
        assert answer(endpoint.access, uri) == WHOLE


@pytest.mark.parametrize("suffix", [suffix for suffix in COMPRESS if suffix])
@pytest.mark.parametrize("damage", ["cut short", "a bit flipped", "no such format", "empty", "more behind it"])
def test_damage_is_told_and_nothing_is_answered(suffix: str, damage: str, tmp_path: Path) -> None:
    data = COMPRESS[suffix](TEXT)
    middle = len(data) // 2
    damaged = {
        "cut short": data[:-9],
        "a bit flipped": data[:middle] + bytes([data[middle] ^ 16]) + data[middle + 1 :],
        "no such format": TEXT,
        "empty": b"",
        "more behind it": data + b"id,amount\n1,2\n",
    }[damage]
    (tmp_path / f"a.csv{suffix}").write_bytes(damaged)
    if (damage, suffix) in {("more behind it", ".zip"), ("a bit flipped", ".zst")}:
        return  # a zip file may have a comment behind it; Arrow writes zstd without sums, so none can be wrong
    with pytest.raises(BadData, match=r"a\.csv"):
        answer(LOCAL, str(tmp_path))


@pytest.mark.parametrize("names", [[], ["a.csv", "b.csv"], ["a.csv", "__MACOSX/._a.csv", "d/"]])
def test_a_zip_file_of_one_file_is_read_and_of_others_refused(names: list[str], tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, TEXT)
    (tmp_path / "a.csv.zip").write_bytes(out.getvalue())
    if "d/" in names:
        assert answer(LOCAL, str(tmp_path)) == WHOLE
        return
    with pytest.raises(BadData, match=f"wanted a zip file of one file, this has {len(names)}: unzip it"):
        answer(LOCAL, str(tmp_path))


@pytest.mark.parametrize("suffix", [".zst", ".zip", ".bz2"])
def test_an_object_that_goes_meanwhile_is_no_damage(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"a.csv{suffix}").write_bytes(COMPRESS[suffix](TEXT))
    pieces = ranges.plan(list_objects(LOCAL, str(tmp_path)), 1000)
    (tmp_path / f"a.csv{suffix}").unlink()
    with pytest.raises(ObjectGone):
        ranges.answer(map, LOCAL, pieces, QUERY)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "shift_jis", "gb18030"])
def test_an_encoding_that_cant_be_cut_is_read_whole(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(TEXT.decode().encode(encoding))
    assert answer(LOCAL, str(tmp_path), Dialect(encoding=encoding)) == WHOLE


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "koi8-r"])
def test_an_encoding_of_single_bytes_is_cut_and_its_header_read(encoding: str, tmp_path: Path) -> None:
    name, dialect = {"koi8-r": "сумма"}.get(encoding, "größe"), Dialect(encoding=encoding)
    (tmp_path / "a.csv").write_bytes(TEXT.decode().replace("amount", name).encode(encoding))
    pieces = ranges.plan(list_objects(LOCAL, str(tmp_path)), 1000, dialect)
    assert len(pieces) > 10
    assert ranges.answer(map, LOCAL, pieces, Query(name, None, 3, 2), dialect=dialect).answer == WHOLE


def test_text_that_is_not_in_its_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(TEXT.decode().encode("utf-16-le") + b"\x00\xd8\x00")
    with pytest.raises(BadData, match="wanted text in utf-16-le"):
        answer(LOCAL, str(tmp_path), Dialect(encoding="utf-16-le"))
