"""`--driver local`: a real Dask cluster under TLS, reached through a forwarded port.

`aws ssm start-session` is stood in for by a process that takes its arguments and forwards TCP, as the plugin and the
instance's agent do between them; what it forwards to is a scheduler of this machine.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from bench.aws import forward
from bench.aws.forward import PortForward
from bench.aws.vm_cluster import fetch_secret
from bench.engines import Sessions
from bench.sessions.session import SessionError
from infra.aws.kept_secret import dask_certificate
from plan.outputs import Outputs
from tasks.objects import Access

SCHEDULER, PORT = "127.0.0.9", 8786
FORWARDS = f"""#!{sys.executable}
import asyncio, sys

given = dict(zip(sys.argv[3::2], sys.argv[4::2]))
assert sys.argv[1:3] == ["ssm", "start-session"], sys.argv
assert given["--document-name"] == "AWS-StartPortForwardingSessionToRemoteHost", given
to = dict(pair.split("=") for pair in given["--parameters"].split(","))
assert given["--target"].startswith("i-") and to["host"].startswith("10."), given

async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()

async def forward(reader, writer):
    try:
        far_reader, far_writer = await asyncio.open_connection("{SCHEDULER}", int(to["portNumber"]))
    except OSError:
        writer.close()
        return
    await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer), return_exceptions=True)

async def main():
    await (await asyncio.start_server(forward, "127.0.0.1", int(to["localPortNumber"]))).serve_forever()

asyncio.run(main())
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder at the head of PATH with the two programs that a user installs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("aws", FORWARDS), ("session-manager-plugin", "#!/bin/sh\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def stack(outputs: Outputs, tmp_path: Path) -> Iterator[Outputs]:
    """The stack with one Dask worker, whose scheduler and worker run here, as its boot scripts start them."""
    secret = dask_certificate()
    name = boto3.client("secretsmanager").create_secret(Name=f"breakeven/{tmp_path.name}", SecretString=secret)["Name"]
    of = outputs.clusters["dask"].model_copy(update={"secret_at": name, "nodes": 1, "slots_per_node": 1})
    own = fetch_secret(outputs, name, tmp_path / "own")
    tls = [
        f"--tls-{flag}={own / file}" for flag, file in (("ca-file", "ca.pem"), ("cert", "cert.pem"), ("key", "key.pem"))
    ]
    dask = [sys.executable, "-m", "dask"]
    scheduler = ["scheduler", "--protocol=tls", f"--host={SCHEDULER}", f"--port={PORT}", "--no-dashboard", *tls]
    worker = ["worker", f"tls://{SCHEDULER}:{PORT}", f"--host={SCHEDULER}", "--nthreads=1", "--no-dashboard", *tls]
    with (tmp_path / "dask.log").open("wb") as log:
        started = [
            subprocess.Popen([*dask, *command], stdout=log, stderr=log, cwd=tmp_path) for command in (scheduler, worker)
        ]
    yield outputs.model_copy(update={"clusters": {**outputs.clusters, "dask": of}})
    for process in reversed(started):
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.slow
def test_dask_answers_through_a_forwarded_port(stack: Outputs, tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BREAKEVEN_OUTPUTS", raising=False)
    monkeypatch.setattr(forward, "_POLL_S", 0.1)
    forwarded: list[PortForward] = []
    make = PortForward.__init__

    def seen(self: PortForward, *args: object) -> None:
        make(self, *args)  # type: ignore[arg-type]
        forwarded.append(self)

    monkeypatch.setattr(PortForward, "__init__", seen)
    with Sessions(stack, Access(), {}) as sessions:
        (session,) = sessions.of("dask")
        assert session.client.scheduler.address == f"tls://127.0.0.1:{forwarded[0].port}"  # type: ignore[attr-defined]
        assert [done.result for done in session.stream(abs, [(-3,)])] == [3]
    assert forwarded[0]._process.poll() is not None, "nothing forwards any more"


def test_a_forwarding_that_ends_says_why(tools: Path, tmp_path: Path) -> None:
    (tools / "aws").write_text("#!/bin/sh\necho TargetNotConnected >&2\nexit 254\n")
    for name, text in json.loads(dask_certificate()).items():
        (tmp_path / f"{name}.pem").write_text(text)
    made = PortForward("i-1", "10.0.0.1", PORT, "us-east-1")
    with pytest.raises(SessionError, match="TargetNotConnected"):
        made.speaks_tls(tmp_path, forward.time.monotonic() + 20)
    made.end()


def test_without_the_plugin_nothing_is_asked_for(
    outputs: Outputs, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BREAKEVEN_OUTPUTS", raising=False)
    monkeypatch.setenv("PATH", str(tools))
    (tools / "session-manager-plugin").unlink()
    with pytest.raises(SessionError, match="no `session-manager-plugin`"), Sessions(outputs, Access(), {}) as sessions:
        sessions.of("dask")
    groups = boto3.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert {group["DesiredCapacity"] for group in groups} == {0}
