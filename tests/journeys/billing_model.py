"""A language model on a socket that fails in many ways and keeps a bill of its own."""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

MILLION = Decimal(1_000_000)
IN_USD, CACHED_USD, OUT_USD = Decimal(3), Decimal("0.3"), Decimal(12)  # for a million tokens
WORDS = ("unleaded", "costs", "two", "euros", "and", "members", "pay", "within", "thirty", "days")
WAYS = {
    "answered": 50,
    "no usage": 12,
    "null usage": 8,
    "error 500": 8,
    "error 429": 4,
    "hangs": 2,
    "reply lost": 4,
    "empty": 4,
}
"""How a request ends, with weights; an answer may be streamed, and its reader may leave."""


def tokens_of(text: str) -> int:
    """This model's tokens: words and marks."""
    return len(re.findall(r"\w+|[^\w\s]", text))


@dataclass
class BillingModel:
    """Bills prompt and output tokens, whether or not anybody receives them.

    A request that hangs, or whose reply is lost, has generated all the tokens it was allowed.
    """

    seed: int = 1
    ways: dict[str, int] = field(default_factory=lambda: dict(WAYS))
    bill_usd: Decimal = Decimal(0)
    dearest_usd: Decimal = Decimal(0)
    seen: Counter[str] = field(default_factory=Counter)
    open_streams: int = 0
    pause_s: float = 0.0
    url: str = ""

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)

    def charge(self, prompt: int, output: int, cached: int = 0) -> None:
        """Add to the bill."""
        self.bill_usd += ((prompt - cached) * IN_USD + cached * CACHED_USD) / MILLION
        self.bill_usd += output * OUT_USD / MILLION

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while (body := await _request(reader)) is not None:
                await self._answer(body, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            writer.close()

    async def _answer(
        self, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        prompt = sum(4 + tokens_of(message["content"]) for message in body["messages"])
        limit = body["max_tokens"]
        worst = (prompt * IN_USD + limit * OUT_USD) / MILLION
        self.dearest_usd = max(self.dearest_usd, worst)
        way = self.draw.choices([*self.ways], [*self.ways.values()])[0]
        self.seen[way] += 1
        if way.startswith("error"):
            _reply(writer, int(way[-3:]), {"error": {"message": "not now"}})
            return
        if way in ("hangs", "reply lost"):
            self.charge(prompt, limit)
            if way == "hangs":
                await asyncio.sleep(30)
            writer.transport.abort()
            return
        length = 0 if way == "empty" else self.draw.randint(5, limit - 1)
        text = " ".join(self.draw.choices(WORDS, k=length))
        cached = prompt // 2 if way == "answered" else 0
        usage: dict[str, Any] | None = {
            "prompt_tokens": prompt,
            "completion_tokens": length,
            "total_tokens": prompt + length,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        if way in ("no usage", "null usage"):
            usage = None
        if body.get("stream"):
            await self._stream(text, usage, prompt, cached, reader, writer)
            return
        self.charge(prompt, length, cached)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}}
        reply = {"id": "c", "object": "chat.completion", "created": 1, "model": "billing"}
        reply["choices"] = [choice | {"finish_reason": "stop"}]
        if way != "no usage":
            reply["usage"] = usage
        _reply(writer, 200, reply)

    async def _stream(
        self,
        text: str,
        usage: dict[str, Any] | None,
        prompt: int,
        cached: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        self.open_streams += 1
        sent = 0
        try:
            for piece in re.findall(r"\s*\S+", text):
                _event(writer, {"index": 0, "delta": {"content": piece}, "finish_reason": None})
                await writer.drain()
                sent += 1
                await asyncio.sleep(self.pause_s)
                if reader.at_eof() or writer.transport.is_closing():
                    raise ConnectionResetError
            _event(writer, {"index": 0, "delta": {}, "finish_reason": "stop"})
            if usage is not None:
                _event(writer, None, usage)
            _chunk(writer, b"data: [DONE]\n\n")
            writer.write(b"0\r\n\r\n")
        finally:
            self.open_streams -= 1
            left = sent < tokens_of(text)
            self.charge(prompt, sent, 0 if left else cached)


async def _request(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.I)
    return dict(json.loads(await reader.readexactly(int(length[1])))) if length else None


def _reply(writer: asyncio.StreamWriter, status: int, body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}"
    writer.write(f"{head}\r\n\r\n".encode() + raw)


def _event(
    writer: asyncio.StreamWriter, choice: dict[str, Any] | None, usage: dict[str, Any] | None = None
) -> None:
    event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "billing"}
    event |= {"choices": [] if choice is None else [choice], "usage": usage}
    _chunk(writer, b"data: " + json.dumps(event).encode() + b"\n\n")


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


@asynccontextmanager
async def running(model: BillingModel) -> AsyncIterator[BillingModel]:
    """Serve on a free port of loopback."""
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0)
    model.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield model
    finally:
        server.close()
