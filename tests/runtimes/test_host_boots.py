"""First boots of whole hosts, from the user data that the stacks render, run as root in a view of this machine.

What an instance has and this machine has not is stood in for: `dnf` finds its packages there already, `systemctl` has
nothing to start, `systemd-run` starts a process as the given user, `docker run` runs the command that the image's
container would, and `shutdown` leaves a note. Each may be made to fail. The AWS command line, Redis, the engines and
the scripts are real; AWS's answers are moto's.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.aws.kept_secret import cache_secret, dask_certificate
from infra.aws.user_data import render, script
from tasks.exchange import Exchange, RedisAt, fetch, hand_over
from tasks.redis_values import OutOfRoom
from tests.runtimes import view
from tests.runtimes.hosts import CLUSTER, REGION, Site, make_site
from tests.runtimes.image_python import image_python

HOST = "127.0.0.2"
SYSTEMD_RUN = """#!/bin/bash
user=root
while [[ $1 == --* ]]; do
  [ "$1" = --uid ] && user=$2
  shift 2
done
setpriv --reuid "$user" --regid "$user" --clear-groups "$@" </dev/null &
"""
SHUTDOWN = """#!/bin/sh
touch /var/lib/breakeven/shut-down
"""
# Before a stand-in's own work: fails as often as its file says, or hangs.
FAULT = """#!/bin/bash
left=FOLDER/fault-$(basename "$0")-$1
echo "$1" >>FOLDER/called-$(basename "$0")
if [ -e "$left" ] && [ "$(cat "$left")" != 0 ]; then
  [ "$(cat "$left")" = hangs ] && exec sleep 300
  echo "$(($(cat "$left") - 1))" >"$left"
  echo "$(basename "$0") $1: connection reset by peer" >&2
  exit 1
fi
"""
ALWAYS = "1000000"
# The engine runs with what its container would be given, and where AWS's endpoints are on this machine.
DOCKER = f"""
verb=$1; shift
case "$verb" in
  login) cat >/var/lib/breakeven/registry-password; echo "$@" >/var/lib/breakeven/registry ;;
  pull) [[ ${{@: -1}} == *@sha256:* ]] ;;
  run)
    printf '%s\\n' "$@" >/var/lib/breakeven/run-arguments
    while [[ $1 == --* ]]; do
      case "$1" in
        --env-file) file=$2; shift 2 ;;
        --detach) shift ;;
        *) shift 2 ;;
      esac
    done
    mapfile -t settings <"$file"
    useradd --create-home --uid 1000 worker
    aws=$(env | grep '^AWS_')
    env -i PATH={image_python("cluster").parent}:/usr/bin:/bin HOME=/home/worker $aws "${{settings[@]}}" \\
      setpriv --reuid worker --regid worker --clear-groups {CLUSTER}/"$2" >/var/lib/breakeven/said 2>&1 &
    echo $! >/var/lib/breakeven/engine.pid ;;
  wait) tail --pid="$(cat /var/lib/breakeven/engine.pid)" -f /dev/null ;;
  logs) cat /var/lib/breakeven/said || exit 1 ;;
esac
"""


@dataclass
class Host:
    """One host's first boot, and a folder that it shares with this machine: its /var/lib/breakeven."""

    site: Site
    folder: Path
    views: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def boot(
        self, name: str, settings: Mapping[str, str], instance: str, found: Mapping[str, str], **faults: str
    ) -> None:
        """Begin what the instance would run. `found`: further programs by name, with their text or what they link to.
        `faults`: by a stand-in and its verb (`docker_pull`), how often it fails, or `hangs`."""
        tools = self.folder / "bin"
        tools.mkdir()
        fault = FAULT.replace("FOLDER", str(self.folder))
        for what, times in faults.items():
            (self.folder / f"fault-{what.replace('_', '-')}").write_text(times)
        stood_in = {"dnf": fault, "systemctl": fault, "docker": fault + DOCKER}
        stood_in |= {"systemd-run": SYSTEMD_RUN, "shutdown": SHUTDOWN}
        for tool, text in {**stood_in, **found}.items():
            if text.startswith("/"):
                (tools / tool).symlink_to(text)
            else:
                (tools / tool).write_text(text)
                (tools / tool).chmod(0o755)
        text = render(script(name), settings)
        state = self.folder / "var"
        state.mkdir()
        prepare = f"mkdir /var/lib/breakeven; mount --bind {state} /var/lib/breakeven"
        # The namespace lives as long as its first process, as a host does after its first boot.
        lines = [prepare, f"bash -c {_quoted(text)} || true", "sleep 600 & wait $!"]
        aws = {key: value for key, value in self.site.host(instance, HOST).items() if key.startswith("AWS_")}
        with (self.folder / "boot.log").open("wb") as log:
            environment = {**os.environ, **aws, "PATH": f"{tools}:{os.environ['PATH']}:/usr/sbin:/sbin"}
            command = view.command(self.folder / "view", "\n".join(lines), shared=[self.folder])
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        self.views.append(process)

    @property
    def state(self) -> Path:
        """Its /var/lib/breakeven."""
        return self.folder / "var"

    def booted(self, within_s: float = 60) -> None:
        """Wait until the boot has ended well."""
        self.until((self.state / "booted").exists, within_s, "the boot's end")

    def attempts(self, tool: str, verb: str) -> int:
        """How often a stand-in was called with a verb."""
        called = self.folder / f"called-{tool}"
        return called.read_text().split().count(verb) if called.exists() else 0

    def until(self, holds: Callable[[], bool], within_s: float, what: str) -> None:
        """Wait until it holds; fails at the deadline with what the boot said."""
        deadline = time.monotonic() + within_s
        while not holds():
            said = _read(self.folder / "boot.log").decode()[-3000:]
            assert time.monotonic() < deadline, f"{what} not within {within_s:.0f} s\n{said}"
            assert self.views[-1].poll() is None, f"the host ended before {what}\n{said}"
            time.sleep(0.1)

    def end(self) -> None:
        """The hosts' namespaces, with all that runs in them."""
        for process in self.views:
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=20)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"


@pytest.fixture
def host(aws: str, request: pytest.FixtureRequest) -> Iterator[Host]:
    if (reason := view.missing()) is not None:
        pytest.skip(reason)
    if shutil.which("aws") is None:
        pytest.skip("no `aws` on PATH: the boot scripts call the AWS command line")
    with tempfile.TemporaryDirectory(prefix="h") as folder:
        site = make_site(aws, Path(folder), request.param(), HOST)
        made = Host(site, Path(folder, "host"))
        made.folder.mkdir()
        made.folder.chmod(0o755)
        Path(folder).chmod(0o755)
        yield made
        made.end()
        site.end()


def _redis() -> str:
    """A Redis server that speaks TLS, as the distribution's does and the embedded one does not."""
    for folder in os.environ["PATH"].split(os.pathsep):
        for name in (
            "redis6-server",
            "redis-server",
            "redis-check-rdb",
        ):  # the last is the same program by another name
            if (found := Path(folder, name)).is_file():
                # It names the first directive that it does not know.
                ask = ["redis-server", "--tls-port", "0", "--no-such-directive", "x"]
                said = subprocess.run(ask, executable=found, capture_output=True, text=True, check=False, timeout=20)
                if "no-such-directive" in said.stdout + said.stderr:
                    return str(found)
    pytest.skip("no Redis server with TLS on PATH; Debian's package redis-tools carries one")


@pytest.mark.parametrize("host", [cache_secret], indirect=True)
def test_the_cache_host_is_redis_with_password_tls_and_a_bound(host: Host) -> None:
    import redis

    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    settings = {
        **_place(host),
        "BREAKEVEN_SECRET": host.site.secret,
        "BREAKEVEN_PORT": str(port),
        "BREAKEVEN_MAX_MEMORY_MIB": "24",
    }
    host.boot("cache/boot-cache.sh", settings, "i-cache", {"redis6-server": _redis()}, dnf_install="1")
    host.booted()
    keys = {"endpoint_url": host.site.endpoint, "aws_access_key_id": "t", "aws_secret_access_key": "t"}
    kept = boto3.client("secretsmanager", region_name=REGION, **keys).get_secret_value(SecretId=host.site.secret)
    secret = json.loads(kept["SecretString"])

    def client(**changes: object) -> redis.Redis:
        right = {"password": secret["password"], "ssl": True, "ssl_ca_data": secret["ca"], "ssl_check_hostname": False}
        return redis.Redis(host=HOST, port=port, socket_timeout=5, **{**right, **changes})  # type: ignore[arg-type]

    def answers() -> bool:
        try:
            return bool(client().ping())
        except redis.ConnectionError:
            return False

    host.until(answers, 20, "Redis's answer")
    assert client().config_get("maxmemory") == {"maxmemory": str(24 * 2**20)}
    assert client().config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    with pytest.raises(redis.AuthenticationError):
        client(password="wrong").ping()
    with pytest.raises(redis.AuthenticationError):
        client(password=None).ping()
    with pytest.raises(redis.ConnectionError):
        client(ssl=False, ssl_ca_data=None).ping()
    with pytest.raises(redis.ConnectionError):
        client(ssl_ca_data=json.loads(cache_secret())["ca"]).ping()

    # A function hands over and a worker fetches as they do in a run, until there is no room: then it is an error.
    exchange = Exchange("redis", (), "s3://working/x", RedisAt(HOST, port, secret["password"], secret["ca"]))
    assert fetch(hand_over(list(range(1000)), exchange), exchange) == list(range(1000))
    with pytest.raises(OutOfRoom):
        [hand_over(os.urandom(2**20), exchange) for _ in range(40)]
    assert client().config_get("maxmemory-policy"), "it lives on"
    # The view's own files are seen through the process that holds it open.
    kept_at = Path("/proc", str(_child(host.views[-1].pid)), "root/var/lib/breakeven-cache")
    files = {path.name: path.stat() for path in kept_at.iterdir()}
    assert {name for name, found in files.items() if found.st_mode & 0o077} == set()
    assert files["key"].st_uid != 0, "Redis is not root"
    assert "password" not in files


def _cluster_settings(host: Host) -> dict[str, str]:
    return {
        **_place(host),
        "BREAKEVEN_BOOT": "boot-dask-scheduler.sh",
        "BREAKEVEN_IMAGE": f"123456789012.dkr.ecr.{REGION}.amazonaws.com/cluster@sha256:{'0' * 64}",
        "BREAKEVEN_SECRET": host.site.secret,
        "BREAKEVEN_GROUP": "test-head",
        "BREAKEVEN_HEAD_GROUP": "test-head",
        "BREAKEVEN_SLOTS": "2",
        "BREAKEVEN_VCPU_PER_SLOT": "1",
        "BREAKEVEN_LIMIT_MIB": "512",
        "BREAKEVEN_NODE_MEMORY_MIB": "1408",
        "BREAKEVEN_SECRETS_DIR": "/home/worker/secrets",
    }


def _place(host: Host) -> dict[str, str]:
    return {
        "BREAKEVEN_STACK": "test",
        "BREAKEVEN_REGION": REGION,
        "BREAKEVEN_WORKING_BUCKET": host.site.bucket,
        "BREAKEVEN_FIRST_WAIT_MS": "20",
    }


def _aws(host: Host, service: str) -> Any:
    make: Any = boto3.client
    keys = {"endpoint_url": host.site.endpoint, "aws_access_key_id": "t", "aws_secret_access_key": "t"}
    return make(service, region_name=REGION, **keys)


def _head(host: Host) -> tuple[int, list[str]]:
    """The desired capacity and the instances of the head's group."""
    found = _aws(host, "autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=["test-head"])
    (group,) = found["AutoScalingGroups"]
    return group["DesiredCapacity"], [item["InstanceId"] for item in group["Instances"]]


def _published(host: Host, name: str) -> str:
    body = _aws(host, "s3").get_object(Bucket=host.site.bucket, Key=f"boot/test/{name}")["Body"].read()
    return str(body.decode())


@pytest.mark.parametrize("host", [dask_certificate], indirect=True)
def test_a_cluster_host_boots_its_engine_and_leaves_its_group_when_that_ends(host: Host) -> None:
    capacity, (instance,) = _head(host)
    assert capacity == 1
    settings = _cluster_settings(host)
    host.boot("cluster/boot-host.sh", settings, instance, {})
    host.booted()
    assert (host.state / "registry").read_text().split()[-1] == settings["BREAKEVEN_IMAGE"].split("/")[0]
    assert (host.state / "registry-password").read_text().strip()

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, 8786)) == 0

    host.until(listens, 60, "the scheduler's answer")
    stamps = [json.loads(line)["phase"] for line in _published(host, f"{instance}.jsonl").splitlines()]
    assert stamps == ["kernel", "user-data", "docker", "image", "script", "secret", "engine"]

    given = (host.state / "run-arguments").read_text().split()
    assert [given[at + 1] for at, word in enumerate(given) if word.startswith("--memory")] == ["1408m", "1408m"]
    mounted = [given[at + 1] for at, word in enumerate(given) if word == "--volume"]
    assert mounted == ["/var/lib/breakeven/boot.jsonl:/var/lib/breakeven/boot.jsonl:ro"]
    ours = [host.state, *host.state.iterdir()]
    assert [path.name for path in ours if path.stat().st_uid != 0 or path.stat().st_mode & 0o022] == []

    # As the host's kernel would after a crash; its pid is another outside the view.
    ended = [line for line in Path("/proc").glob("[0-9]*/cmdline") if b"dask\0scheduler" in _read(line)]
    for line in ended:
        os.kill(int(line.parent.name), signal.SIGKILL)
    assert ended
    host.until(lambda: _head(host) == (0, []), 30, "leaving the group")
    assert "Scheduler" in _published(host, f"{instance}.log")
    assert not (host.state / "shut-down").exists()


@pytest.mark.parametrize("host", [dask_certificate], indirect=True)
@pytest.mark.parametrize("times", ["1", "2"])
def test_a_step_that_fails_once_or_twice_is_tried_again(host: Host, times: str) -> None:
    """A mirror, a registry, a role that is not known everywhere yet."""
    _, (instance,) = _head(host)
    faults = dict.fromkeys(("dnf_install", "systemctl_enable", "docker_login", "docker_pull"), times)
    host.boot("cluster/boot-host.sh", _cluster_settings(host), instance, {}, **faults)
    host.booted()
    tried = {(tool, verb): host.attempts(tool, verb) for tool, verb in (what.split("_") for what in faults)}
    assert set(tried.values()) == {int(times) + 1}
    assert _head(host) == (1, [instance])


@pytest.mark.parametrize("host", [dask_certificate], indirect=True)
@pytest.mark.parametrize(
    ("fault", "times", "said"),
    [
        ("dnf_install", ALWAYS, "attempt 6 of 6 failed: timeout 180 dnf install"),
        ("docker_pull", ALWAYS, "attempt 6 of 6 failed: timeout 300 docker pull"),
        ("docker_run", "1", "docker run: connection reset by peer"),
        ("dnf_install", "hangs", "the boot has not ended within 3 s"),
    ],
)
def test_a_host_whose_boot_fails_publishes_its_log_and_leaves_its_group(
    host: Host, fault: str, times: str, said: str
) -> None:
    _, (instance,) = _head(host)
    settings = _cluster_settings(host) | ({"BREAKEVEN_BOOT_DEADLINE_S": "3"} if times == "hangs" else {})
    host.boot("cluster/boot-host.sh", settings, instance, {}, **{fault: times})
    host.until(lambda: _head(host) == (0, []), 40, "leaving the group")
    assert said in _published(host, f"{instance}.log")


@pytest.mark.parametrize("host", [dask_certificate], indirect=True)
@pytest.mark.parametrize("script", ["cluster/boot-host.sh", "cache/boot-cache.sh"])
def test_a_single_host_whose_boot_fails_publishes_its_log_and_ends(host: Host, script: str) -> None:
    settings = {name: value for name, value in _cluster_settings(host).items() if name != "BREAKEVEN_GROUP"}
    settings |= {"BREAKEVEN_BOOT": "none", "BREAKEVEN_PORT": "1", "BREAKEVEN_MAX_MEMORY_MIB": "24"}
    host.boot(script, settings, "i-single", {}, dnf_install=ALWAYS)
    host.until((host.state / "shut-down").exists, 40, "shutting down")
    assert "attempt 6 of 6 failed: timeout 180 dnf install" in _published(host, "i-single.log")
    assert _head(host)[0] == 1, "another's group is left alone"


def _child(pid: int) -> int:
    """The first process inside a view, whose root is the view's."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile, or has not begun
        return b""
