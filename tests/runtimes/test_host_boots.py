"""First boots of whole hosts, from the user data that the stacks render, run as root in a view of this machine.

What an instance has and this machine has not is stood in for: `dnf` finds its packages there already, `systemctl` has
nothing to start, `systemd-run` starts a process as the given user, and `docker run` runs the command that the image's
container would. The AWS command line, Redis, the engines and the scripts are real; AWS's answers are moto's.
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

import boto3
import pytest

from infra.aws.kept_secret import cache_secret, dask_certificate
from infra.aws.user_data import render
from tasks.exchange import Exchange, RedisAt, fetch, hand_over
from tasks.redis_values import OutOfRoom
from tests.runtimes import view
from tests.runtimes.hosts import CLUSTER, REGION, ROOT, Site, make_site
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
# The engine runs with what its container would be given, and where AWS's endpoints are on this machine.
DOCKER = f"""#!/bin/bash
verb=$1; shift
case "$verb" in
  login) cat >/var/lib/breakeven/registry-password; echo "$@" >/var/lib/breakeven/registry ;;
  pull) [[ ${{@: -1}} == *@sha256:* ]] ;;
  run)
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
  logs) cat /var/lib/breakeven/said ;;
esac
"""


@dataclass
class Host:
    """One host's first boot, and a folder that it shares with this machine: its /var/lib/breakeven."""

    site: Site
    folder: Path
    views: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def boot(self, script: str, settings: Mapping[str, str], name: str, found: Mapping[str, str]) -> None:
        """Run what the instance would; `found` are further programs by name, with their text or what they link to."""
        tools = self.folder / "bin"
        tools.mkdir()
        stood_in = {"dnf": "#!/bin/sh\n", "systemctl": "#!/bin/sh\n", "systemd-run": SYSTEMD_RUN, "docker": DOCKER}
        for tool, text in {**stood_in, **found}.items():
            if text.startswith("/"):
                (tools / tool).symlink_to(text)
            else:
                (tools / tool).write_text(text)
                (tools / tool).chmod(0o755)
        text = render((ROOT / "runtimes" / script).read_text(), settings)
        state = self.folder / "var"
        state.mkdir()
        prepare = f"mkdir /var/lib/breakeven; mount --bind {state} /var/lib/breakeven"
        # The namespace lives as long as its first process, as a host does after its first boot.
        lines = [prepare, f"bash -c {_quoted(text)} && touch {self.folder}/booted", "sleep 600 & wait $!"]
        aws = {key: value for key, value in self.site.host(name, HOST).items() if key.startswith("AWS_")}
        with (self.folder / "boot.log").open("wb") as log:
            environment = {**os.environ, **aws, "PATH": f"{tools}:{os.environ['PATH']}:/usr/sbin:/sbin"}
            command = view.command(self.folder / "view", "\n".join(lines), shared=[self.folder])
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        self.views.append(process)
        self.until((self.folder / "booted").exists, 60, "the boot's end")

    def until(self, holds: Callable[[], bool], within_s: float, what: str) -> None:
        """Wait until it holds; fails at the deadline with what the boot said."""
        deadline = time.monotonic() + within_s
        while not holds():
            said = (self.folder / "boot.log").read_text()[-3000:]
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
        "BREAKEVEN_REGION": REGION,
        "BREAKEVEN_SECRET": host.site.secret,
        "BREAKEVEN_PORT": str(port),
        "BREAKEVEN_MAX_MEMORY_MIB": "24",
    }
    host.boot("cache/boot-cache.sh", settings, "i-cache", {"redis6-server": _redis()})
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
    files = {path.name: path.stat() for path in (host.folder / "var").iterdir()}
    assert {name for name, found in files.items() if found.st_mode & 0o077} == set()
    assert files["key"].st_uid != 0, "Redis is not root"
    assert "password" not in files


@pytest.mark.parametrize("host", [dask_certificate], indirect=True)
def test_a_cluster_host_boots_its_engine_and_leaves_its_group_when_that_ends(host: Host) -> None:
    keys = {"endpoint_url": host.site.endpoint, "aws_access_key_id": "t", "aws_secret_access_key": "t"}
    scaling = boto3.client("autoscaling", region_name=REGION, **keys)
    s3 = boto3.client("s3", region_name=REGION, **keys)

    def head() -> tuple[int, list[str]]:
        (group,) = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=["test-head"])["AutoScalingGroups"]
        return group["DesiredCapacity"], [item["InstanceId"] for item in group["Instances"]]

    capacity, (instance,) = head()
    assert capacity == 1
    settings = {
        "BREAKEVEN_BOOT": "boot-dask-scheduler.sh",
        "BREAKEVEN_STACK": "test",
        "BREAKEVEN_REGION": REGION,
        "BREAKEVEN_IMAGE": f"123456789012.dkr.ecr.{REGION}.amazonaws.com/cluster@sha256:{'0' * 64}",
        "BREAKEVEN_SECRET": host.site.secret,
        "BREAKEVEN_HEAD_GROUP": "test-head",
        "BREAKEVEN_WORKING_BUCKET": host.site.bucket,
        "BREAKEVEN_SLOTS": "1",
        "BREAKEVEN_VCPU_PER_SLOT": "1",
        "BREAKEVEN_LIMIT_MIB": "512",
        "BREAKEVEN_SECRETS_DIR": "/home/worker/secrets",
    }
    host.boot("cluster/boot-host.sh", settings, instance, {})
    state = host.folder / "var"
    assert (state / "registry").read_text().split()[-1] == settings["BREAKEVEN_IMAGE"].split("/")[0]
    assert (state / "registry-password").read_text().strip()

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, 8786)) == 0

    host.until(listens, 60, "the scheduler's answer")
    stamps = [json.loads(line)["phase"] for line in (state / "boot.jsonl").read_text().splitlines()]
    assert stamps[:4] == ["kernel", "user-data", "docker", "image"]
    assert set(stamps[4:]) == {"container", "script", "secret", "engine"}

    # As the host's kernel would after a crash; its pid is another outside the view.
    ended = [line for line in Path("/proc").glob("[0-9]*/cmdline") if b"dask\0scheduler" in _read(line)]
    for line in ended:
        os.kill(int(line.parent.name), signal.SIGKILL)
    assert ended
    host.until(lambda: head() == (0, []), 30, "leaving the group")
    log = s3.get_object(Bucket=host.site.bucket, Key=f"boot/test/{instance}.log")["Body"].read().decode()
    assert "Scheduler" in log


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile
        return b""
