"""One part at a time, mostly Redis: real, and up in a tenth of a second."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import redis

import local
from local import limits, processes, state
from local.ports import PortTaken
from local.state import Identity, Place

REDIS = local.Redis(maxmemory_mib=16)


def identity_of(state_dir: Path, name: str) -> Identity:
    identity = state.read(Place.of(state_dir))[name].identity
    assert identity is not None
    return identity


def amend(state_dir: Path, name: str, **changes: object) -> None:
    place = Place.of(state_dir)
    record = state.read(place)[name]
    assert record.identity
    state.update(place, name, replace(record, identity=replace(record.identity, **changes)))  # type: ignore[arg-type]


def password(facts: local.Facts) -> str:
    return Path(str(facts["secret_at"])).read_text()


def port_of(facts: local.Facts) -> int:
    port = facts["port"]
    assert isinstance(port, int)
    return port


@pytest.mark.parametrize(
    "part",
    [
        local.S3(buckets=("a", "b"), port=9000),
        REDIS,
        local.RayHead(),
        local.RayNode("ray-0", 2, 4096),
        local.DaskScheduler(),
        local.DaskNode("dask-0", 2, 4096),
        local.FunctionPool(),
    ],
)
def test_a_part_is_plain_data(part: local.Part) -> None:
    """A Pulumi engine hands numbers over as floats, and adds keys of its own."""
    data = json.loads(json.dumps(local.to_dict(part)))
    floats = {key: float(value) if isinstance(value, int) else value for key, value in data.items()}
    assert local.part_of(data) == local.part_of(floats | {"__provider": "x"}) == part


def test_up_twice_changes_nothing_and_status_tells(state_dir: Path) -> None:
    first = local.up([REDIS], state_dir)
    lines: list[str] = []
    assert local.up([REDIS], state_dir, lines.append) == first
    assert lines == []
    assert local.status(state_dir)["redis"] == first["redis"] | {"health": "up"}


def test_secrets_are_private_and_not_in_state_facts_or_command_line(state_dir: Path) -> None:
    facts = local.start(REDIS, state_dir)
    secret = password(facts)
    for path in (Path(str(facts["secret_at"])), state_dir / "state.json", state_dir / "run" / "redis.conf"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret not in (state_dir / "state.json").read_text()
    assert secret not in " ".join(processes.tree_of(identity_of(state_dir, "redis"))[0].cmdline())
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=port_of(facts)).ping()
    assert redis.Redis(port=port_of(facts), password=secret).config_get("maxmemory") == {"maxmemory": str(16 * 2**20)}


def test_listens_on_loopback_only(state_dir: Path) -> None:
    local.start(REDIS, state_dir)
    (process,) = processes.tree_of(identity_of(state_dir, "redis"))
    assert {c.laddr[0] for c in process.net_connections() if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


def test_a_killed_part_is_seen_and_repaired_at_the_same_address(state_dir: Path) -> None:
    before = local.start(REDIS, state_dir)
    os.kill(identity_of(state_dir, "redis").pid, signal.SIGKILL)
    psutil.wait_procs(processes.tree_of(identity_of(state_dir, "redis")), timeout=5)
    assert local.check(REDIS, state_dir) == "gone"
    after = local.up([REDIS], state_dir)["redis"]
    assert after["pid"] != before["pid"]
    assert after["address"] == before["address"]
    assert local.check(REDIS, state_dir) == "up"


def test_another_description_is_another_part(state_dir: Path) -> None:
    local.up([REDIS], state_dir)
    larger = replace(REDIS, maxmemory_mib=32)
    assert local.check(larger, state_dir) == "different"
    facts = local.up([larger], state_dir)["redis"]
    assert redis.Redis(port=port_of(facts), password=password(facts)).config_get("maxmemory") == {
        "maxmemory": str(32 * 2**20)
    }


def test_what_left_the_list_is_ended(state_dir: Path) -> None:
    second = replace(REDIS, name="second")
    local.up([REDIS, second], state_dir)
    local.up([REDIS], state_dir)
    assert list(local.status(state_dir)) == ["redis"]
    assert processes.marked(state_dir, "second") == []


@pytest.mark.parametrize("changes", [{"boot_id": "another-boot"}, {"created": 1.0}], ids=["rebooted", "pid reused"])
def test_a_pid_that_is_not_ours_any_more_is_not_touched(state_dir: Path, changes: dict[str, object]) -> None:
    """After a restart of the machine, or when the number was given to another process, the pid names a stranger."""
    local.start(REDIS, state_dir)
    local.stop(REDIS, state_dir)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        place = Place.of(state_dir)
        there = Identity(stranger.pid, psutil.Process(stranger.pid).create_time(), processes.boot_id())
        state.update(place, "redis", state.Record(local.to_dict(REDIS), ready=True, identity=there, facts={}))
        assert local.check(REDIS, state_dir) == "up"  # the record as it stands is believed ...
        amend(state_dir, "redis", **changes)
        assert local.check(REDIS, state_dir) == "gone"  # ... until start time or boot say otherwise
        local.up([REDIS], state_dir)
        amend(state_dir, "redis", pid=stranger.pid, **changes)
        local.down(state_dir)
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_down_finds_processes_without_state_file(state_dir: Path) -> None:
    """A state file that was lost or cut short must not leave processes behind."""
    local.up([REDIS], state_dir)
    (process,) = processes.tree_of(identity_of(state_dir, "redis"))
    (state_dir / "state.json").unlink()
    local.down(state_dir)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_an_unreadable_state_file_says_so(state_dir: Path) -> None:
    local.up([REDIS], state_dir)
    text = (state_dir / "state.json").read_text()
    (state_dir / "state.json").write_text(text[:40])
    with pytest.raises(state.StateError, match=r"state\.json cannot be read.*remove that file"):
        local.status(state_dir)
    (state_dir / "state.json").write_text(text)


def test_orphans_that_left_session_and_parent_are_ended(state_dir: Path) -> None:
    local.up([REDIS], state_dir)
    env = os.environ | {processes.MARK: str(state_dir), processes.PART: "redis"}
    wait = "import signal; signal.pause()"
    run = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {wait!r}], start_new_session=True)"
    subprocess.run([sys.executable, "-c", run], env=env, check=True)
    assert len(processes.marked(state_dir)) == 2
    local.down(state_dir)
    assert processes.marked(state_dir) == []


def test_a_temporary_folder_that_programs_cannot_run_from_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers' interpreter lies in it, and Ray puts its path into a shell's command as it is."""
    odd = tmp_path / "my temp"
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    with pytest.raises(local.StateError, match="set TMPDIR"):
        local.up([REDIS], tmp_path / "state")


def test_a_taken_port_names_holder_and_remedy(state_dir: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(
            PortTaken, match=rf"redis: port {port} on 127.0.0.1 is taken by process {os.getpid()} .*0: any"
        ):
            local.start(replace(REDIS, port=port), state_dir)
    assert local.start(replace(REDIS, port=port), state_dir)["port"] == port


def test_a_part_that_ends_at_once_shows_its_log_and_takes_the_others_with_it(state_dir: Path) -> None:
    broken = replace(REDIS, name="broken", policy="no-such-policy")
    with pytest.raises(local.PartFailed, match=r"(?s)broken ended with code 1 .*broken\.log:.*\| .*no-such-policy"):
        local.up([REDIS, broken], state_dir)
    assert local.status(state_dir) == {}
    assert processes.marked(state_dir) == []


def test_a_part_that_never_answers_is_ended_at_its_deadline(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = local.Redis.launch
    monkeypatch.setattr(
        local.Redis, "launch", lambda *given: replace(launch(*given), ready=lambda: None, deadline_s=0.2)
    )
    with pytest.raises(local.PartFailed, match=r"redis was not ready within 0 s"):
        local.start(REDIS, state_dir)
    assert processes.marked(state_dir) == []


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ([REDIS, REDIS], r"named twice: \['redis'\]"),
        ([local.RayNode("ray-0", 1, 64)], r"ray-0 needs \['ray'\], which the list does not hold"),
    ],
)
def test_a_list_that_cannot_be_is_refused(state_dir: Path, parts: list[local.Part], wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        local.up(parts, state_dir)


def test_a_node_alone_asks_for_its_head(state_dir: Path) -> None:
    with pytest.raises(local.PartFailed, match="ray-0 needs ray, which is not up; start ray first"):
        local.start(local.RayNode("ray-0", 1, 64), state_dir)


def test_only_one_at_a_time(state_dir: Path) -> None:
    place = Place.of(state_dir)
    with (
        state.held(place, "stack"),
        pytest.raises(state.StateError, match=r"another `up` or `down` has held stack for 0 s"),
        state.held(place, "stack", wait_s=0.05),
    ):
        pass


def test_down_keeps_data_unless_told(state_dir: Path) -> None:
    local.up([REDIS], state_dir)
    (state_dir / "data" / "kept").write_text("x")
    temp = Place.of(state_dir).temp
    local.down(state_dir)
    assert sorted(path.name for path in state_dir.iterdir()) == ["data", "locks", "logs"]
    assert not temp.exists()
    local.down(state_dir)
    assert (state_dir / "data" / "kept").exists()
    local.down(state_dir, drop_data=True)
    assert not state_dir.exists()


def test_the_workers_have_our_packages_without_the_project(state_dir: Path) -> None:
    """An editable install on the same machine hides that workers elsewhere don't have the project."""
    local.start(local.FunctionPool(), state_dir)
    python = local.status(state_dir)["functions"]["python"] if os.name == "posix" else ""
    look = "import importlib.util as u; print(*(bool(u.find_spec(n)) for n in {}))"
    names = ["ray", "dask", "lithops", "pyarrow", "bench", "tasks", "local", "plan"]
    said = subprocess.run(
        [python, "-c", look.format(names)], cwd=state_dir, env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert said.stdout.split() == ["True"] * 4 + ["False"] * 4


def test_functions_carry_the_mark_and_down_ends_them(state_dir: Path) -> None:
    """Lithops starts runners from the session's process, so their parent tells nothing."""
    facts = local.start(local.FunctionPool(workers=1, memory_mib=256), state_dir)
    command = [str(facts["python"]), "-c", "import time; print(1, flush=True); time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as runner:
        assert runner.stdout
        assert runner.stdout.readline()
        if facts["memory_enforced_by"] == "cgroup":
            group = limits.cgroup_of(Place.of(state_dir), "functions")
            assert group
            assert str(runner.pid) in (group / "cgroup.procs").read_text().split()
        local.down(state_dir)
        runner.wait(5)
    assert processes.marked(state_dir) == []
    assert limits.left_cgroups(Place.of(state_dir)) == []


def test_a_cgroup_ends_what_exceeds_it(state_dir: Path) -> None:
    facts = local.start(local.FunctionPool(workers=1, memory_mib=64), state_dir)
    if facts["memory_enforced_by"] != "cgroup":
        pytest.skip("this user may not make a cgroup")
    ended = subprocess.run([str(facts["python"]), "-c", "x = b'1' * 2**28"], check=False)
    assert ended.returncode == -signal.SIGKILL


def test_too_little_memory_is_said(state_dir: Path) -> None:
    there_mib = psutil.virtual_memory().total // 2**20
    lines: list[str] = []
    local.up([local.FunctionPool(workers=2, memory_mib=there_mib)], state_dir, lines.append)
    assert lines[0].startswith(f"warning: the workers of one engine may use {2 * there_mib} MiB together")
    assert limits.shortage(there_mib) is None


def test_a_segment_left_by_a_kill_from_outside_is_removed(state_dir: Path) -> None:
    """A semaphore of multiprocessing outlives its owner's SIGKILL; nothing but the state file then knows of it."""
    local.start(REDIS, state_dir)
    place = Place.of(state_dir)
    segment = Path("/dev/shm") / f"sem.breakeven-test-{os.getpid()}"
    segment.write_bytes(b"x")
    state.update(place, "redis", replace(state.read(place)["redis"], shm=[str(segment)]))
    os.kill(identity_of(state_dir, "redis").pid, signal.SIGKILL)
    local.down(state_dir)
    assert not segment.exists()


def test_startup_is_told(state_dir: Path) -> None:
    lines: list[str] = []
    began = time.monotonic()
    facts = local.start(REDIS, state_dir, lines.append)
    assert isinstance(facts["startup_s"], float)
    assert 0 < facts["startup_s"] <= time.monotonic() - began + 0.01
    assert lines == [f"redis ready in {facts['startup_s']} s"]


def test_the_end_of_a_part_is_noted_beside_the_folder_and_outlives_it(state_dir: Path) -> None:
    facts = local.start(REDIS, state_dir)
    local.stop(REDIS, state_dir)
    local.down(state_dir, drop_data=True)
    (entry,) = [json.loads(line) for line in Path(f"{state_dir}.ended.jsonl").read_text().splitlines()]
    assert (entry["part"], entry["began_at"]) == ("redis", facts["began_at"])
    assert 0 <= entry["took_s"] < time.time() - entry["began_at"]
    assert not state_dir.exists()
