"""What the boot scripts meet on an instance, on loopback: instance metadata, EC2, Secrets Manager, S3."""

import http.server
import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil
from filelock import FileLock

from tests.runtimes.image_python import image_python

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "runtimes/cluster"
REGION = "us-east-1"


class Metadata(http.server.BaseHTTPRequestHandler):
    """Instance metadata, version 2 only: a request without the token gets 401, as on an instance that requires it."""

    def do_PUT(self) -> None:
        self._answer(200, "token")

    def do_GET(self) -> None:
        known = self.headers.get("X-aws-ec2-metadata-token") == "token"
        name = self.path.removeprefix("/latest/meta-data/")
        self._answer(200 if known else 401, self.facts()[name] if known else "")

    def facts(self) -> Mapping[str, str]:
        """What is known of the host."""
        known: Mapping[str, str] = self.server.facts  # type: ignore[attr-defined]
        return known

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@dataclass
class Site:
    """A head's group with one running instance at `head`, a secret, a bucket; `boot` runs a script as a host would."""

    endpoint: str
    folder: Path
    secret: str
    head: str
    bucket: str = "working"
    # Its addresses, 127.0.0.2 and up, are the machine's, and its ports those of AWS: one site at a time.
    alone: FileLock = field(default_factory=lambda: FileLock(Path(tempfile.gettempdir(), "breakeven-test-site.lock")))
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    servers: list[http.server.ThreadingHTTPServer] = field(default_factory=list)

    def host(self, name: str, address: str) -> dict[str, str]:
        """The environment of one host with its own metadata service."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
        server.facts = {"local-ipv4": address, "instance-id": name}  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.servers.append(server)
        own = self.folder / name
        own.mkdir()
        return {
            "PATH": f"{image_python('cluster').parent}:{os.environ['PATH']}",
            "HOME": str(own),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "BREAKEVEN_STACK": "test",
            "BREAKEVEN_SECRET": self.secret,
            "BREAKEVEN_HEAD_GROUP": "test-head",
            "BREAKEVEN_WORKING_BUCKET": self.bucket,
            "BREAKEVEN_SLOTS": "1",
            "BREAKEVEN_VCPU_PER_SLOT": "1",
            "BREAKEVEN_LIMIT_MIB": "512",
            "BREAKEVEN_BOOT_LOG": str(own / "boot.jsonl"),
            "BREAKEVEN_SECRETS_DIR": str(own / "secrets"),
            "RAY_TMPDIR": str(own),
        }

    def boot(self, script: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start a boot script in a process group of its own, its output in boot.log of the host's folder."""
        with Path(environment["HOME"], "boot.log").open("wb") as log:
            process = subprocess.Popen(
                [str(CLUSTER / script)],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=environment["HOME"],
            )
        self.processes.append(process)
        return process

    def secrets(self, name: str) -> Path:
        """Where the host of that name has put its secrets."""
        return self.folder / name / "secrets"

    def phases(self, name: str) -> list[str]:
        """The phases of that host's published boot log, in order."""
        s3 = boto3.client("s3", REGION, endpoint_url=self.endpoint, aws_access_key_id="t", aws_secret_access_key="t")
        body = s3.get_object(Bucket=self.bucket, Key=f"boot/test/{name}.jsonl")["Body"].read()
        stamps = [json.loads(line) for line in body.splitlines()]
        assert [s["at"] for s in stamps] == sorted(s["at"] for s in stamps)
        return [stamp["phase"] for stamp in stamps]

    def end(self) -> None:
        """End everything that was started here, and the servers."""
        for process in self.processes:
            if process.poll() is None:
                kill_with_children(process.pid)
            process.wait(timeout=20)
        for server in self.servers:
            server.shutdown()
        self.alone.release()


def kill_with_children(pid: int) -> None:
    """As a host that is lost: no process of it ends in order. One may go by itself when another is gone."""
    family = psutil.Process(pid)
    for member in [*family.children(recursive=True), family]:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def declare(
    endpoint: str, groups: Mapping[str, tuple[int, int]], secrets: Mapping[str, str], buckets: Sequence[str]
) -> None:
    """Put these behind the endpoint, where all earlier ones are dropped. `groups`: name to (instances, at most)."""
    import requests

    requests.post(f"{endpoint}/moto-api/reset", timeout=5).raise_for_status()
    keys = {"endpoint_url": endpoint, "aws_access_key_id": "t", "aws_secret_access_key": "t", "region_name": REGION}
    for bucket in buckets:
        boto3.client("s3", **keys).create_bucket(Bucket=bucket)
    for name, secret in secrets.items():
        boto3.client("secretsmanager", **keys).create_secret(Name=name, SecretString=secret)
    scaling = boto3.client("autoscaling", **keys)
    image = boto3.client("ec2", **keys).describe_images()["Images"][0]["ImageId"]
    scaling.create_launch_configuration(LaunchConfigurationName="l", ImageId=image, InstanceType="t3.micro")
    for group, (nodes, most) in groups.items():
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=group,
            LaunchConfigurationName="l",
            MinSize=0,
            MaxSize=most,
            DesiredCapacity=nodes,
            AvailabilityZones=["us-east-1a"],
        )


def make_site(endpoint: str, folder: Path, secret: str, head: str) -> Site:
    """Put a head's group, a secret and a bucket behind the endpoint, where all earlier ones are dropped."""
    from moto.ec2.models import ec2_backends

    declare(endpoint, {"test-head": (1, 1), "test-workers": (0, 3)}, {"breakeven/test": secret}, ["working"])
    # The address that the head's script will listen on: moto gives addresses of a network that is not there.
    for reservation in ec2_backends["123456789012"][REGION].reservations.values():
        for instance in reservation.instances:
            instance.nics[0].private_ip_address = head
    site = Site(endpoint, folder, "breakeven/test", head)
    site.alone.acquire()
    return site
