"""Any LlamaIndex LLM or embedding model as a port."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import httpx
import orjson
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.llms import LLM

from foliotrace.adapters.llamaindex.blocking import AsyncOrThread, blocks, texts_block
from foliotrace.adapters.llamaindex.part_health import PartHealth
from foliotrace.budget import NO_USAGE
from foliotrace.catalog import Reason, ReasonFamily
from foliotrace.errors import (
    DeadlineExceeded,
    EmbedderUnavailable,
    GeneratorRefused,
    GeneratorUnavailable,
    Unavailable,
)
from foliotrace.model import Deadline, Usage
from foliotrace.ports import Clock, Delta, Generation, Prompt, Vector
from foliotrace.resilience import parse_retry_after

T = TypeVar("T")

_REFUSING: Final = frozenset({400, 413, 422})  # the prompt itself: a retry would fail too
_LASTING: Final = frozenset({401, 402, 403, 404})  # key, account or name: the operator must act
_FILTERED: Final = frozenset({"content_filter", "refusal", "safety", "SAFETY"})
_NOT_CONNECTED: Final = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})
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
        health: PartHealth | None = None,
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
            with _watched(self._health, prompt.system, prompt.user):
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
        status = _status(error)
        name = type(error).__name__
        if _never_sent(error):
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
                retry_after_s=_retry_after_s(error),
                lasting=status in _LASTING,
            )
        reason = Reason.LLM_UNREACHABLE if "Connect" in name else Reason.LLM_FAILED
        return GeneratorUnavailable(
            f"{self._model} failed: {name}", reason=reason, maybe_billed=True
        )


def _never_sent(error: BaseException | None) -> bool:
    """Whether no connection was made, so that nothing can have been billed."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError) or type(error).__name__ in _NOT_CONNECTED:
            return True
        error = error.__cause__
    return False


def _watched(health: PartHealth | None, *sent: str) -> AbstractContextManager[None]:
    return nullcontext() if health is None else health.watch(*sent)


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


def _status(error: Exception) -> int | None:
    status = getattr(error, "status_code", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _retry_after_s(error: Exception) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return parse_retry_after(headers.get("retry-after"), datetime.now(UTC))


class LlamaIndexEmbedder:
    """An `Embedder` around `embedding`, without its own retries (`resilient` retries).

    With `health` (an object of the user's own), it is not ready after a call that failed.
    """

    def __init__(
        self,
        embedding: BaseEmbedding,
        *,
        clock: Clock,
        model: str | None = None,
        health: PartHealth | None = None,
    ) -> None:
        self._health = health
        self._embedding = embedding.model_copy()
        if "max_retries" in type(embedding).model_fields:
            object.__setattr__(self._embedding, "max_retries", 0)
        self._clock = clock
        self._model = model or embedding.model_name
        self._texts = AsyncOrThread(blocks=texts_block(embedding))
        self._questions = AsyncOrThread(blocks=blocks(embedding, "_aget_query_embedding"))

    @property
    def ready(self) -> bool:
        """Whether the last call of an object of the user's own worked; True for a provider's."""
        return self._health is None or self._health.failure is None

    @property
    def model(self) -> str:
        """Name and version of the model."""
        return self._model

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> Sequence[Vector]:
        """One batch call. Raises EmbedderUnavailable also for vectors of unequal length."""
        if not texts:
            return []
        try:
            with _watched(self._health, *texts):
                async with asyncio.timeout(self._left_s(deadline)):
                    vectors = await self._texts.call(
                        lambda: self._embedding.aget_text_embedding_batch(list(texts)),
                        lambda: self._embedding.get_text_embedding_batch(list(texts)),
                    )
        except Exception as error:  # a model class raises whatever its SDK raises
            raise self._typed(error) from error
        if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) != 1:
            raise EmbedderUnavailable(
                f"{self._model} returned {len(vectors)} vectors for {len(texts)} texts, or of"
                " different lengths",
                reason=Reason.EMBEDDER_GARBAGE,
            )
        return vectors

    async def embed_query(self, text: str, *, deadline: Deadline) -> Vector:
        """One call. Raises EmbedderUnavailable."""
        try:
            with _watched(self._health, text):
                async with asyncio.timeout(self._left_s(deadline)):
                    return await self._questions.call(
                        lambda: self._embedding.aget_query_embedding(text),
                        lambda: self._embedding.get_query_embedding(text),
                    )
        except Exception as error:  # as above
            raise self._typed(error) from error

    def _left_s(self, deadline: Deadline) -> float | None:
        left_s = deadline.remaining_s(self._clock.monotonic_s())
        return None if left_s == float("inf") else left_s

    def _typed(self, error: Exception) -> EmbedderUnavailable:
        name = type(error).__name__
        if isinstance(error, TimeoutError) or "Timeout" in name:
            return EmbedderUnavailable(
                f"{self._model} did not answer in time", reason=Reason.EMBEDDER_TIMEOUT
            )
        status = _status(error)
        if status is not None:
            return EmbedderUnavailable(
                f"{self._model} answered with status {status}",
                retry_after_s=_retry_after_s(error),
                lasting=status in _LASTING,
            )
        sent = not _never_sent(error)
        return EmbedderUnavailable(f"{self._model} failed: {name}", maybe_billed=sent)
