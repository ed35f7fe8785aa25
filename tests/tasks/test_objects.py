"""Listing takes the data and nothing else; reading gives the version that was listed, or says what is wrong."""

from __future__ import annotations

import os
import pickle
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks import objects
from tasks.listing import list_objects
from tasks.objects import (
    Access,
    DataObject,
    EndpointFailed,
    NoData,
    ObjectChanged,
    ObjectGone,
    Request,
    read_ahead,
    read_range,
    read_stream,
    s3_client,
)

if TYPE_CHECKING:
    from tests.tasks.conftest import Endpoint

LOCAL = Access()
NAMES = {
    "data/b.csv": True,
    "data/A.CSV": True,
    "data/deep/c.csv.gz": True,
    "data/empty.csv": True,
    "data/q?x=1#y.csv": True,
    "data/_manifest.json": False,
    "data/_temporary/d.csv": False,
    "data/.hidden.csv": False,
    "data/notes.txt": False,
    "data2/e.csv": False,
}


@pytest.fixture(autouse=True)
def role(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys as the environment has them, for endpoints that no stack made."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")


def fill(folder: Path) -> None:
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"" if "empty" in name else b"v\n1\n")


def test_a_folder_lists_its_data_and_nothing_beside(tmp_path: Path) -> None:
    fill(tmp_path)
    found = [item.uri for item in list_objects(LOCAL, str(tmp_path / "data"))]
    assert found == sorted(str(tmp_path / name) for name, kept in NAMES.items() if kept)
    assert [item.size_bytes for item in list_objects(LOCAL, str(tmp_path / "data/b.csv"))] == [4]


def test_a_prefix_lists_its_data_and_nothing_beside(endpoint: Endpoint) -> None:
    fill(endpoint.folder)
    found = list_objects(endpoint.access, "s3://bucket/data")
    assert [item.uri for item in found] == sorted(f"s3://bucket/{name}" for name, kept in NAMES.items() if kept)
    assert found == list_objects(endpoint.access, "s3://bucket/data/")
    assert [item.size_bytes for item in list_objects(endpoint.access, "s3://bucket/data/b.csv")] == [4]
    for item in found:
        assert len(read_range(endpoint.access, Request(item, 0, item.size_bytes))) == item.size_bytes


def test_a_prefix_of_more_than_a_page_is_listed_whole(endpoint: Endpoint) -> None:
    (endpoint.folder / "many").mkdir()
    for i in range(1003):
        (endpoint.folder / f"many/{i:04}.csv").touch()
    assert len(list_objects(endpoint.access, "s3://bucket/many")) == 1003


@pytest.mark.parametrize("where", ["local", "s3"])
def test_no_data_is_an_error_that_names_what_was_found(where: str, tmp_path: Path, endpoint: Endpoint) -> None:
    folder = tmp_path if where == "local" else endpoint.folder / "none"
    folder.mkdir(exist_ok=True)
    (folder / "notes.txt").write_text("x")
    uri = str(folder) if where == "local" else "s3://bucket/none"
    with pytest.raises(NoData, match=r"notes\.txt.*\.csv"):
        list_objects(endpoint.access, uri)
    with pytest.raises(NoData, match="found 0 objects"):
        list_objects(endpoint.access, uri + "/nowhere")


@pytest.mark.parametrize("where", ["local", "s3"])
def test_gone_and_changed_objects_are_told_apart(where: str, tmp_path: Path, endpoint: Endpoint) -> None:
    folder = tmp_path if where == "local" else endpoint.folder
    uri = str(folder / "x") if where == "local" else "s3://bucket/x"
    client = s3_client(endpoint.access)

    def put(data: bytes) -> None:
        if where == "local":
            (folder / "x").mkdir(exist_ok=True)
            (folder / "x/a.csv").write_bytes(data)
            os.utime(folder / "x/a.csv", ns=(0, len(data) + data[-2]))
        else:
            client.put_object(Bucket="bucket", Key="x/a.csv", Body=data)

    put(b"v\n1\n")
    listed = list_objects(endpoint.access, uri)[0]
    assert read_range(endpoint.access, Request(listed, 2, 4)) == b"1\n"
    for other in (b"v\n2\n", b"v\n", b"v\n1\n2\n"):
        put(other)
        with pytest.raises(ObjectChanged, match="list it again"):
            read_range(endpoint.access, Request(listed, 2, 4))
    (folder / "x/a.csv").unlink() if where == "local" else client.delete_object(Bucket="bucket", Key="x/a.csv")
    with pytest.raises(ObjectGone, match="gone"):
        read_range(endpoint.access, Request(listed, 2, 4))


def test_blocks_come_in_order_and_whole(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(bytes(range(256)))
    item = list_objects(LOCAL, str(tmp_path))[0]
    for block in (1, 7, 100, 1000):
        blocks = list(read_stream(LOCAL, item, 3, 250, block))
        assert b"".join(blocks) == bytes(range(3, 250))
        assert max(map(len, blocks)) <= block


def test_reading_ahead_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def noted(access: Access, request: Request) -> bytes:
        asked.append(request.start)
        return b"x" * request.size_bytes

    monkeypatch.setattr(objects, "read_range", noted)
    item = DataObject("none", 1000, "")
    blocks = read_ahead(LOCAL, (Request(item, i * 10, i * 10 + 10) for i in range(100)), ahead_bytes=30)
    for taken in range(1, 101):
        next(blocks)
        assert len(asked) <= taken + 3


def test_errors_survive_pickling() -> None:
    for error in (NoData("a"), ObjectGone("b"), ObjectChanged("c"), EndpointFailed("d")):
        assert type(back := pickle.loads(pickle.dumps(error))) is type(error)
        assert str(back) == str(error)


class _Flaky(BaseHTTPRequestHandler):
    """Answers as the script says, one step per request, the last for ever."""

    script: tuple[str, ...] = ()
    served = 0

    def do_GET(self) -> None:
        step = self.script[min(type(self).served, len(self.script) - 1)]
        type(self).served += 1
        if step.isdigit():
            self.send_response(int(step))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        whole = b"v\n1\n"
        wanted = whole if step == "whole" else whole[2:4]
        self.send_response(200 if step == "whole" else 206)
        self.send_header("ETag", '"abc"')
        self.send_header("Content-Length", str(len(wanted)))
        if step != "whole":
            self.send_header("Content-Range", "bytes 2-3/4")
        self.end_headers()
        if step == "broken":
            self.wfile.write(wanted[:1])
            self.close_connection = True
        elif step == "silent":
            self.server.released.wait(10)  # type: ignore[attr-defined]
        else:
            self.wfile.write(wanted)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def flaky(*script: str) -> Iterator[tuple[Access, type[_Flaky]]]:
    handler = type("Handler", (_Flaky,), {"script": script, "served": 0})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.released = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Access(f"http://127.0.0.1:{server.server_port}", "us-east-1"), handler
    finally:
        server.released.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()
        server.server_close()
        s3_client.cache_clear()


REQUEST = Request(DataObject("s3://b/a.csv", 4, "abc"), 2, 4)


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_FIRST_WAIT_S", 0.001)


@pytest.mark.parametrize("failure", ["503", "500", "429", "broken"])
def test_a_failure_that_passes_is_retried(failure: str) -> None:
    with flaky(failure, failure, "fine") as (access, handler):
        assert read_range(access, REQUEST) == b"1\n"
        assert handler.served == 3


@pytest.mark.parametrize(
    ("failure", "requests", "kind", "says"),
    [
        ("503", objects.ATTEMPTS, EndpointFailed, "failed 5 times.*503"),
        ("broken", objects.ATTEMPTS, EndpointFailed, "failed 5 times"),
        ("403", 1, EndpointFailed, "refused: 403"),
        ("412", 1, ObjectChanged, "list it again"),
        ("416", 1, ObjectChanged, "list it again"),
        ("404", 1, ObjectGone, "gone"),
        ("whole", 1, EndpointFailed, "asked for bytes 2-3, the endpoint sent bytes 0-3"),
    ],
)
def test_a_failure_that_stays_is_typed(failure: str, requests: int, kind: type[Exception], says: str) -> None:
    with flaky(failure) as (access, handler):
        with pytest.raises(kind, match=says):
            read_range(access, REQUEST)
        assert handler.served == requests


def test_an_endpoint_that_stalls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "BLOCK_DEADLINE_S", 0.05)
    with flaky("silent") as (access, _), pytest.raises(EndpointFailed, match=r"more than 0 s|more than 0\.05"):
        next(read_ahead(access, [REQUEST]))


def test_a_profile_that_is_not_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nosuch")
    monkeypatch.setattr(objects.time, "sleep", lambda _: pytest.fail("no retry helps"))
    with pytest.raises(EndpointFailed, match=r"profile \(nosuch\) could not be found; check the credentials"):
        list_objects(Access(region="us-east-1"), "s3://bucket/x")


def test_an_endpoint_that_is_not_there_is_named() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        port = server.server_address[1]
    with pytest.raises(EndpointFailed, match="failed 5 times"):
        read_range(Access(f"http://127.0.0.1:{port}", "us-east-1"), REQUEST)
