"""A stand-in for Ollama on a socket: `POST /api/chat`, streamed or whole."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeOllama(ThreadingHTTPServer):
    """Always says `says`; `asked` has the path and body of each request."""

    def __init__(self, says: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.says = says
        self.asked: list[tuple[str, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeOllama

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, asked))
        reply = json.dumps(
            {
                "model": asked["model"],
                "created_at": "2026-11-21T00:00:00Z",
                "message": {"role": "assistant", "content": self.server.says},
                "done": True,
                "done_reason": "stop",
                "prompt_eval_count": 90,
                "eval_count": 12,
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Content-Length", str(len(reply) + 1))
        self.end_headers()
        self.wfile.write(reply + b"\n")

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@contextmanager
def running_fake_ollama(says: str) -> Iterator[FakeOllama]:
    """A stand-in on a free port for the length of the block."""
    server = FakeOllama(says)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
