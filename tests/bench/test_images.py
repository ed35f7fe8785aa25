"""Photographs are told apart by what is in them; what is no photograph is named."""

import os
from pathlib import Path

import pytest

from bench import images
from bench.dataset import DataError
from tasks.upload import put_stream, read_bytes
from tests.tasks.conftest import Endpoint, endpoint  # noqa: F401  a fixture


@pytest.fixture(name="at")
def _at(endpoint: Endpoint) -> Endpoint:  # noqa: F811
    return endpoint


def test_files_of_one_name_and_size_are_not_taken_for_each_other(at: Endpoint, tmp_path: Path) -> None:
    for folder, text in (("A", b"red."), ("B", b"blue")):
        (tmp_path / folder / "photos").mkdir(parents=True)
        (tmp_path / folder / "photos/scan.bmp").write_bytes(text)
    put = {}
    for folder in ("A", "B"):
        source = tmp_path / folder / "photos"
        (put[folder],) = images.upload(at.access, at.bucket, images.sources(source).files, source.name).sizes
    # Both at once: a run on A's reads them while another puts B's.
    assert {folder: read_bytes(at.access, uri) for folder, uri in put.items()} == {"A": b"red.", "B": b"blue"}


def test_what_stands_is_kept_and_what_was_changed_is_put_again(at: Endpoint, tmp_path: Path) -> None:
    (tmp_path / "scan.bmp").write_bytes(b"1234")
    (uri,) = images.upload(at.access, at.bucket, images.sources(tmp_path).files, "kept").sizes
    path = at.folder / uri.removeprefix(f"s3://{at.bucket}/")
    before = path.stat().st_mtime_ns
    images.upload(at.access, at.bucket, images.sources(tmp_path).files, "kept")
    assert path.stat().st_mtime_ns == before
    put_stream(at.access, uri, [b"4321"])
    images.upload(at.access, at.bucket, images.sources(tmp_path).files, "kept")
    assert read_bytes(at.access, uri) == b"1234"


def test_a_folder_is_read_with_what_is_below_it_and_says_what_it_left(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "sub/B.JPG", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"x")
    os.symlink(".", tmp_path / "round")
    found = images.sources(tmp_path)
    assert list(found.files) == ["b.png", "sub/B.JPG"]
    assert found.told() == "images: 2 files, 2 bytes; left out: 2 that are no images (.hidden.png, notes.txt)"


@pytest.mark.parametrize(
    ("name", "said"),
    [("a folder.jpg", "found no image"), ("dangling.png", "can't read dangling.png"), ("x.txt", "no image (x.txt)")],
)
def test_a_folder_without_a_readable_image_is_told(name: str, said: str, tmp_path: Path) -> None:
    if name == "dangling.png":
        os.symlink("/nowhere", tmp_path / name)
    elif name == "x.txt":
        (tmp_path / name).write_bytes(b"x")
    else:
        (tmp_path / name).mkdir()
    with pytest.raises(DataError) as told:
        images.sources(tmp_path)
    assert said in str(told.value)
