"""Removal in batches, and a disk that is full in the middle of a file."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.objects import s3_client
from tasks.upload import remove_all, remove_below
from tests.tasks.conftest import Endpoint

CHECKOUT = Path(__file__).resolve().parents[2]


def test_many_objects_go_by_few_requests(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = endpoint.folder / "left"
    folder.mkdir()
    names = [f"{number:04} [x]+ü%.csv" for number in range(1003)]
    for name in names:
        (folder / name).touch()
    (endpoint.folder / "left-alone.csv").touch()
    requests: list[str] = []
    from tasks import upload

    client = upload.s3_writer(endpoint.access)
    client.meta.events.register("before-call.s3", lambda model, **_: requests.append(model.name))
    assert remove_below(endpoint.access, "s3://bucket/left") == 1003
    assert requests.count("DeleteObjects") == 2
    assert not [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else True
    assert (endpoint.folder / "left-alone.csv").exists()
    remove_all(endpoint.access, ["s3://bucket/left/gone.csv"])
    assert "Contents" not in s3_client(endpoint.access).list_objects_v2(Bucket="bucket", Prefix="left/")


def test_a_full_disk_is_told_with_the_file_and_leaves_none(tmp_path: Path) -> None:
    """A limit on the size of files stands for it: the system refuses the write in its middle."""
    script = f"""
import resource, signal
from tasks.objects import Access
from tasks.upload import put_stream
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try: put_stream(Access(), {str(tmp_path / "a.csv")!r}, (b"x" * 30_000 for _ in range(9)))
except OSError as error: print(error.filename)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(tmp_path / "a.csv"), done.stderr
    assert not list(tmp_path.iterdir())
