"""A real Pulumi engine over a copy of the project, and AWS's answers from a server on loopback."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.permissions.recorder import Recorder

ROOT = Path(__file__).parents[2]
NEEDED = ("pulumi", "pulumi-language-python")
PLUGINS = ("aws", "docker-build")
# What the programs read of a base stack, for previews that need no base to be up.
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
BASE_OUTPUTS = {
    "region": "us-east-1",
    "dataBucket": "data",
    "workingBucket": "working",
    "resultsBucket": "results",
    "images": {name: f"{REGISTRY}/{name}@sha256:{'0' * 64}" for name in ("cluster", "functions")},
}


@dataclass
class Engine:
    """`run` calls the engine in a copy of the project; `stack_file` writes a stack's settings into the copy."""

    project: Path
    environment: dict[str, str]
    made: list[str] = field(default_factory=list)

    def run(self, *arguments: str, check: bool = True, timeout_s: float = 900, **extra: str) -> str:
        """The engine's output, both streams. With `check`, a failure fails the test with it."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.project,
            env={**self.environment, **_known_as(arguments), **extra},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode != 0:
            pytest.fail(
                f"pulumi {' '.join(arguments)} exited {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
            )
        return done.stdout + done.stderr

    def init(self, stack: str) -> None:
        """Make the stack once."""
        if stack not in self.made:
            self.run("stack", "init", stack)
            self.made.append(stack)

    def preview(self, stack: str, **extra: str) -> dict[str, list[str]]:
        """What a preview would do: operation to the names of the resources, those that stay the same left out."""
        self.init(stack)
        text = self.run("preview", "-s", stack, "--json", **extra)
        steps = json.JSONDecoder().raw_decode(text[text.index("{") :])[0]["steps"]
        found: dict[str, list[str]] = {}
        for step in steps:
            if step["op"] not in ("same", "read"):
                found.setdefault(step["op"], []).append(step["urn"].split("::", 2)[-1])
        return found

    def outputs(self, stack: str) -> dict[str, Any]:
        """The stack's outputs."""
        text = self.run("stack", "output", "-s", stack, "--json")
        return dict(json.JSONDecoder().raw_decode(text[text.index("{") :])[0])


def _known_as(arguments: tuple[str, ...]) -> dict[str, str]:
    """The stack's name as the caller's access key, by which a recording tells who asked."""
    return {"AWS_ACCESS_KEY_ID": arguments[arguments.index("-s") + 1]} if "-s" in arguments else {}


def missing() -> str | None:
    """What a real engine lacks here, as a sentence; None when nothing does."""
    for tool in NEEDED:
        if shutil.which(tool) is None:
            return f"no `{tool}` on PATH"
    listed = subprocess.run(
        ["pulumi", "plugin", "ls", "--json"], capture_output=True, text=True, check=False, timeout=60
    )
    installed = {plugin["name"] for plugin in json.loads(listed.stdout or "[]")} if listed.returncode == 0 else set()
    for plugin in PLUGINS:
        if plugin not in installed and shutil.which(f"pulumi-resource-{plugin}") is None:
            return f"no plugin `{plugin}`, neither installed nor as pulumi-resource-{plugin} on PATH"
    return None


@pytest.fixture(scope="session")
def cloud() -> Iterator[str]:
    """An endpoint that answers for AWS: AWS_ENDPOINT_URL, else a server started here (MOTO_SERVER)."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    if (given := os.environ.get("AWS_ENDPOINT_URL")) is not None:
        yield given
        return
    command = shlex.split(os.environ.get("MOTO_SERVER", "moto_server"))
    if shutil.which(command[0]) is None:
        pytest.skip(f"no `{command[0]}`, the server of MOTO_SERVER, on PATH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [*command, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(endpoint, server)
        yield endpoint
    finally:
        server.terminate()
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:  # a machine that is busy with other things
            server.kill()
            server.wait()


@pytest.fixture(scope="session")
def recorder(cloud: str) -> Iterator[Recorder]:
    """Stands before the cloud and writes down what IAM would be asked."""
    made = Recorder(cloud)
    yield made
    made.end()


@pytest.fixture(scope="session")
def engine(recorder: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine with a state of its own. Stack files get a salt at `init`, so it works on a copy."""
    project = tmp_path_factory.mktemp("project")
    unneeded = shutil.ignore_patterns(
        "__pycache__", ".git", ".venv", ".breakeven", "results", "tests", "docs", ".*_cache", "*.egg-info"
    )
    shutil.copytree(ROOT, project, ignore=unneeded, dirs_exist_ok=True)
    (project / ".venv").symlink_to(sys.prefix)
    (project / "state").mkdir()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PULUMI_CONFIG"))},
        "PULUMI_BACKEND_URL": f"file://{project / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "AWS_ENDPOINT_URL": recorder.endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "BREAKEVEN_OWNER": "tester",
        "BREAKEVEN_CLIENT_CIDR": "203.0.113.7/32",
        "BREAKEVEN_REGION": "us-east-1",
        "BREAKEVEN_VCPU_QUOTA": "512",
        "BREAKEVEN_LAMBDA_CONCURRENCY": "1000",
        "BREAKEVEN_LAMBDA_MEMORY_MIB": "10240",
    }
    return Engine(project, environment)


@pytest.fixture(scope="session")
def described_base(engine: Engine) -> Engine:
    """A base stack that exists by its outputs alone: what previews of bench stacks read."""
    engine.init("base")
    urn = "urn:pulumi:base::breakeven::pulumi:pulumi:Stack::breakeven-base"
    resource = {"urn": urn, "custom": False, "type": "pulumi:pulumi:Stack", "outputs": BASE_OUTPUTS}
    manifest = {"time": "2026-01-01T00:00:00Z", "magic": "", "version": ""}
    state = engine.project / "base.json"
    state.write_text(json.dumps({"version": 3, "deployment": {"manifest": manifest, "resources": [resource]}}))
    engine.run("stack", "import", "-s", "base", "--file", str(state))
    return engine


def _wait_until_up(endpoint: str, server: subprocess.Popen[bytes], within_s: float = 90) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        assert server.poll() is None, f"the server of MOTO_SERVER exited {server.returncode}"
        try:
            requests.get(f"{endpoint}/moto-api/data.json", timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"the server of MOTO_SERVER did not answer at {endpoint} within {within_s:.0f} s")
