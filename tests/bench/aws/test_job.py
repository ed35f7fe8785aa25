"""A run as a Job: what the Job's container would run is run here, by a real shell and real processes, for an API server
on loopback that knows Jobs and nothing else; all it says goes through moto's S3."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.aws import follow
from bench.sessions import kubernetes_job
from bench.sessions.session import SessionError
from plan.outputs import ClusterOutputs, KubernetesOutputs, Outputs
from tests.bench.aws.conftest import without_checkout

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: here, user: me, namespace: k8s}}}}]
clusters: [{{name: here, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: me, user: {{}}}}]
"""


class Cluster(ThreadingHTTPServer):
    """Jobs of one container; `folder` stands where the container has /work."""

    folder: Path
    refuse = False
    process: "subprocess.Popen[bytes] | None" = None
    job: dict[str, Any] | None = None
    deleted = 0

    def start(self, job: dict[str, Any]) -> dict[str, Any]:
        (box,) = job["spec"]["template"]["spec"]["containers"]
        own = {e["name"]: e["value"].replace("/work", str(self.folder)) for e in box["env"]}
        (self.folder / "bin").mkdir()
        python = self.folder / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        environment = {**os.environ, **own, "PATH": f"{python.parent}:{os.environ['PATH']}"}
        environment.pop("BREAKEVEN_ROOT", None)
        environment["PYTHONPATH"] = f"{self.folder}:{without_checkout(self.folder / 'site')}"
        environment["KUBECONFIG"] = str(self.folder / "kubeconfig")  # where a pod has its account
        (self.folder / "kubeconfig").write_text(KUBECONFIG.format(port=self.server_port))
        command = ["false"] if self.refuse else box["command"]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.job = job
        return job

    def status(self) -> dict[str, Any]:
        assert self.process is not None
        code = self.process.poll()
        ended = [] if code is None else [{"type": "Complete" if code == 0 else "Failed", "status": "True"}]
        return {**(self.job or {}), "status": {"conditions": ended}}


class _Api(BaseHTTPRequestHandler):
    server: Cluster

    def do_POST(self) -> None:
        self._answer(201, self.server.start(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

    def do_GET(self) -> None:
        if self.path.strip("/") == "version":
            self._answer(200, {"gitVersion": "v1.35.0", "major": "1", "minor": "35"})
        elif "/jobs/" in self.path or "fieldSelector" in self.path:
            found = self.server.status()
            self._answer(200, found if "/jobs/" in self.path else {"items": [found]})
        else:
            self._answer(200, {"kind": "PodList", "apiVersion": "v1", "items": []})

    def do_DELETE(self) -> None:
        self.server.deleted += 1
        self._answer(200, {})

    def _answer(self, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def cluster(tmp_path: Path, outputs: Outputs) -> Iterator[Cluster]:
    """Also after a failure nothing of a run is left."""
    made = Cluster(("127.0.0.1", 0), _Api)
    made.folder = tmp_path / "work"
    made.folder.mkdir()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        family = psutil.Process(made.process.pid).children(recursive=True)
        os.killpg(made.process.pid, signal.SIGTERM)
        for left in psutil.wait_procs(family, timeout=20)[1]:
            left.kill()
        made.process.wait(timeout=20)
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def on_pods(outputs: Outputs) -> Outputs:
    ray = ClusterOutputs(engine="ray", platform="eks", nodes=2, slots_per_node=1, group="ray", limit_mib=4096)
    kubernetes = KubernetesOutputs(cluster="k", namespace="k8s", driver_account="driver", nodes=1)
    return outputs.model_copy(update={"clusters": {"ray": ray}, "kubernetes": kubernetes, "driver_instance": None})


def drive(cluster: Cluster, outputs: Outputs, checkout: Path, *options: str, **kwargs: Any) -> int:
    import kr8s

    arguments = ["workloads/probe.py", "--stack", "bench-32", *options]
    api = kr8s.api(url=f"http://127.0.0.1:{cluster.server_port}", namespace="k8s")
    return kubernetes_job.run(
        outputs, arguments, checkout.parent / "results", root=checkout, api=api, poll_s=0.05, **kwargs
    )


def test_progress_rows_and_exit_code_come_back(
    cluster: Cluster, on_pods: Outputs, checkout: Path, tmp_path: Path
) -> None:
    said = list[str]()
    assert drive(cluster, on_pods, checkout, "--data", "s3://b/it's here", say=said.append) == 3, said
    assert "1/2 --stack bench-32 --data s3://b/it's here\n" in "".join(said)
    assert (tmp_path / "results" / "bench-32" / "run.jsonl").read_text() == '{"n": 1}\n{"n": 2}\n'
    assert cluster.deleted == 1


def test_ctrl_c_stops_the_job_and_waits_until_it_says_so(cluster: Cluster, on_pods: Outputs, checkout: Path) -> None:
    said = list[str]()

    def interrupted(text: str) -> None:
        said.append(text)
        if text.endswith("waiting\n"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(cluster, on_pods, checkout, "--endless", say=interrupted)
    assert "closed in order" in "".join(said)
    assert cluster.process is not None
    assert cluster.process.wait(timeout=20) == 130
    assert cluster.deleted == 1


def test_a_job_that_cannot_begin_says_why(
    cluster: Cluster, on_pods: Outputs, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.refuse = True
    monkeypatch.setattr(follow, "_LOOK_S", 0.2)
    with pytest.raises(SessionError, match=r"job driver-.* ended without a word: it has no pod"):
        drive(cluster, on_pods, checkout, say=lambda text: None)
