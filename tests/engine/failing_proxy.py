"""Stands before the server of AWS's answers and refuses one call."""

import http.server
import threading
from collections.abc import Mapping
from typing import Any

import requests


class FailingProxy:
    """Passes everything on to `target`, except the next request whose head or body holds `refused`."""

    def __init__(self, target: str) -> None:
        self.target, self.refused, self.hits = target, "", 0
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def refuse(self, text: str) -> None:
        """From now on, refuse each request that holds this text; an empty text lets all pass."""
        self.refused, self.hits = text, 0

    def note(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
        """Called with each request before it is passed on."""

    def end(self) -> None:
        """Stop listening."""
        self.server.shutdown()


def _handler_for(proxy: FailingProxy) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen = f"{self.command} {self.path} {self.headers.get('X-Amz-Target', '')} {body.decode(errors='replace')}"
            if proxy.refused and proxy.refused in seen:
                proxy.hits += 1
                # An error that clients don't retry, as for a missing permission.
                self._answer(403, b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>", {})
                return
            headers = {key: value for key, value in self.headers.items() if key.lower() != "connection"}
            proxy.note(self.command, self.path, headers, body)
            url = f"{proxy.target}{self.path}"
            answer = requests.request(
                self.command, url, headers=headers, data=body, timeout=120, allow_redirects=False, stream=True
            )
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in ("connection", "transfer-encoding")}
            self._answer(answer.status_code, answer.raw.read(decode_content=False), kept)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _pass

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response_only(status)
            for key, value in headers.items():
                if key.lower() != "content-length":
                    self.send_header(key, value)
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
