"""What ends a stack when nobody is there: when it fires, what it asks, and that it says so when it is refused."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.kubernetes.access import EXPIRY, expiry_access
from infra.kubernetes.expiry import collections, cron, end_at_expiry

IMAGE = "registry/image@sha256:" + "0" * 64
ENGINES = ("ray", "dask")


@pytest.mark.parametrize(
    ("at", "line"),
    [
        ("2026-01-31T18:00:00Z", "55 17 31 1 *"),
        ("2026-03-01T00:04:59Z", "59 23 28 2 *"),
        ("2027-01-01T00:00:00Z", "55 23 31 12 *"),
    ],
)
def test_it_fires_once_and_before_the_nodes_go(at: str, line: str) -> None:
    assert cron(at) == line
    assert end_at_expiry("ns", ENGINES, IMAGE, cron(at))["spec"]["schedule"] == line


def test_it_may_delete_what_it_deletes_and_nothing_else() -> None:
    role = expiry_access("ns", ENGINES)[0]
    allowed = {(group, plural) for r in role["rules"] for group in r["apiGroups"] for plural in r["resources"]}
    asked = set()
    for path in collections("ns", ENGINES):
        _, _, group, _, _, _, plural = path.partition("?")[0].split("/")
        asked.add((group, plural))
    assert asked == allowed
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"deletecollection"}
    pod = end_at_expiry("ns", ENGINES, IMAGE, "55 17 31 1 *")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == (EXPIRY, True)


class _Api(BaseHTTPRequestHandler):
    asked: list[tuple[str, str]]
    answer = 200

    def do_DELETE(self) -> None:
        type(self).asked.append((self.path, self.headers["Authorization"]))
        self.send_response(404 if "daskautoscalers" in self.path else self.answer)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[tuple[type[_Api], str]]:
    handler = type("Api", (_Api,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("answer", "code"), [(200, 0), (403, 1)])
def test_the_script_asks_for_every_collection_and_fails_when_refused(
    api: tuple[type[_Api], str], tmp_path: Path, answer: int, code: int
) -> None:
    """A kind whose operator is gone (404) is no failure; a refusal is one, or the Job would not be tried again."""
    handler, url = api
    handler.answer = answer
    (tmp_path / "token").write_text("secret-token\n")
    job = end_at_expiry("ns", ENGINES, IMAGE, "55 17 31 1 *")["spec"]["jobTemplate"]["spec"]
    _, flag, text, *paths = job["template"]["spec"]["containers"][0]["command"]
    env = {**os.environ, "API_SERVER": url, "ACCOUNT_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, flag, text, *paths], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert [path.split("?")[0] for path, _ in handler.asked] == [path.split("?")[0] for path in paths]
    assert "labelSelector=breakeven.dev/role%3Ddriver&propagationPolicy=Background" in handler.asked[0][0]
    assert {token for _, token in handler.asked} == {"Bearer secret-token"}
    assert "secret-token" not in done.stdout + done.stderr
