"""A cluster on EC2 comes up head first, goes down in reverse, and says what is missing."""

import stat
from pathlib import Path
from typing import Any

import boto3
import pytest

from bench import lifecycle, rows
from bench.aws import vm_cluster
from bench.aws.boot_log import between
from bench.aws.vm_cluster import VmCluster
from bench.engines import Sessions
from bench.rows import Row
from bench.samples import plan
from bench.scaling_rows import Log
from bench.sessions.session import Fleet, SessionError
from bench.zero import zero
from plan.outputs import Outputs
from tasks.objects import Access

HEAD, WORKERS = "bench-32-dask-head", "bench-32-dask-workers"


@pytest.fixture
def asked(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every change of a group, in order, as it goes out to moto."""
    calls: list[tuple[str, int]] = []
    make = vm_cluster._client

    def client(service: str, of: Outputs) -> Any:
        made = make(service, of)
        if service == "autoscaling":
            made.meta.events.register(
                "provide-client-params.auto-scaling.SetDesiredCapacity",
                lambda params, **_: calls.append((params["AutoScalingGroupName"], params["DesiredCapacity"])),
            )
        return made

    monkeypatch.setattr(vm_cluster, "_client", client)
    monkeypatch.setattr(vm_cluster, "_POLL_S", 0.01)
    # moto's instances answer on no port: whether one listens is what `answers` sees, and it has a test of its own.
    monkeypatch.setattr(vm_cluster, "answers", lambda *_: True)
    return calls


def dask(outputs: Outputs, folder: Path) -> VmCluster:
    return VmCluster(outputs, outputs.clusters["dask"], folder)


def test_head_before_workers_and_down_in_reverse(
    outputs: Outputs, asked: list[tuple[str, int]], tmp_path: Path
) -> None:
    cluster = dask(outputs, tmp_path / "s")
    address, secret = cluster.up()
    reservations = boto3.client("ec2").describe_instances(
        Filters=[
            {"Name": "tag:aws:autoscaling:groupName", "Values": [HEAD]},
            {"Name": "instance-state-name", "Values": ["running"]},  # not those of earlier tests
        ]
    )["Reservations"]
    assert address == f"tls://{reservations[0]['Instances'][0]['PrivateIpAddress']}:8786"
    assert secret == str(tmp_path / "s")
    cluster.ready(lambda: Fleet(6, 1.0, None))
    assert set(cluster.spent_s) == {"head", "nodes"}
    cluster.down()
    assert asked == [(HEAD, 1), (WORKERS, 3), (WORKERS, 0), (HEAD, 0)]


def test_a_group_that_its_expiry_closed_says_how_to_open_it(
    outputs: Outputs, asked: list[tuple[str, int]], tmp_path: Path
) -> None:
    """AWS answers with a ValidationError that names no stack."""
    scaling = boto3.client("autoscaling")
    scaling.update_auto_scaling_group(AutoScalingGroupName=HEAD, MinSize=0, MaxSize=0, DesiredCapacity=0)
    try:
        with pytest.raises(SessionError, match=rf"{HEAD}: found a maximum of 0 nodes.*pulumi up --refresh -s bench-32"):
            dask(outputs, tmp_path / "s").up()
    finally:
        scaling.update_auto_scaling_group(AutoScalingGroupName=HEAD, MaxSize=1)
    assert asked == [(WORKERS, 0), (HEAD, 0)]


def test_secrets_are_files_that_only_this_user_reads(outputs: Outputs, tmp_path: Path) -> None:
    folder = vm_cluster.fetch_secret(outputs, "breakeven/dask", tmp_path / "s")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "ca.pem": "a",
        "cert.pem": "b",
        "key.pem": "c",
    }
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert vm_cluster.fetch_secret(outputs, "breakeven/ray", tmp_path / "r").joinpath("token").read_text() == "t0ken"


def test_workers_that_do_not_come_are_counted_and_the_boot_log_named(
    outputs: Outputs, asked: list[tuple[str, int]], tmp_path: Path
) -> None:
    cluster = dask(outputs, tmp_path)
    cluster.up()
    with pytest.raises(SessionError, match=r"5 of 6 workers joined, 3 of 3 instances.*s3://working/boot/bench-32/"):
        cluster.ready(lambda: Fleet(5, 1.0, None), deadline_s=0)


def test_a_silent_head_is_named(
    outputs: Outputs, asked: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vm_cluster, "answers", lambda *_: False)
    with pytest.raises(SessionError, match=r"dask-head: .*:8786 silent 1 s on; see s3://working/boot/"):
        dask(outputs, tmp_path).up(deadline_s=0.6)
    assert asked == [(HEAD, 1), (WORKERS, 0), (HEAD, 0)], "workers that nobody can use were asked for"


def test_workers_are_asked_for_when_the_head_has_answered(
    outputs: Outputs, asked: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[list[tuple[str, int]]] = []
    monkeypatch.setattr(vm_cluster, "answers", lambda *_: before.append(list(asked)) or True)
    dask(outputs, tmp_path).up()
    assert before == [[(HEAD, 1)]]
    assert asked == [(HEAD, 1), (WORKERS, 3)]


def leave(group: str, said: str | None) -> str:
    """As a host whose boot failed: publish, then leave with its place."""
    scaling = boto3.client("autoscaling")
    (found,) = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
    instance = str(found["Instances"][0]["InstanceId"])
    if said:
        boto3.client("s3").put_object(Bucket="working", Key=f"boot/bench-32/{instance}.log", Body=said.encode())
    scaling.terminate_instance_in_auto_scaling_group(InstanceId=instance, ShouldDecrementDesiredCapacity=True)
    return instance


@pytest.mark.parametrize(
    ("said", "told"),
    [("1\n2\n3\n4\ndnf: no route\nthe boot failed\n", "2 | 3 | 4 | dnf: no route"), (None, "get-console-output")],
)
def test_a_head_whose_boot_failed_is_told_at_once_with_what_it_said(
    outputs: Outputs,
    asked: list[tuple[str, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str | None,
    told: str,
) -> None:
    gone: list[str] = []
    monkeypatch.setattr(vm_cluster, "answers", lambda *_: gone.append(leave(HEAD, said)) or False)
    with pytest.raises(SessionError, match="left before its engine answered") as raised:
        dask(outputs, tmp_path).up()
    assert gone[0] in str(raised.value)
    assert told in str(raised.value)
    assert asked == [(HEAD, 1), (WORKERS, 0), (HEAD, 0)]


def test_a_worker_host_whose_boot_failed_is_replaced(
    outputs: Outputs, asked: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = dask(outputs, tmp_path)
    cluster.up()
    monkeypatch.setattr(vm_cluster, "_LOOK_S", 0)
    joined = iter([0, 4, 4, 6])

    def fleet() -> Fleet:
        count = next(joined)
        if count == 0:
            cluster._replace(0)  # a look at all three
            leave(WORKERS, "the boot failed")
        return Fleet(count, 1.0, None)

    cluster.ready(fleet)
    assert asked == [(HEAD, 1), (WORKERS, 3), (WORKERS, 3)]
    assert len(cluster._instances(WORKERS)) == 3


def test_hosts_are_not_replaced_for_ever(
    outputs: Outputs, asked: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = dask(outputs, tmp_path)
    cluster.up()
    monkeypatch.setattr(vm_cluster, "_LOOK_S", 0)
    gone: list[str] = []

    def fleet() -> Fleet:
        cluster._replace(0)
        gone.append(leave(WORKERS, "no space left"))
        return Fleet(4, 1.0, None)

    with pytest.raises(SessionError, match=r"4 of 6 workers joined, 2 of 3 instances are there, 4 left after a failed"):
        cluster.ready(fleet)
    assert len(gone) == 4


def test_a_group_that_cannot_be_asked_does_not_keep_the_other_up(
    outputs: Outputs, asked: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = dask(outputs, tmp_path)
    cluster.up()
    ask = cluster._ask

    def throttled(group: str, nodes: int) -> None:
        if group == WORKERS:
            raise RuntimeError("Throttling")
        ask(group, nodes)

    monkeypatch.setattr(cluster, "_ask", throttled)
    with pytest.raises(RuntimeError, match="Throttling"):
        cluster.down()
    assert asked[-1] == (HEAD, 0)


@pytest.mark.parametrize("error", [SessionError("no"), KeyboardInterrupt()])
def test_a_session_that_does_not_open_leaves_nothing_running(
    outputs: Outputs, asked: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(Sessions, "_connect", refuse)
    monkeypatch.setenv("BREAKEVEN_OUTPUTS", "on the driver host")
    with pytest.raises(type(error)), Sessions(outputs, Access(), {}) as sessions:
        sessions.of("dask")
    assert asked[-2:] == [(WORKERS, 0), (HEAD, 0)]
    assert zero(outputs) == []


def test_the_next_engine_finds_the_others_cluster_at_zero(
    outputs: Outputs, asked: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stub:
        platform = "ec2"

        def close(self) -> None: ...

    def opened(sessions: Sessions, name: str) -> Stub:
        if name == "dask":
            sessions._vms[name] = VmCluster(outputs, outputs.clusters[name], Path("unused"))
        sessions._open[name] = Stub()  # type: ignore[assignment]
        return Stub()

    monkeypatch.setattr(Sessions, "_session", opened)
    with Sessions(outputs, Access(), {}) as sessions:
        sessions.of("dask+lithops")
        assert asked == []
        sessions.of("arrow")
        assert asked == [(WORKERS, 0), (HEAD, 0)]


def test_a_cluster_brought_to_zero_leaves_a_row_with_what_it_was_billed(
    outputs: Outputs, asked: list[tuple[str, int]], tmp_path: Path
) -> None:
    """Both ways: the next engine's turn, and the command's end, after the table was printed."""
    for turn in (True, False):
        with Sessions(outputs, Access(), {}) as sessions:
            log = Log(sessions, tmp_path, "palette")
            lifecycle.ended(sessions, [("ray", "ray"), ("dask+lithops", "dask+lithops"), ("dask", "dask")], log.add)
            sessions._vms["dask"] = VmCluster(outputs, outputs.clusters["dask"], Path("unused"))
            if turn:
                sessions.of("arrow")
        (row,) = [row for row in rows.read(log.path) if isinstance(row, Row)]
        assert (row.metric, row.label, row.platform, row.status) == ("teardown_s", "dask+lithops", "ec2", "ok")
        assert row.value is not None
        assert row.billed.node_s == {"m6i.large": pytest.approx(3 * row.value), "m6i.xlarge": pytest.approx(row.value)}


def test_a_cluster_that_did_not_come_is_not_waited_for_again(
    outputs: Outputs, asked: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every sample of the run would otherwise pay for the same minutes."""
    monkeypatch.setenv("BREAKEVEN_OUTPUTS", "on the driver host")
    monkeypatch.setattr(VmCluster, "up", lambda *_: (_ for _ in ()).throw(SessionError("3 of 6")))
    with Sessions(outputs, Access(), {}) as sessions:
        for _ in range(2):
            with pytest.raises(SessionError, match="3 of 6"):
                sessions.of("dask")
        assert asked == [(WORKERS, 0), (HEAD, 0)]


def test_from_outside_a_cluster_is_refused_before_it_costs_anything(
    outputs: Outputs, asked: list[tuple[str, int]]
) -> None:
    with pytest.raises(SessionError, match="leave out --driver local"), Sessions(outputs, Access(), {}) as sessions:
        sessions.of("ray")
    assert asked == []


def test_samples_of_one_cluster_follow_each_other(outputs: Outputs) -> None:
    """Taking turns would bring a cluster up anew for every sample; on other platforms turns are what is wanted."""
    turns = plan([(name, name) for name in ("ray", "dask", "ray+lithops")], 1, 1)
    with Sessions(outputs, Access(), {}) as sessions:
        ordered = sessions.one_at_a_time(turns)
    with Sessions(outputs.model_copy(update={"clusters": {}}), Access(), {}) as elsewhere:
        assert elsewhere.one_at_a_time(turns) == turns
    assert [sample.engine for sample in ordered] == ["ray", "ray+lithops"] * 4 + ["dask"] * 4


def test_zero_ends_what_a_lost_driver_left_and_says_so(outputs: Outputs, asked: list[tuple[str, int]]) -> None:
    scaling = boto3.client("autoscaling")
    for group, nodes in ((HEAD, 1), (WORKERS, 2)):
        scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=nodes)
    assert zero(outputs) == [WORKERS, HEAD]
    assert zero(outputs) == []


def test_boot_phases_are_what_hosts_published(outputs: Outputs, asked: list[tuple[str, int]], tmp_path: Path) -> None:
    cluster = dask(outputs, tmp_path)
    cluster.up()
    stamps = b'{"phase": "kernel", "at": 10.0}\n{"phase": "docker", "at": 14.5}\n{"phase": "engine", "at": 20.0}\n'
    for instance in cluster._instances(WORKERS)[:2]:
        boto3.client("s3").put_object(Bucket="working", Key=f"boot/bench-32/{instance}.jsonl", Body=stamps)
    assert cluster.boot_phases_s() == {"docker": 4.5, "engine": 5.5}
    assert between([]) == []
