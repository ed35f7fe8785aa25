"""An address, however it is written, is one place, or the error says what was wanted."""

import os
from pathlib import Path

import pytest

from tasks.address import BadAddress, normalised


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("s3://bucket/a", "s3://bucket/a"),
        ("s3://bucket/a//", "s3://bucket/a"),
        ("s3a://bucket/a/", "s3://bucket/a"),
        ("S3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a b/[1]%20#x?y", "s3://bucket/a b/[1]%20#x?y"),
        (".", "{here}"),
        ("set/", "{here}/set"),
        ("./set/../set", "{here}/set"),
        ("~/set", "{here}/set"),
        ("file://{here}/set", "{here}/set"),
        ("file://localhost{here}/set/", "{here}/set"),
        ("file:{here}/set", "{here}/set"),
        ("file://{here}/a%20b", "{here}/a b"),
        ("a[1]", "{here}/a[1]"),
    ],
)
def test_one_place_has_one_form(written: str, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("set", "a b", "a[1]"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert normalised(written.format(here=tmp_path), must_exist=True) == wanted.format(here=tmp_path)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "wanted s3://bucket/prefix, a folder or a file"),
        ("s3://", "whose bucket is ''"),
        ("s3:///key", "whose bucket is ''"),
        ("s3://b@d/key", "whose bucket is 'b@d'"),
        ("gs://bucket/x", "gs:// is not read"),
        ("https://bucket.s3.amazonaws.com/x", "https:// is not read"),
        ("file://elsewhere/x", "on the host 'elsewhere'"),
        ("nowhere", "found no file or folder /"),
        ("*.csv", "patterns are not expanded: give the folder"),
        ("dangling", "a link to /gone, which is not there"),
        ("~nobody-of-that-name/x", "wanted s3://bucket/prefix"),
        ("x" * 5000, "wanted s3://bucket/prefix"),
    ],
)
def test_no_place_is_told(written: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.symlink("/gone", tmp_path / "dangling")
    with pytest.raises(BadAddress) as told:
        normalised(written, must_exist=True)
    assert said in str(told.value)
