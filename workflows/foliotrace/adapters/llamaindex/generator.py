"""Any LlamaIndex LLM as a `TextGenerator`."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextvars import ContextVar
from typing import Any, Final, TypeVar

import httpx
import orjson
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.llms import LLM

from foliotrace.adapters.llamaindex.blocking import AsyncOrThread, blocks
from foliotrace.adapters.llamaindex.component_health import ComponentHealth
from foliotrace.adapters.llamaindex.sdk_errors import (
    LASTING,
    never_sent,
    retry_after_s,
    status_of,
    watched,
)
from foliotrace.budget import NO_USAGE
from foliotrace.catalog import Reason, ReasonFamily
from foliotrace.errors import (
    DeadlineExceeded,
    GeneratorRefused,
    GeneratorUnavailable,
    Unavailable,
)
from foliotrace.model import Deadline, Usage
from foliotrace.ports import Clock, Delta, Generation, Prompt

T = TypeVar("T")

_REFUSING: Final = frozenset({400, 413, 422})  # the prompt itself: a retry would fail too
_FILTERED: Final = frozenset({"content_filter", "refusal", "safety", "SAFETY"})
_CUT: Final = frozenset({"length", "max_tokens", "MAX_TOKENS"})


_replies: ContextVar[list[httpx.Response] | None] = ContextVar("foliotrace_replies", default=None)


async def keep_reply(response: httpx.Response) -> None:
    """An httpx hook: a stream closes its reply itself, since LlamaIndex's generators do not."""
    replies = _replies.get()
    if replies is not None:
        replies.append(response)


class LlamaIndexGenerator:
    """A `TextGenerator` around `llm`, without its own retries (`resilient` retries).

    With `health` (an object of the user's own), it is not ready after a call that failed.
    """

    def __init__(
        self,
        llm: LLM,
        *,
        clock: Clock,
        model: str | None = None,
        health: ComponentHealth | None = None,
    ) -> None:
        self._health = health
        self._llm = without_retries(llm)
        self._clock = clock
        self._model = model or llm.metadata.model_name
        self._speaks_openai = any(c.__name__ == "OpenAI" for c in type(llm).__mro__)
        self._chats = AsyncOrThread(blocks=blocks(llm, "achat"))
        self._streams = AsyncOrThread(blocks=blocks(llm, "astream_chat"))

    @property
    def ready(self) -> bool:
        """Whether the last call of an object of the user's own worked; True for a provider's."""
        return self._health is None or self._health.failure is None

    @property
    def model(self) -> str:
        """The pinned model name."""
        return self._model

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        """One request within the deadline. Raises the port's errors, never the SDK's."""
        limit_s = self._left_s(deadline)
        options = self._options(prompt, max_tokens, limit_s)
        messages, llm = self._messages(prompt), self._llm
        chat = self._chats.call(
            lambda: llm.achat(messages, **options), lambda: llm.chat(messages, **options)
        )
        response = await self._within(chat, deadline, prompt)
        return self._finished(response, response.message.content or "", _finish_reason(response))

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncGenerator[Delta, None]:
        """One request; a stream that ends without a finish reason is an error."""
        limit_s = self._left_s(deadline)
        options = self._options(prompt, max_tokens, limit_s)
        if self._speaks_openai:
            options["stream_options"] = {"include_usage": True}
        text, last, reason = "", None, None
        messages, llm = self._messages(prompt), self._llm
        opened = self._streams.items(
            lambda: llm.astream_chat(messages, **options),
            lambda: llm.stream_chat(messages, **options),
        )
        replies: list[httpx.Response] = []
        pieces = await self._within(opened, deadline, prompt, replies)
        try:
            while (
                piece := await self._within(anext(pieces, None), deadline, prompt, replies)
            ) is not None:
                last = piece
                reason = _finish_reason(piece) or reason
                text += piece.delta or ""
                if piece.delta:
                    yield Delta(text=piece.delta)
        finally:  # a reader that leaves ends the request, and with it what is billed
            if (close := getattr(pieces, "aclose", None)) is not None:
                await close()
            for reply in replies:
                await reply.aclose()
        used = usage_of(last) if last is not None else NO_USAGE
        ended = reason is not None or not self._speaks_openai
        if not text and used.prompt_tokens:
            ended = True  # LlamaIndex drops a finish reason that comes before any text
        if last is None or not ended:
            raise GeneratorUnavailable(
                f"{self._model} broke off its answer",
                reason=Reason.LLM_STREAM_CUT,
                usage=used if used.prompt_tokens else None,
                maybe_billed=True,
            )
        yield Delta(done=self._finished(last, text, reason))

    async def _within(
        self,
        work: Awaitable[T],
        deadline: Deadline,
        prompt: Prompt,
        replies: list[httpx.Response] | None = None,
    ) -> T:
        """Wait for one piece; the time that the reader of the stream takes does not count."""
        token = _replies.set(replies)
        try:
            with watched(self._health, prompt.system, prompt.user):
                async with asyncio.timeout(self._left_s(deadline)):
                    return await work
        except Exception as error:  # an LLM class raises whatever its SDK raises
            raise self._typed(error) from error
        finally:
            _replies.reset(token)

    def _left_s(self, deadline: Deadline) -> float | None:
        left_s = deadline.remaining_s(self._clock.monotonic_s())
        if not left_s:
            raise DeadlineExceeded(
                f"No time is left to call {self._model}.", reason=Reason.LLM_TIMEOUT
            )
        return None if left_s == float("inf") else left_s

    def _messages(self, prompt: Prompt) -> list[ChatMessage]:
        system = prompt.system
        if prompt.schema is not None and not self._speaks_openai:
            schema = orjson.dumps(prompt.schema).decode()
            system = f"{system}\n\nReply with JSON alone, valid under this JSON Schema:\n{schema}"
        return [
            ChatMessage(role=MessageRole.SYSTEM, content=system),
            ChatMessage(role=MessageRole.USER, content=prompt.user),
        ]

    def _options(self, prompt: Prompt, max_tokens: int, limit_s: float | None) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if "max_tokens" in type(self._llm).model_fields:
            options["max_tokens"] = max_tokens
        if self._speaks_openai:
            options["timeout"] = limit_s
            if prompt.schema is not None:
                form = {"name": "record", "schema": prompt.schema}
                options["response_format"] = {"type": "json_schema", "json_schema": form}
        return options

    def _finished(self, response: ChatResponse, text: str, reason: str | None) -> Generation:
        usage = usage_of(response)
        if reason in _FILTERED:
            raise GeneratorRefused(
                f"{self._model} refused this prompt", reason=Reason.LLM_REFUSED, usage=usage
            )
        if not text.strip():
            raise GeneratorUnavailable(
                f"{self._model} returned an empty answer", reason=Reason.LLM_EMPTY, usage=usage
            )
        return Generation(
            text=text,
            model=self._model,
            usage=usage,
            finish_reason="length" if reason in _CUT else reason,
        )

    def _typed(self, error: Exception) -> Unavailable:
        """The port's error for an SDK's; without the SDK's text, which may hold secrets."""
        if isinstance(error, Unavailable):
            return error
        status = status_of(error)
        name = type(error).__name__
        if never_sent(error):
            return GeneratorUnavailable(
                f"{self._model} cannot be reached: {name}", reason=Reason.LLM_UNREACHABLE
            )
        if isinstance(error, TimeoutError) or "Timeout" in name:
            return GeneratorUnavailable(
                f"{self._model} did not answer in time", reason=Reason.LLM_TIMEOUT
            )
        if status in _REFUSING:
            return GeneratorRefused(
                f"{self._model} refused this prompt with status {status}", reason=Reason.LLM_REFUSED
            )
        if status is not None:
            return GeneratorUnavailable(
                f"{self._model} answered with status {status}",
                reason=ReasonFamily.LLM_STATUS.of(status),
                retry_after_s=retry_after_s(error),
                lasting=status in LASTING,
            )
        reason = Reason.LLM_UNREACHABLE if "Connect" in name else Reason.LLM_FAILED
        return GeneratorUnavailable(
            f"{self._model} failed: {name}", reason=reason, maybe_billed=True
        )


def without_retries(llm: LLM) -> LLM:
    """A copy of `llm` that makes one request per call: neither the class nor its SDK retries."""
    copy = llm.model_copy()
    if "max_retries" in type(llm).model_fields:
        object.__setattr__(copy, "max_retries", 0)
    for name in ("_client", "_aclient"):
        client = getattr(copy, name, None)
        if client is not None and getattr(client, "max_retries", None):
            once = client.with_options(max_retries=0)
            setattr(copy, name, once)
    return copy


def usage_of(response: ChatResponse) -> Usage:
    """The tokens as the provider counted them; zeros where it reports none.

    Anthropic counts cached prompt tokens beside `input_tokens`, the others within.
    """
    raw = _as_mapping(getattr(response, "raw", None))
    counts = _as_mapping(raw.get("usage") or raw.get("usage_metadata"))
    counts = counts or {**raw, **(response.additional_kwargs or {})}  # Ollama; older integrations
    prompt = _first(counts, "prompt_tokens", "input_tokens", "prompt_eval_count")
    completion = _first(counts, "completion_tokens", "output_tokens", "eval_count")
    read = _first(counts, "cache_read_input_tokens")
    prompt += read + _first(counts, "cache_creation_input_tokens")
    details = _as_mapping(counts.get("prompt_tokens_details"))
    cached = read or _first(details, "cached_tokens")
    cached = cached or _first(counts, "cached_content_token_count", "cached_tokens")
    return Usage(
        prompt_tokens=prompt,
        cached_tokens=min(cached, prompt),
        completion_tokens=completion,
        llm_calls=1,
    )


def _first(counts: Mapping[str, Any], *names: str) -> int:
    return next((int(counts[n]) for n in names if isinstance(counts.get(n), int | float)), 0)


def _as_mapping(value: object) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    return vars(value) if hasattr(value, "__dict__") else {}


def _finish_reason(response: ChatResponse) -> str | None:
    raw = _as_mapping(getattr(response, "raw", None))
    choices = raw.get("choices")
    if choices:
        reason = _as_mapping(choices[0]).get("finish_reason")
    else:
        reason = raw.get("stop_reason") or raw.get("done_reason") or raw.get("finish_reason")
    return str(reason) if reason else None
