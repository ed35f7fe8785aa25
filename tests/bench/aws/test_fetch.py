"""A driver runs the code that was sent and no other, though another role may have written under its name."""

import hashlib
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import boto3

from bench.bundle import FETCH
from plan.outputs import Outputs


def _archive(text: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("workload.py")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    return packed.getvalue()


def _fetch(key: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", FETCH, "working", key]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_code_is_unpacked_only_where_its_content_has_the_hash_in_its_name(outputs: Outputs, tmp_path: Path) -> None:
    sent, other = _archive(b"print('ours')"), _archive(b"print('stolen')")
    key = f"driver/{hashlib.sha256(sent).hexdigest()}.tar.gz"
    s3 = boto3.client("s3")
    s3.put_object(Bucket="working", Key=key, Body=other)
    refused = _fetch(key, tmp_path)
    assert refused.returncode == 1
    assert f"s3://working/{key}: found SHA-256 {hashlib.sha256(other).hexdigest()}" in refused.stderr
    assert list(tmp_path.iterdir()) == []
    s3.put_object(Bucket="working", Key=key, Body=sent)
    assert _fetch(key, tmp_path).returncode == 0
    assert (tmp_path / "workload.py").read_bytes() == b"print('ours')"
