"""The whole stack, once, with every engine: up, asked, hurt, repaired, scaled, down."""

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest

import local
from local import limits, processes
from local.parts.ray_cluster import ENVIRONMENT
from local.state import Place

PARTS: list[local.Part] = [
    local.S3(buckets=("data",)),
    local.Redis(maxmemory_mib=16),
    local.RayHead(object_store_mib=80),
    local.RayNode("ray-0", slots=1, memory_mib=512, object_store_mib=80),
    local.DaskScheduler(),
    local.DaskNode("dask-0", slots=1, memory_mib=512),
    local.FunctionPool(workers=1, memory_mib=512),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("stack") / "state"
    local.up(PARTS, folder)
    yield folder
    local.down(folder, drop_data=True)


def in_a_worker(stack: Path, code: str) -> str:
    """What a session prints, in the workers' interpreter, with what the facts say that it needs."""
    env = os.environ | ENVIRONMENT | {"RAY_AUTH_TOKEN_PATH": local.status(stack)["ray"]["secret_at"]}
    done = subprocess.run([str(Place.of(stack).worker_python), "-c", code], env=env, check=False, capture_output=True,
                          text=True, cwd=stack, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_port_of_every_process_is_on_loopback(stack: Path) -> None:
    """Ray binds all interfaces unless it is told that the machine is 127.0.0.1."""
    seen = 0
    for process in processes.marked(stack):
        for connection in process.net_connections():
            if connection.status == psutil.CONN_LISTEN:
                seen += 1
                assert connection.laddr[0] in ("127.0.0.1", "::1", "::ffff:127.0.0.1"), (process.cmdline(), connection)
    assert seen > 8


def test_the_engines_answer_and_their_workers_lack_the_project(stack: Path) -> None:
    """The session's own checks: token accepted, resources as declared, memory as declared, project not importable."""
    facts = local.status(stack)
    told = in_a_worker(
        stack,
        f"""
import importlib.util, ray
ray.init(address={facts["ray"]["address"]!r}, log_to_driver=False)
@ray.remote
def look():
    return importlib.util.find_spec("bench") is None
print(ray.get(look.remote()), ray.cluster_resources()["CPU"], int(ray.cluster_resources()["memory"]) >> 20 >= 512)
from distributed import Client
from distributed.security import Security
at = {facts["dask"]["secret_at"]!r}
tls = Security(tls_ca_file=at + "/ca.pem", tls_client_cert=at + "/cert.pem", tls_client_key=at + "/key.pem")
with Client({facts["dask"]["address"]!r}, security=tls) as client:
    print(client.submit(lambda: importlib.util.find_spec("bench") is None).result(),
          [(w["nthreads"], w["memory_limit"] >> 20) for w in client.scheduler_info()["workers"].values()])
""",
    )
    assert told.split("\n")[:2] == ["True 1.0 True", "True [(1, 512)]"]


def test_ray_refuses_a_wrong_token(stack: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("0" * 64)
    code = f"""
import os
os.environ["RAY_AUTH_TOKEN_PATH"] = {str(wrong)!r}
from ray._raylet import GcsClient
GcsClient(address={local.status(stack)["ray"]["address"]!r}).get_all_node_info(timeout=5)
"""
    with pytest.raises(AssertionError, match=r"(?i)auth.*token"):
        in_a_worker(stack, code)


def test_dask_refuses_whoever_lacks_the_certificate(stack: Path) -> None:
    """Any user of the machine reaches loopback, and a scheduler runs whatever code its clients send."""
    address = str(local.status(stack)["dask"]["address"])
    assert address.startswith("tls://")
    code = f"""
from distributed import Client
from distributed.security import Security
for address, security in (("tcp" + {address!r}[3:], None), ({address!r}, Security.temporary())):
    try:
        Client(address, security=security, timeout=3)
    except OSError as error:
        print("refused")
"""
    assert in_a_worker(stack, code).split() == ["refused", "refused"]


def test_other_users_cannot_look_into_the_state_folder(stack: Path) -> None:
    place = Place.of(stack)
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (place.root, place.temp)] == [0o700, 0o700]
    keys = list((place.root / "secrets").rglob("*.pem"))
    assert len(keys) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}


def test_memory_limits_are_what_the_facts_say(stack: Path) -> None:
    facts = local.status(stack)
    assert facts["dask-0"]["memory_enforced_by"] == "nanny"
    if facts["ray-0"]["memory_enforced_by"] == "cgroup":
        group = limits.cgroup_of(Place.of(stack), "ray-0")
        assert group
        members = {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
        assert {process.pid for process in processes.marked(stack, "ray-0")} <= members


def test_nodes_are_added_and_removed(stack: Path) -> None:
    added = local.add_nodes(local.DaskNode("dask-0", 1, 512), 2, stack)
    assert list(added) == ["dask-1", "dask-2"]
    assert local.remove_nodes("dask", 2, stack) == ["dask-1", "dask-2"]
    assert [node.name for node in local.nodes_of("dask", stack)] == ["dask-0"]


def test_a_head_that_was_killed_is_repaired_with_its_nodes(stack: Path) -> None:
    before = local.status(stack)
    scheduler = psutil.Process(before["dask"]["pid"])
    scheduler.kill()
    scheduler.wait(5)
    assert local.check("dask", stack) == "gone"
    after = local.up(PARTS, stack)
    assert {name for name in after if after[name].get("pid") != before[name].get("pid")} == {"dask", "dask-0"}
    assert {health["health"] for health in local.status(stack).values()} == {"up"}


def _sessions() -> Iterator[int]:
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError):  # of others, which end when they like
            yield os.getsid(pid)


def test_down_leaves_nothing(stack: Path) -> None:
    place = Place.of(stack)
    there = processes.marked(stack)
    ports = {c.laddr for process in there for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
    shm = processes.shared_memory(there)
    sessions = {os.getsid(process.pid) for process in there}
    assert len(there) > 10
    local.down(stack)
    assert processes.marked(stack) == []
    assert not set(_sessions()) & sessions
    listening = {c.laddr for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert not ports & listening
    assert [name for name in shm if os.path.exists(name)] == []
    assert not place.temp.exists()
    assert limits.left_cgroups(place) == []
    assert sorted(path.name for path in stack.iterdir()) == ["data", "locks", "logs"]


UP = """
import sys, local
parts = [local.Redis(), local.RayHead(object_store_mib=80), local.DaskScheduler(), local.DaskNode("dask-0", 1, 512)]
local.up(parts, sys.argv[1], lambda line: print(line, flush=True))
"""


@pytest.mark.parametrize(("after", "number"), [(0, signal.SIGINT), (1, signal.SIGTERM), (2, signal.SIGINT)])
def test_an_interrupted_up_leaves_nothing(state_dir: Path, after: int, number: int) -> None:
    """After no part is ready (processes begun), after the first, and while a node joins its scheduler."""
    command = [sys.executable, "-c", UP, str(state_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout
        if after == 0:
            until_marked(state_dir)
        read_ready(running.stdout, after)
        running.send_signal(number)
        _, errors = running.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert running.returncode != 0
    assert processes.marked(state_dir) == []
    assert local.status(state_dir) == {}
    assert not Place.of(state_dir).temp.exists()


def read_ready(lines: IO[str], count: int) -> None:
    for _ in range(count):
        assert re.match(r"\S+ ready in", lines.readline())


def until_marked(state_dir: Path) -> None:
    until = time.monotonic() + 20
    while not processes.marked(state_dir):
        assert time.monotonic() < until, "no process was started"
