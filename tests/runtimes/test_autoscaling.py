"""The engines' own autoscalers on the head, moving an autoscaling group whose instances boot by the real scripts."""

import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.aws.kept_secret import dask_certificate, ray_token
from tests.runtimes.hosts import REGION, Site, kill_with_children, make_site

HEAD = "127.0.0.2"
AUTOSCALE = {
    "BREAKEVEN_WORKERS_GROUP": "test-workers",
    "BREAKEVEN_MIN_NODES": "1",
    "BREAKEVEN_MAX_NODES": "3",
    "BREAKEVEN_IDLE_S": "3",
}


class Instances(threading.Thread):
    """What EC2 does for a group: boots each instance that the group gets, ends those it loses."""

    def __init__(self, site: Site, script: str) -> None:
        super().__init__(daemon=True)
        self.site, self.script = site, script
        keys = {"aws_access_key_id": "t", "aws_secret_access_key": "t", "region_name": REGION}
        self.scaling = boto3.client("autoscaling", endpoint_url=site.endpoint, **keys)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.most = 0
        self.started = 0
        self.stopped = threading.Event()

    def nodes(self) -> int:
        """Instances booted and not ended."""
        return len(self.running)

    def run(self) -> None:
        while not self.stopped.wait(0.5):
            groups = self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=["test-workers"])
            members = {item["InstanceId"] for item in groups["AutoScalingGroups"][0]["Instances"]}
            for instance in members - set(self.running):
                self._boot(instance)
            for instance in set(self.running) - members:
                self._end(self.running.pop(instance))
            self.most = max(self.most, len(self.running))

    def _boot(self, instance: str) -> None:
        from moto.ec2.models import ec2_backends

        self.started += 1
        address = f"127.0.0.{10 + self.started}"
        ec2_backends["123456789012"][REGION].get_instance(instance).nics[0].private_ip_address = address
        environment = {**self.site.host(instance, address), "BREAKEVEN_PORT_SHIFT": str(100 * self.started)}
        self.running[instance] = self.site.boot(self.script, environment)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            kill_with_children(process.pid)
        process.wait(timeout=20)


@pytest.fixture
def site(aws: str, request: pytest.FixtureRequest) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="h") as folder:
        made = make_site(aws, Path(folder), request.param(), HEAD)
        yield made
        made.end()


def _until(instances: Instances, holds: Any, within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"{what} not within {within_s} s: {instances.nodes()} nodes"
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.parametrize("site", [dask_certificate], indirect=True)
def test_dask_grows_with_its_work_shrinks_after_and_loses_nothing(site: Site) -> None:
    from distributed import Client
    from distributed.security import Security

    site.boot("boot-dask-scheduler.sh", {**site.host("i-head", HEAD), **AUTOSCALE})
    instances = Instances(site, "boot-dask-worker.sh")
    instances.start()
    own = site.secrets("i-head")
    _until(instances, (own / "key").exists, 60, "the scheduler's secret")
    security = Security(
        tls_ca_file=str(own / "ca"),
        tls_client_cert=str(own / "cert"),
        tls_client_key=str(own / "key"),
        require_encryption=True,
    )
    try:
        with Client(f"tls://{HEAD}:8786", security=security, timeout=90) as client:
            client.wait_for_workers(1, timeout=120)

            def slow(x: int) -> tuple[int, float]:
                time.sleep(3)
                return x * x, time.time()

            futures = client.map(slow, range(40))
            _until(instances, lambda: instances.most >= 2, 120, "growth")
            before = client.gather(futures)
            assert [square for square, _ in before] == [x * x for x in range(40)]
            _until(instances, lambda: instances.nodes() == 1, 120, "shrinking to the minimum")
            assert client.gather(futures) == before, "a result went with its worker, and was made again"
    finally:
        instances.stopped.set()
        instances.join(30)


@pytest.mark.slow
@pytest.mark.parametrize("site", [ray_token], indirect=True)
def test_ray_grows_with_its_work_and_shrinks_around_a_task_that_still_runs(site: Site) -> None:
    head = site.boot("boot-ray-head.sh", {**site.host("i-head", HEAD), **AUTOSCALE})
    instances = Instances(site, "boot-ray-worker.sh")
    instances.start()
    job = (
        "import ray, time\n"
        f"ray.init('{HEAD}:6379', _node_ip_address='{HEAD}', log_to_driver=False)\n"
        "slow = ray.remote(num_cpus=1, max_retries=0)(lambda x, s: time.sleep(s) or x * x)\n"
        "long = slow.remote(9, 90)\n"
        "print(sum(ray.get([slow.remote(x, 5) for x in range(20)])), ray.get(long))\n"
    )
    try:
        _until(instances, lambda: head.poll() is not None or instances.nodes() >= 1, 150, "the minimum of one node")
        token = site.secrets("i-head") / "token"
        environment = {**site.host("driver", "127.0.0.1"), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        python = shutil.which("python", path=environment["PATH"])
        assert python is not None
        with subprocess.Popen([python, "-c", job], env=environment, stdout=-1, stderr=-1, text=True) as driver:
            _until(instances, lambda: driver.poll() is not None or instances.most >= 2, 150, "growth")
            _until(instances, lambda: driver.poll() is not None or instances.nodes() == 1, 150, "shrinking")
            assert driver.poll() is None, "the long task outlasts the shrinking"
            out, err = driver.communicate(timeout=120)
        assert out.splitlines()[-1:] == ["2470 81"], err[-3000:]
    finally:
        instances.stopped.set()
        instances.join(30)
