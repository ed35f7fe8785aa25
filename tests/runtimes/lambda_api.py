"""Lambda's runtime API on loopback: hands events to a runtime that polls it, and takes its answers."""

import http.server
import json
import queue
import re
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.runtimes.image_python import image_python


class LambdaApi:
    """The API itself; whoever polls it at `address` is the function. `said` gives its log."""

    said: Callable[[], str]

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.events: queue.Queue[tuple[str, str]] = queue.Queue()
        self.answers: dict[str, queue.Queue[Any]] = {}
        self.server = http.server.ThreadingHTTPServer((address, 0), _handler_for(self))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def send(self, event: Any) -> str:
        """Queue an event; its request id, to wait for the answer with."""
        request = str(uuid.uuid4())
        self.answers[request] = queue.Queue()
        self.events.put((request, json.dumps(event, default=str)))
        return request

    def answer(self, request: str, within_s: float = 90) -> Any:
        """What the handler returned. Raises AssertionError with the function's log when it failed or is silent."""
        try:
            outcome, body = self.answers[request].get(timeout=within_s)
        except queue.Empty:
            raise AssertionError(f"no answer within {within_s} s\n{self.said()[-3000:]}") from None
        assert outcome == "response", f"{body}\n{self.said()[-3000:]}"
        return body

    def environment(self, host: str, memory_mib: int) -> dict[str, str]:
        """What Lambda sets for a runtime that reaches this API at `host`."""
        return {
            "AWS_LAMBDA_RUNTIME_API": f"{host}:{self.server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": "worker",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mib),
        }

    def end(self) -> None:
        """End the API."""
        self.server.shutdown()


class LocalFunction(LambdaApi):
    """A runtime process of this machine, by the image's own interpreter."""

    def __init__(self, handler: str, folder: Path, environment: dict[str, str]) -> None:
        super().__init__()
        log = folder / "function.log"
        self.said = log.read_text
        own = {**environment, **self.environment("127.0.0.1", 4096), "HOME": str(folder), "TMPDIR": str(folder)}
        command = [str(image_python("functions")), "-m", "awslambdaric", handler]
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, env=own, stdout=out, stderr=out, cwd=folder)

    def end(self) -> None:
        """End the runtime and the API."""
        self.process.kill()
        self.process.wait(timeout=20)
        super().end()


def _handler_for(api: LambdaApi) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            request, event = api.events.get()
            self.send_response(200)
            self.send_header("Lambda-Runtime-Aws-Request-Id", request)
            self.send_header("Content-Type", "application/json")
            self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + 300) * 1000)))
            self.send_header("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Sampled=0")
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:f")
            self.send_header("Content-Length", str(len(event.encode())))
            self.end_headers()
            self.wfile.write(event.encode())

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length")
            body = self.rfile.read(int(length)) if length else self._chunks()
            found = re.search(r"invocation/([^/]+)/(response|error)$", self.path)
            if found:
                api.answers[found[1]].put((found[2], json.loads(body or b"null")))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _chunks(self) -> bytes:
            parts = []
            while (size := int(self.rfile.readline().split(b";")[0], 16)) > 0:
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
