"""A session over pods, against an API server on loopback that keeps objects, takes JSON patches, and lets pods come one
at a time, as an operator and a scheduler would."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bench.sessions.kubernetes import KubernetesSession, PodCluster
from bench.sessions.session import Fleet, Ready, SessionError, never
from plan.outputs import ClusterOutputs
from plan.settings import Autoscale

AT = "2026-01-31T18:00:0{}Z"
RAY = "/apis/ray.io/v1/namespaces/k8s/rayclusters/ray"
SCALER = "/apis/kubernetes.dask.org/v1/namespaces/k8s/daskautoscalers/dask"
DASK = "/apis/kubernetes.dask.org/v1/namespaces/k8s/daskclusters/dask"


class Cluster(ThreadingHTTPServer):
    """Objects by path; each look at the pods brings one nearer to what the object asks for."""

    pods = 0
    most = 50
    path: str
    objects: dict[str, dict[str, Any]]
    patches: list[tuple[str, dict[str, int]]]

    def wanted(self) -> int:
        return int(self.objects[RAY]["spec"]["workerGroupSpecs"][0]["replicas"])

    def look(self) -> list[dict[str, Any]]:
        wanted = self.wanted() if self.path == RAY else int(self.objects[SCALER]["spec"]["minimum"])
        self.pods = min(self.most, wanted, self.pods + 1) if wanted > self.pods else wanted
        self.objects[RAY]["status"] = {"readyWorkerReplicas": self.pods}
        return [_pod(number) for number in range(self.pods)]


def _pod(number: int) -> dict[str, Any]:
    conditions = [{"type": t, "status": "True", "lastTransitionTime": AT.format(2)} for t in ("PodScheduled", "Ready")]
    return {
        "kind": "Pod",
        "metadata": {"name": f"w-{number}", "uid": f"u{number}", "creationTimestamp": AT.format(1)},
        "spec": {"nodeName": "n"},
        "status": {
            "podIP": f"10.0.0.{number}",
            "conditions": conditions,
            "containerStatuses": [{"state": {"running": {"startedAt": AT.format(2)}}}],
        },
    }


class _Api(BaseHTTPRequestHandler):
    server: Cluster

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.strip("/") == "version":
            self._answer(200, {"gitVersion": "v1.35.0", "major": "1", "minor": "35"})
        elif path.endswith("/pods"):
            self._answer(200, {"items": self.server.look()})
        elif path.endswith("/events"):
            pulled = {
                "involvedObject": {"uid": "u0"},
                "reason": "Pulled",
                "lastTimestamp": AT.format(2),
                "message": "m",
            }
            self._answer(200, {"items": [{"metadata": {"name": "e"}, **pulled}]})
        elif path in self.server.objects:
            self._answer(200, self.server.objects[path])
        else:  # also every list of custom resources or secrets, which a driver's account may not ask for
            self._answer(404, {"kind": "Status", "code": 404})

    def do_PATCH(self) -> None:
        assert self.headers["Content-Type"] == "application/json-patch+json"
        found = self.server.objects[self.path]
        steps = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.patches.append((self.path, {s["path"].rpartition("/")[2]: s["value"] for s in steps}))
        for step in steps:
            *way, last = [int(p) if p.isdecimal() else p for p in step["path"].strip("/").split("/")]
            place: Any = found
            for part in way:
                place = place[part]
            assert last in place
            place[last] = step["value"]
        self._answer(200, found)

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
def cluster() -> Iterator[Cluster]:
    made = Cluster(("127.0.0.1", 0), _Api)
    made.path, made.patches = RAY, []
    metadata = {"name": "ray", "namespace": "k8s"}
    made.objects = {
        RAY: {"metadata": metadata, "spec": {"workerGroupSpecs": [{"replicas": 0, "minReplicas": 0}]}},
        DASK: {"metadata": {"name": "dask"}, "spec": {"worker": {"replicas": 0}}},
        SCALER: {"metadata": {"name": "dask"}, "spec": {"minimum": 0, "maximum": 3}},
        "/api/v1/namespaces/k8s/secrets/ray": {
            "metadata": metadata,
            "data": {"auth_token": base64.b64encode(b"t0ken").decode()},
        },
    }
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


class Inner:
    """What an engine knows: each pod's worker joins it by the pod's address."""

    def __init__(self, cluster: Cluster, ready: Ready):
        self._cluster, self.closed = cluster, False
        ready(self.fleet)

    def fleet(self) -> Fleet:
        return Fleet(self._cluster.pods, 1, None, frozenset(f"10.0.0.{n}" for n in range(self._cluster.pods)))

    def close(self) -> None:
        self.closed = True


def opened(cluster: Cluster, engine: Any = "ray", autoscale: Autoscale | None = None, fail: bool = False) -> Any:
    import kr8s

    out = ClusterOutputs(
        engine=engine, platform="eks", group=engine, nodes=3, slots_per_node=1, limit_mib=4096, autoscale=autoscale
    )
    pods = PodCluster(out, "k8s", kr8s.api(url=f"http://127.0.0.1:{cluster.server_port}", namespace="k8s"))

    def connect(ready: Ready) -> Any:
        inner = Inner(cluster, ready)
        if fail:
            raise SessionError("ray does not answer")
        return inner

    return KubernetesSession(pods, out, connect)


def test_a_session_brings_its_workers_reads_them_back_and_takes_them_away(cluster: Cluster, tmp_path: Path) -> None:
    session = opened(cluster)
    assert session.fleet() == Fleet(3, 1, 4096, frozenset({"10.0.0.0", "10.0.0.1", "10.0.0.2"}))
    assert [one.name for one in session.times] == ["w-0", "w-1", "w-2"]
    assert all(one.joined_at and one.joined_at > one.created_at for one in session.times)
    assert [one.pulled_at is not None for one in session.times] == [True, False, False]
    assert session.spent_s["pods"] > 0
    with pytest.raises(SessionError, match="3 at most"):
        session.scale(4)
    token = Path(session.pods.token(tmp_path / "secret"))
    assert (token.read_text(), token.stat().st_mode & 0o777) == ("t0ken", 0o600)
    session.close()
    assert cluster.pods == 0
    assert [patch for _, patch in cluster.patches] == [{"replicas": 3}, {"replicas": 0}, {"replicas": 0}]


def test_an_engine_that_does_not_answer_keeps_no_pod(cluster: Cluster) -> None:
    with pytest.raises(SessionError, match="does not answer"):
        opened(cluster, fail=True)
    assert cluster.wanted() == 0


def test_workers_that_do_not_all_come_are_given_up_and_sent_away(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.most = 2
    monkeypatch.setattr(PodCluster.scale, "__defaults__", (None, 2.0, never))
    with pytest.raises(SessionError, match=r"found 2 .* after 2 s, wanted 3 workers"):
        opened(cluster)
    assert cluster.wanted() == 0


@pytest.mark.parametrize(("engine", "moved"), [("ray", {"minReplicas": 1, "replicas": 1}), ("dask", {"minimum": 1})])
def test_an_autoscaled_cluster_is_brought_to_its_least_and_left_to_its_autoscaler(
    cluster: Cluster, engine: str, moved: dict[str, int]
) -> None:
    cluster.path = RAY if engine == "ray" else SCALER
    session = opened(cluster, engine, Autoscale(min_workers=1, max_workers=3))
    assert session.fleet().workers == 1
    assert [patch for _, patch in cluster.patches] == [moved]
