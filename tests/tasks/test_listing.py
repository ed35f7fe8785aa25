"""A set is listed whole: links followed, what is left out named, what can't be read refused by name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.listing import list_objects, listed
from tasks.objects import Access, NoData
from tests.tasks.conftest import Endpoint

LOCAL = Access()
CHECKOUT = Path(__file__).resolve().parents[2]


def test_links_are_followed_and_never_round(tmp_path: Path) -> None:
    (tmp_path / "set/sub").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    for name in ("set/a.csv", "set/sub/b.csv", "other/c.csv"):
        (tmp_path / name).write_text("v\n1\n")
    for link, target in {
        "2025": "../other",
        "round": ".",
        "sub/up": "..",
        "d.csv": "a.csv",
        "_old": "../other",
    }.items():
        os.symlink(target, tmp_path / "set" / link)
    found = listed(LOCAL, str(tmp_path / "set"))
    assert [item.uri.removeprefix(f"{tmp_path}/set/") for item in found.objects] == [
        *("2025/c.csv", "a.csv", "d.csv", "sub/b.csv")
    ]
    assert found.told() == (
        "4 files, 16 bytes; left out: 1 hidden (_old/), 2 a link that leads round to a folder above it (round, sub/up)"
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("b.tar", "an archive: unpack it"),
        ("b.csv.tar.gz", "an archive: unpack it"),
        ("b.7z", "an archive: unpack it"),
        ("b.zip", "compressed: name it .csv.zip if it is CSV"),
        ("part-0003.gz", "compressed: name it .csv.gz if it is CSV"),
        ("b.csv.br", "its suffix .br is not known: decompress it"),
        ("b.csv.Z", "its suffix .z is not known: decompress it"),
        ("b.parquet", "parquet is not read: convert it to CSV"),
        ("part-0003", "without a suffix: name it .csv if it is CSV"),
        ("part-r-00003", "without a suffix: name it .csv if it is CSV"),
        ("000000_0", "without a suffix: name it .csv if it is CSV"),
    ],
)
@pytest.mark.parametrize("where", ["local", "s3"])
def test_what_looks_like_data_is_refused_by_name(
    name: str, why: str, where: str, tmp_path: Path, endpoint: Endpoint
) -> None:
    folder = tmp_path if where == "local" else endpoint.folder / "beside" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.csv").write_text("v\n1\n")
    (folder / name).write_bytes(b"x")
    uri = str(folder) if where == "local" else f"s3://bucket/beside/{name}"
    with pytest.raises(NoData) as told:
        list_objects(endpoint.access, uri)
    assert f"{name} ({why})" in str(told.value)


@pytest.mark.parametrize("name", ["README.md", "b.csv.md5", "notes", "x.json.gz", "b.csv~", "_part-0003", ".b.tar"])
def test_what_is_plainly_no_table_is_left_out_and_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("v\n1\n")
    (tmp_path / name).write_bytes(b"x")
    found = listed(LOCAL, str(tmp_path))
    assert [Path(item.uri).name for item in found.objects] == ["a.csv"]
    assert name in found.told()


def test_a_link_to_nothing_a_pipe_and_a_name_that_is_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("v\n1\n")
    os.symlink("/nowhere", tmp_path / "b.csv")
    os.symlink("/nowhere", tmp_path / "2024")
    os.symlink("/nowhere", tmp_path / "notes.txt")
    os.mkfifo(tmp_path / "c.csv")
    (tmp_path / os.fsdecode(b"d\xff.csv")).write_bytes(b"v\n1\n")
    with pytest.raises(NoData) as told:
        listed(LOCAL, str(tmp_path))
    for said in ("2024 (a link to /nowhere", "b.csv (a link to /nowhere", "c.csv (no regular file)", "is not UTF-8"):
        assert said in str(told.value)
    assert "notes.txt" not in str(told.value)


@pytest.mark.parametrize("locked", ["sub", "sub/b.csv", "."])
def test_what_the_user_may_not_read_is_refused(locked: str, tmp_path: Path) -> None:
    """As another user where the tests run as root, who may read everything."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.csv").write_text("v\n1\n")
    (tmp_path / "sub/b.csv").write_text("v\n1\n")
    for path in (tmp_path, *tmp_path.parents):
        if path.is_relative_to("/tmp/pytest-of-root") or path == tmp_path:
            path.chmod(0o755)
    (tmp_path / locked).chmod(0)
    drop = "os.setuid(65534);" if os.getuid() == 0 else ""
    script = f"""
import os; from tasks.listing import listed; from tasks.objects import Access, NoData
{drop}
try: print(listed(Access(), {str(tmp_path)!r}))
except NoData as error: print("refused:", error)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    (tmp_path / locked).chmod(0o755)
    assert done.stdout.startswith("refused:"), done.stdout + done.stderr
    assert Path(locked).name or tmp_path.name in done.stdout


def test_a_file_that_is_named_is_data_whatever_its_name(tmp_path: Path) -> None:
    for name in ("part-0003", "x.txt", "_y.csv", "z.csv.gz"):
        (tmp_path / name).write_text("v\n1\n")
        assert [item.uri for item in list_objects(LOCAL, str(tmp_path / name))] == [str(tmp_path / name)]


def test_a_bucket_that_is_not_there_is_told(endpoint: Endpoint) -> None:
    with pytest.raises(NoData, match="there is no bucket 'nosuch'"):
        list_objects(endpoint.access, "s3://nosuch/x")


def test_a_pattern_is_told(endpoint: Endpoint) -> None:
    with pytest.raises(NoData, match="patterns are not expanded: give the folder"):
        list_objects(endpoint.access, "s3://bucket/*.csv")
