"""Files and manifest in a bucket (a real S3 endpoint on loopback) and in a folder: whole or not there at all."""

import hashlib
import io
import json
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from tasks import manifest, store_sales, upload
from tasks.answer import Query, merge
from tasks.manifest import Incomplete, OtherData, base_of, begin, finish, kept_record, read_manifest, write_file
from tasks.objects import Access
from tasks.store_sales import Block, FileSpec, plan_files
from tasks.upload import abort_pending, cut, put_stream, read_bytes, remove, s3_writer, stat
from tests.keys import keys_file

MIB = 2**20
QUERY = Query()
SPECS = plan_files(3 / 1024, 3, 1)  # 1 MB each


class RawBody(io.BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield self.read()


@dataclass(frozen=True)
class Place:
    """Where a test writes: base is an S3 address or a folder, folder is what lies on disk below it either way."""

    access: Access
    base: str
    folder: Path

    def pending(self) -> int:
        """Uploads begun and neither completed nor aborted, or temporary files."""
        if not self.base.startswith("s3://"):
            return len(list(self.folder.rglob("_unfinished-*")))
        return len(s3_writer(self.access).list_multipart_uploads(Bucket="data").get("Uploads", []))


def serve(folder: Path, file_limit: int | None = None) -> tuple[subprocess.Popen[str], Access]:
    """rclone over a folder, ready when it says so; file_limit: a disk on which no file can pass this many bytes."""
    server = subprocess.Popen(
        ["rclone", "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", "testkey0001,testsecret0001", str(folder)],
        stderr=subprocess.PIPE,
        text=True,
    )
    if file_limit is not None:
        psutil.Process(server.pid).rlimit(psutil.RLIMIT_FSIZE, (file_limit, file_limit))
    assert server.stderr
    for line in server.stderr:
        if "Starting s3 server on [" in line:
            url = line.split("[")[1].split("]")[0].rstrip("/")
            keys = keys_file(folder.with_name(f"{folder.name}-keys.json"), "testkey0001", "testsecret0001")
            return server, Access(url, "us-east-1", keys)
    raise AssertionError(f"rclone ended with {server.wait()} before it served")


def stop(server: subprocess.Popen[str]) -> None:
    server.terminate()
    server.communicate(timeout=10)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Access, Path]]:
    folder = tmp_path_factory.mktemp("s3")
    (folder / "data").mkdir()
    server, access = serve(folder)
    yield access, folder
    stop(server)


@pytest.fixture(params=["bucket", "folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place(Access(), str(tmp_path / "set"), tmp_path / "set")
    access, folder = request.getfixturevalue("endpoint")
    name = tmp_path.name
    return Place(access, f"s3://data/{name}", folder / "data" / name)


def generate(place: Place, specs: list[FileSpec] = SPECS, query: Query = QUERY) -> manifest.Manifest:
    for spec in begin(place.access, place.base, specs, query):
        write_file(place.access, place.base, spec, query)
    return finish(place.access, place.base, specs, query)


@given(st.lists(st.binary(max_size=9)), st.integers(1, 8))
def test_cut_keeps_the_bytes_and_fills_every_part_but_the_last(blocks: list[bytes], part_bytes: int) -> None:
    parts = list(cut(blocks, part_bytes))
    assert b"".join(parts) == b"".join(blocks)
    assert all(len(p) == part_bytes for p in parts[:-1])
    assert not parts or 0 < len(parts[-1]) <= part_bytes


@pytest.mark.parametrize("over", [-1, 0, 1, 5 * MIB, 5 * MIB + 1])
def test_parts_join_at_every_boundary(endpoint: tuple[Access, Path], over: int) -> None:
    body = bytes(range(256)) * (5 * MIB // 256) + b"x" * over if over >= 0 else b"y" * (5 * MIB + over)
    blocks = [body[i : i + 700_001] for i in range(0, len(body), 700_001)]
    item = put_stream(endpoint[0], "s3://data/parts/one", blocks, 5 * MIB)
    assert item.size_bytes == len(body)
    assert read_bytes(endpoint[0], item.uri) == body


def test_a_set_is_whole_and_its_manifest_true(place: Place) -> None:
    made = generate(place)
    assert made == read_manifest(place.access, place.base)
    assert made.rows == sum(s.rows for s in SPECS)
    assert made.checksum == made.answer.checksum()
    assert made.answer == merge((f.answer for f in made.files), QUERY)
    assert made.answer.rows == made.rows == made.totals["ss_item_sk"].values
    for record in made.files:
        body = (place.folder / record.name).read_bytes()
        assert (len(body), hashlib.sha256(body).hexdigest()) == (record.size_bytes, record.sha256)
        assert body.count(b"\n") == record.rows + 1
    assert made.size_bytes == sum(f.size_bytes for f in made.files)
    names = {p.name for p in place.folder.iterdir()}
    assert names == {"_manifest.json", "_parts", *(s.name for s in SPECS)}
    assert place.pending() == 0


def test_bytes_do_not_depend_on_the_part_size_or_the_place(
    endpoint: tuple[Access, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = plan_files(12 / 1024, 1, 1)[0]
    whole = write_file(Access(), str(tmp_path / "a"), spec, QUERY)
    monkeypatch.setattr(
        manifest, "put_stream", lambda access, uri, blocks: put_stream(access, uri, blocks, 5 * MIB + 1)
    )
    parts = write_file(endpoint[0], "s3://data/part-size", spec, QUERY)
    assert replace(parts, etag=whole.etag) == whole


def test_a_second_run_writes_nothing(place: Place) -> None:
    first = generate(place)
    times = {p: p.stat().st_mtime_ns for p in place.folder.rglob("*.*")}
    assert begin(place.access, place.base, SPECS, QUERY) == []
    assert [write_file(place.access, place.base, s, QUERY) for s in SPECS] == list(first.files)
    assert {p: p.stat().st_mtime_ns for p in place.folder.rglob("*.*")} == times


@pytest.mark.parametrize("fault", ["truncated", "flipped", "gone", "no record"])
def test_a_restart_keeps_good_files_and_redoes_the_bad_one(place: Place, fault: str) -> None:
    first = generate(place)
    bad, uri = SPECS[1], f"{place.base}/{SPECS[1].name}"
    body = (place.folder / bad.name).read_bytes()
    if fault == "no record":
        remove(place.access, f"{place.base}/_parts/part-00001.json")
    elif fault == "gone":
        remove(place.access, uri)
    else:
        put_stream(place.access, uri, [body[:-1000] if fault == "truncated" else b"S" + body[1:]])
    good = {s.name: (place.folder / s.name).stat().st_mtime_ns for s in SPECS if s != bad}
    assert begin(place.access, place.base, SPECS, QUERY) == [bad]
    assert read_manifest(place.access, place.base) is None  # a manifest means a complete set
    with pytest.raises(Incomplete, match=r"1 of 3 files do not stand \(part-00001.csv\)"):
        finish(place.access, place.base, SPECS, QUERY)
    write_file(place.access, place.base, bad, QUERY)
    again = finish(place.access, place.base, SPECS, QUERY)
    assert (place.folder / bad.name).read_bytes() == body
    assert {s.name: (place.folder / s.name).stat().st_mtime_ns for s in SPECS if s != bad} == good
    assert again.answer == first.answer


@pytest.mark.parametrize("with_manifest", [True, False])
def test_another_set_in_the_same_prefix_is_refused(place: Place, with_manifest: bool) -> None:
    generate(place)
    if not with_manifest:  # as after an interrupted run
        remove(place.access, f"{place.base}/_manifest.json")
    before = {p: p.read_bytes() for p in place.folder.rglob("*.*")}
    for specs, query in [
        (plan_files(3 / 1024, 3, 2), QUERY),
        (plan_files(3 / 1024, 2, 1), QUERY),
        (plan_files(3.5 / 1024, 3, 1), QUERY),
        (SPECS, Query(above=0)),
    ]:
        with pytest.raises(OtherData, match="remove it, or write to another prefix"):
            begin(place.access, place.base, specs, query)
        with pytest.raises(OtherData):
            write_file(place.access, place.base, specs[0], query)
    assert {p: p.read_bytes() for p in place.folder.rglob("*.*")} == before


def test_another_generator_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(place)
    monkeypatch.setattr(manifest, "generator_hash", lambda: "another")
    with pytest.raises(OtherData):
        begin(place.access, place.base, SPECS, QUERY)


def test_each_specification_has_its_own_place() -> None:
    bases = {base_of("s3://data/", gb, f, s) for gb in (0.4, 0.40001, 50) for f in (8, 32) for s in (1, 2)}
    assert len(bases) == 12
    assert base_of("s3://data/", 0.4, 8, 1) == "s3://data/store_sales/gb0.4-f8-s1"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"schema": 2}, OtherData),
        ({"rows": 1}, Incomplete),
        ({"size_bytes": 1}, Incomplete),
        ({"checksum": "0" * 64}, Incomplete),
        ({"answer": {"rows": 1, "kept": 1, "total": 1, "largest": [1]}}, Incomplete),
    ],
    ids=lambda v: next(iter(v), None) if isinstance(v, dict) else v.__name__,
)
def test_a_manifest_that_contradicts_itself_is_refused(
    tmp_path: Path, change: dict[str, object], error: type[Exception]
) -> None:
    place = Place(Access(), str(tmp_path), tmp_path)
    generate(place)
    path = tmp_path / "_manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(error, match="generate the data again"):
        read_manifest(place.access, place.base)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_midway_leaves_nothing(place: Place, error: type[BaseException]) -> None:
    seen = []

    def body() -> Iterator[bytes]:
        yield b"a" * 11 * MIB  # one part is on its way, or on disk
        seen.append(place.pending())
        raise error("midway")

    with pytest.raises(error, match="midway"):
        put_stream(place.access, f"{place.base}/part-00000.csv", body())
    assert seen == [1]  # else the test would prove nothing
    assert place.pending() == 0
    assert [p for p in place.folder.rglob("*") if p.is_file()] == []
    assert stat(place.access, f"{place.base}/part-00000.csv") is None


def test_a_file_that_fails_is_neither_kept_nor_half_there(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a whole but damaged file stood before."""
    generate(place)
    put_stream(place.access, f"{place.base}/{SPECS[0].name}", [b"damaged"])

    def failing(spec: FileSpec, query: Query) -> Iterator[Block]:
        raise MemoryError(spec.name)
        yield

    monkeypatch.setattr(manifest, "blocks", failing)
    with pytest.raises(MemoryError):
        write_file(place.access, place.base, SPECS[0], QUERY)
    assert stat(place.access, f"{place.base}/{SPECS[0].name}") is None
    assert kept_record(place.access, place.base, SPECS[0], QUERY) is None
    assert place.pending() == 0


def test_a_full_disk_under_a_folder_leaves_nothing(tmp_path: Path) -> None:
    spec = plan_files(8 / 1024, 1, 1)[0]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * MIB, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_file(Access(), str(tmp_path), spec, QUERY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_full_disk_under_the_endpoint_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "ATTEMPTS", 1)
    (tmp_path / "data").mkdir()
    server, access = serve(tmp_path, file_limit=12 * MIB)
    try:
        place = Place(access, "s3://data/set", tmp_path / "data" / "set")
        with pytest.raises(ClientError, match="UploadPart"):
            write_file(access, place.base, plan_files(24 / 1024, 1, 1)[0], QUERY)
        assert place.pending() == 0
        assert stat(access, f"{place.base}/part-00000.csv") is None
        assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    finally:
        stop(server)


def test_an_upload_completed_without_a_reply_is_taken_back(
    endpoint: tuple[Access, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    access, _ = endpoint
    client = s3_writer(access)
    real = client.complete_multipart_upload

    def unanswered(**request: object) -> None:
        real(**request)
        raise ConnectionError("no reply")

    monkeypatch.setattr(client, "complete_multipart_upload", unanswered)
    with pytest.raises(ConnectionError, match="no reply"):
        put_stream(access, "s3://data/unanswered", [b"whole"])
    assert stat(access, "s3://data/unanswered") is None


def test_an_endpoint_that_goes_away_is_told_with_what_may_be_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "ATTEMPTS", 1)  # the retries' waiting is botocore's to test
    (tmp_path / "data").mkdir()
    server, access = serve(tmp_path)

    def body() -> Iterator[bytes]:
        yield b"a" * 9 * MIB
        stop(server)

    with pytest.raises(EndpointConnectionError) as caught:
        put_stream(access, "s3://data/part-00000.csv", body())
    assert ["its upload may be pending still" in note for note in caught.value.__notes__] == [True]
    assert not (tmp_path / "data" / "part-00000.csv").exists()


def test_a_passing_failure_of_the_endpoint_is_retried(endpoint: tuple[Access, Path]) -> None:
    assert s3_writer(endpoint[0]).meta.config.retries["total_max_attempts"] > 1
    client = s3_writer(endpoint[0])
    failed: list[bool] = []

    def once(**_: object) -> AWSResponse | None:
        """Answers the first request in the endpoint's place."""
        if failed:
            return None
        failed.append(True)
        return AWSResponse(endpoint[0].endpoint_url, 503, {}, RawBody(b""))

    client.meta.events.register_first("before-send.s3.UploadPart", once)
    try:
        put_stream(endpoint[0], "s3://data/retried", [b"whole"])
    finally:
        client.meta.events.unregister("before-send.s3.UploadPart", once)
    assert failed
    assert read_bytes(endpoint[0], "s3://data/retried") == b"whole"


def test_a_bucket_that_never_saw_an_upload_has_none_pending(tmp_path: Path) -> None:
    """rclone answers such a bucket's listing with NoSuchUpload."""
    (tmp_path / "data").mkdir()
    server, access = serve(tmp_path)
    try:
        assert abort_pending(access, "s3://data/set") == 0
    finally:
        stop(server)


def test_uploads_of_a_killed_run_are_ended(place: Place) -> None:
    for name in ("part-00000.csv", "_parts/part-00000.json"):
        if place.base.startswith("s3://"):
            key = f"{place.base.removeprefix('s3://data/')}/{name}"
            s3_writer(place.access).create_multipart_upload(Bucket="data", Key=key)
        else:
            path = place.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f"_unfinished-1-{path.name}").touch()
    assert place.pending() == 2
    assert abort_pending(place.access, f"{place.base}-other") == 0  # neighbours may be at work
    assert place.pending() == 2
    assert begin(place.access, place.base, SPECS, QUERY) == SPECS
    assert place.pending() == 0


def test_a_file_of_too_many_parts_is_refused(endpoint: tuple[Access, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "_MAX_PARTS", 2)
    with pytest.raises(ValueError, match="more than 2 parts: make more and smaller files"):
        put_stream(endpoint[0], "s3://data/parts/many", [b"x" * 11 * MIB], 5 * MIB)
    assert stat(endpoint[0], "s3://data/parts/many") is None


def test_memory_does_not_grow_with_the_file(endpoint: tuple[Access, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """96 MiB in twelve parts: what the process holds near the end is what it held near the start."""
    resident: list[int] = []

    def watched(spec: FileSpec, query: Query) -> Iterator[Block]:
        for block in store_sales.blocks(spec, query):
            resident.append(psutil.Process().memory_info().rss)
            yield block

    monkeypatch.setattr(manifest, "blocks", watched)
    write_file(endpoint[0], "s3://data/memory", plan_files(96 / 1024, 1, 1)[0], QUERY)
    assert len(resident) >= 19
    assert max(resident[-5:]) - max(resident[:5]) < 24 * MIB


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(ValueError, match="found 'data/set"):
        write_file(Access(), "data/set", SPECS[0], QUERY)
