"""The real Ollama class against a stand-in on a socket: what a default installation does."""

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.cloud.service import FUEL, service

from foliotrace_server.sections import LLMSettings

pytestmark = pytest.mark.anyio
SAID = "Unleaded costs 2.31 EUR per litre at the pump [1]."


class _Ollama(BaseHTTPRequestHandler):
    """`POST /api/chat` of Ollama, streamed or whole."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, asked))  # type: ignore[attr-defined] # set by the fixture
        end = {"done": True, "prompt_eval_count": 90, "eval_count": 12, "done_reason": "stop"}
        reply = self._part(asked, SAID, end)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    @staticmethod
    def _part(asked: dict[str, Any], text: str, end: dict[str, Any]) -> bytes:
        message = {"role": "assistant", "content": text}
        whole = {"model": asked["model"], "created_at": "2026-11-21T00:00:00Z", "message": message}
        return json.dumps(whole | end).encode() + b"\n"

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def ollama() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Ollama)
    server.asked = []  # type: ignore[attr-defined] # what was sent, for the test
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


async def test_three_settings_are_enough_for_a_generated_answer_that_costs_nothing(
    ollama: ThreadingHTTPServer, tmp_path: Path
) -> None:
    llm = LLMSettings(
        provider="ollama", model="llama3.2", api_base=f"http://127.0.0.1:{ollama.server_port}"
    )
    async with service(tmp_path, llm=llm) as running:
        await running.put("fuel.txt", FUEL)
        asked = await running.ask("What does unleaded cost?")
    assert asked.path == ("keyword", "generated")
    assert asked.level == 0
    assert "2.31" in asked.body["answer"]
    assert Decimal(str(asked.body["usage"]["cost_usd"])) == 0
    assert [path for path, _ in ollama.asked] == ["/api/chat"]  # type: ignore[attr-defined] # set by the fixture
