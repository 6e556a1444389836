"""A hosted judge as a stand-in: OpenAI's chat completions on a socket, with a verdict in each."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class HostedJudge(ThreadingHTTPServer):
    """Fails answers that say `stupid`. `asked` holds the bodies of all requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        """What `api_base` is set to."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HostedJudge

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(body)
        said = str(body["messages"][-1]["content"]).partition("ANSWER")[2]
        verdict = {"passed": "stupid" not in said, "reason": "as said"}
        message = {"role": "assistant", "content": json.dumps(verdict)}
        reply = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 200, "completion_tokens": 10, "total_tokens": 210},
        }
        text = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep quiet."""


@contextmanager
def hosted_judge() -> Iterator[HostedJudge]:
    """A judge on a free port for the length of the block."""
    with HostedJudge() as judge:
        Thread(target=judge.serve_forever, daemon=True).start()
        try:
            yield judge
        finally:
            judge.shutdown()
