"""One chat completion, whole or as a stream, with the accidents planned for it."""

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from tests.fakes.openai.answering import Said, answer, fill
from tests.fakes.openai.errors import Refused, error_body
from tests.fakes.openai.reading import read_prompt, token_count
from tests.fakes.wire import Fault
from tests.fakes.wire.checks import checked


@dataclass
class Spent:
    """One answered completion or embedding; `completion_tokens` counts what was really sent."""

    model: str
    key: str
    prompt_tokens: int
    completion_tokens: int
    streamed: bool
    finished: bool


class Completion:
    """One answer on its way, whole or in chunks."""

    def __init__(
        self,
        body: dict[str, Any],
        key: str,
        prompt_tokens: int,
        behaviours: tuple[Fault, ...],
    ) -> None:
        self._body = body
        self._behaviours = {fault.kind: fault for fault in behaviours}
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        streamed = bool(body.get("stream"))
        self.spent = Spent(body["model"], key, prompt_tokens, 0, streamed, finished=False)
        self._tool, schema = _target(body)
        prompt = read_prompt(body["messages"])
        said = fill(prompt, schema, behaviours) if schema else answer(prompt, behaviours)
        endless = self._behaviours.get("endless")
        self._said = _repeated(said, endless.amount) if endless else _shortened(said, body)

    def _usage(self) -> dict[str, Any]:
        spent = self.spent
        total = spent.prompt_tokens + spent.completion_tokens
        return {
            "prompt_tokens": spent.prompt_tokens,
            "completion_tokens": spent.completion_tokens,
            "total_tokens": total,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }

    def _finish(self) -> str:
        called = self._tool is not None and self._said.finish == "stop" and not self._said.refusal
        return "tool_calls" if called else self._said.finish

    async def whole(self) -> dict[str, Any]:
        """The reply of a request without streaming."""
        said = self._said
        pieces = _pieces(said.refusal or said.text)
        slow = self._behaviours.get("slow_tokens")
        if slow:
            await asyncio.sleep(slow.seconds * len(pieces))
        message: dict[str, Any] = {"role": "assistant", "content": said.text, "refusal": None}
        if said.refusal:
            message |= {"content": None, "refusal": said.refusal}
        elif self._tool is not None:
            call = {"name": self._tool, "arguments": said.text}
            tool = {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": call}
            message |= {"content": None, "tool_calls": [tool]}
        self.spent.completion_tokens = token_count(said.refusal or said.text)
        self.spent.finished = True
        choice = {"index": 0, "message": message, "finish_reason": self._finish()}
        reply = self._envelope("chat.completion", [choice | {"logprobs": None}])
        if "no_usage" not in self._behaviours:
            reply["usage"] = self._usage()
        from openai.types.chat import ChatCompletion  # takes 1.5 s: not while tests are collected

        return dict(checked(ChatCompletion, reply))

    async def stream(self, reset: Any) -> AsyncIterator[bytes]:
        """Server-sent events, with the planned accidents."""
        slow = self._behaviours.get("slow_tokens")
        yield self._chunk(self._opening())
        for number, piece in enumerate(_pieces(self._said.refusal or self._said.text)):
            if slow:
                await asyncio.sleep(slow.seconds)
            accident = self._accident(number)
            if accident == "stream_cut":
                await asyncio.sleep(0.02)
                reset()
            if accident in ("stream_cut", "stream_hangs"):
                await asyncio.Event().wait()
            if accident == "stream_stops":
                return
            if accident == "stream_error":
                yield (
                    b"data: "
                    + json.dumps(error_body(500, "server_error: broke")).encode()
                    + b"\n\n"
                )
                return
            if accident == "stream_garbage":
                yield b"data: {not json\n\n"
            self.spent.completion_tokens += token_count(piece)
            yield self._chunk(self._delta(piece))
        yield self._chunk({}, finish=self._finish())
        self.spent.finished = True
        if self._includes_usage() and "no_usage" not in self._behaviours:
            yield _event(self._envelope("chat.completion.chunk", []) | {"usage": self._usage()})
        yield b"data: [DONE]\n\n"

    def _accident(self, number: int) -> str | None:
        for kind, fault in self._behaviours.items():
            if kind.startswith("stream_") and number == fault.amount:
                return kind
        return None

    def _includes_usage(self) -> bool:
        return bool((self._body.get("stream_options") or {}).get("include_usage"))

    def _opening(self) -> dict[str, Any]:
        if self._tool is None or self._said.refusal:
            return {"role": "assistant", "content": ""}
        call = {"index": 0, "id": f"call_{uuid.uuid4().hex[:24]}", "type": "function"}
        function = {"name": self._tool, "arguments": ""}
        return {"role": "assistant", "tool_calls": [call | {"function": function}]}

    def _delta(self, piece: str) -> dict[str, Any]:
        if self._said.refusal:
            return {"refusal": piece}
        if self._tool is None:
            return {"content": piece}
        return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        shown = self._envelope("chat.completion.chunk", [choice])
        if self._includes_usage():
            shown["usage"] = None
        from openai.types.chat import ChatCompletionChunk

        return _event(checked(ChatCompletionChunk, shown))

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._body["model"],
            "system_fingerprint": "fp_fake",
            "choices": choices,
        }


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def _pieces(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


def _repeated(said: Said, times: int) -> Said:
    return Said(" ".join([said.text] * times), said.refusal, said.finish)


def _shortened(said: Said, body: dict[str, Any]) -> Said:
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    if not most or token_count(said.text) <= most:
        return said
    kept, text = 0, ""
    for piece in _pieces(said.text):
        kept += token_count(piece)
        if kept > most:
            break
        text += piece
    return Said(text, said.refusal, "length")


def _target(body: dict[str, Any]) -> tuple[str | None, dict[str, Any] | None]:
    """The tool to call and its schema, or the schema of `response_format`, or neither."""
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return None, wanted["json_schema"].get("schema") or {}
    if wanted.get("type") == "json_object":
        return None, {"type": "object", "properties": {"answer": {"type": "string"}}}
    tools = [tool["function"] for tool in body.get("tools") or () if tool["type"] == "function"]
    choice = body.get("tool_choice")
    if not tools or choice in (None, "none", "auto"):
        return None, None
    name = choice["function"]["name"] if isinstance(choice, dict) else tools[0]["name"]
    for tool in tools:
        if tool["name"] == name:
            return name, tool.get("parameters") or {}
    raise Refused(400, f"invalid_request: tool_choice names an unknown tool {name}")
