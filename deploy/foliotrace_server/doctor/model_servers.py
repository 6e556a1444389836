"""Which models a server offers: a request that costs nothing, in the format of OpenAI's API.

OpenAI, Anthropic, Ollama, vLLM, LM Studio and most others answer it.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from foliotrace.ingest.chunk import TARGET_WORDS
from foliotrace.query.workflow_events import AskQuestion
from foliotrace_server.sections import EmbeddingSettings, LLMSettings, is_private
from foliotrace_server.settings import Settings

OPENAI: Final = "https://api.openai.com/v1"
ANTHROPIC: Final = "https://api.anthropic.com/v1"
OLLAMA: Final = "http://127.0.0.1:11434/v1"
LOCAL_SERVERS: Final = {
    "Ollama": OLLAMA,
    "vLLM": "http://127.0.0.1:8000/v1",
    "LM Studio": "http://127.0.0.1:1234/v1",
}
_WAIT_S: Final = 4.0
_CONTAINER_FILES: Final = (Path("/.dockerenv"), Path("/run/.containerenv"))
_NO_KEY: Final = (401, 403)
_OF_A_PROXY: Final = (None, 403, 407, 502, 503, 504)
_ENDPOINTS: Final = ("/chat/completions", "/completions", "/embeddings", "/models", "/messages")
_EMBEDS: Final = re.compile(r"embed|(^|/)(bge|gte|e5|all-minilm)-", re.IGNORECASE)
_TOKENS_PER_WORD: Final = 1.5  # tables have more than prose
_RULES_TOKENS: Final = 500  # the rules of the prompt, and the question
DEFAULT_TOP_K: Final = AskQuestion.model_fields["top_k"].default
_KEYED: Final = ("openai", "anthropic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a server answered: its HTTP status (None: nothing answered), its models by name.

    `windows` has the context windows that it states, in tokens.
    """

    status: int | None = None
    models: tuple[str, ...] = ()
    windows: Mapping[str, int]

    @property
    def refuses_the_key(self) -> bool:
        """Whether it wants another key."""
        return self.status in _NO_KEY

    def has(self, model: str) -> bool:
        """Whether it offers `model`; Ollama's names may leave `:latest` out."""
        return model in self.models or f"{model}:latest" in self.models


async def available(api_base: str, key: str | None = None) -> Offer:
    """What the server at `api_base` offers. Raises nothing."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if key and api_base == ANTHROPIC:
        headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    try:
        async with httpx.AsyncClient(timeout=_WAIT_S, trust_env=not is_private(api_base)) as client:
            reply = await client.get(f"{api_base.rstrip('/')}/models", headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return Offer(windows={})
    try:
        listed = [each for each in reply.json()["data"] if isinstance(each["id"], str)]
    except (ValueError, KeyError, TypeError):
        return Offer(status=reply.status_code, windows={})
    windows = {each["id"]: each.get("max_model_len") for each in listed}
    return Offer(
        status=reply.status_code,
        models=tuple(each["id"] for each in listed),
        windows={name: size for name, size in windows.items() if isinstance(size, int)},
    )


async def clock_skew_s(api_base: str) -> float | None:
    """Seconds that a server's Date is ahead of this machine's clock; None without an answer."""
    try:
        async with httpx.AsyncClient(timeout=_WAIT_S, trust_env=not is_private(api_base)) as client:
            reply = await client.head(api_base)
        named = parsedate_to_datetime(reply.headers["date"])
    except (httpx.HTTPError, httpx.InvalidURL, KeyError, ValueError):
        return None
    return (named - datetime.now(UTC)).total_seconds()


async def find_servers(also: Sequence[str] = ()) -> Mapping[str, tuple[str, Offer]]:
    """(base URL, what it offers) of each model server on this machine, and at `also`, by name."""
    places = {**LOCAL_SERVERS, **{url: url for url in also}}
    offers = await asyncio.gather(*[available(url) for url in places.values()])
    return {
        name: (url, offer)
        for (name, url), offer in zip(places.items(), offers, strict=True)
        if offer.models
    }


def base_of(model: LLMSettings | EmbeddingSettings) -> str:
    """The base URL under which a server lists its models."""
    configured = model.api_base
    if model.provider == "ollama":
        return OLLAMA if configured is None else f"{configured.rstrip('/').removesuffix('/v1')}/v1"
    return configured or (ANTHROPIC if model.provider == "anthropic" else OPENAI)


def key_of(settings: Settings, model: LLMSettings | EmbeddingSettings) -> str | None:
    """The key that calls of `model` carry."""
    standard = {"openai": settings.openai_api_key, "anthropic": settings.anthropic_api_key}
    key = model.api_key or standard.get(model.provider)
    return key.get_secret_value() if key else None


def endpoint_after_base(api_base: str) -> str:
    """The endpoint that a base URL wrongly ends in, such as /chat/completions; "" if none."""
    path = urlsplit(api_base).path.rstrip("/")
    return next((each for each in _ENDPOINTS if path.endswith(each)), "")


def proxy_for(url: str) -> str:
    """The variable of the proxy, and its host, that calls of `url` go through; "" if none."""
    parts, proxies = urlsplit(url), getproxies()
    kind = parts.scheme if parts.scheme in proxies else "all"
    if kind not in proxies or not parts.hostname or proxy_bypass(parts.netloc):
        return ""
    proxy = urlsplit(proxies[kind])
    host = f"{proxy.hostname}:{proxy.port}" if proxy.port else proxy.hostname
    return f"{kind.upper()}_PROXY ({host})"


def window_too_small(settings: Settings, setting: str, window: int | None) -> tuple[str, str]:
    """What is wrong with a context window of so many tokens, and its mending; "" twice if nothing.

    A question sends five passages of a chunk each, about 1.5 tokens a word, and the rules, and
    leaves room for the answer. A server with a smaller window refuses, or cuts the passages.
    """
    answer = settings.query.max_answer_tokens
    needed = round(DEFAULT_TOP_K * TARGET_WORDS * _TOKENS_PER_WORD) + _RULES_TOKENS + answer
    if window is None or window >= needed:
        return "", ""
    said = f"a context window of {window} tokens is smaller than the {needed} that a question needs"
    return said, (
        f"Serve the model with a larger window (Ollama: num_ctx; vLLM: --max-model-len), set "
        f"{setting}.context_window to it, or lower query.max_answer_tokens ({answer})."
    )


def in_container() -> bool:
    """Whether Docker or Podman runs this process."""
    return any(path.exists() for path in _CONTAINER_FILES)


def mending(setting: str, model: LLMSettings | EmbeddingSettings, offer: Offer) -> str:
    """What to do about a model that did not answer; "" if the server knows no reason."""
    standard = f" ({model.provider.upper()}_API_KEY)" if model.provider in _KEYED else ""
    proxy = proxy_for(base_of(model))
    if proxy and offer.status in _OF_A_PROXY:
        host = urlsplit(base_of(model)).hostname
        return f"Calls to {host} go through {proxy}: add {host} to NO_PROXY, or correct the proxy."
    if offer.refuses_the_key:
        return f"The key is not accepted: set {setting}.api_key{standard}."
    if offer.status is None and model.api_base is None and model.provider in _KEYED:
        host = urlsplit(base_of(model)).hostname
        return f"Nothing answers at {host}: check network and proxy, or set {setting}.api_base."
    host = urlsplit(base_of(model)).hostname
    if offer.status is None and host in ("localhost", "127.0.0.1", "::1") and in_container():
        hint = f"{host} is this container itself: set {setting}.api_base to the service's name or"
        return f"{hint} host.docker.internal, and have the server listen beyond 127.0.0.1."
    if offer.status is None:
        return f"Nothing answers at {setting}.api_base: start the server, or correct the address."
    if setting != "embedding" and _EMBEDS.search(model.model):
        return (
            f"{model.model} is an embedding model by its name: set {setting}.model to a chat model."
        )
    if offer.models and not offer.has(model.model):
        some = ", ".join(offer.models[:8])
        return f"The server does not offer {model.model}. Set {setting}.model to one of: {some}."
    if offer.status == httpx.codes.NOT_FOUND:
        return f"Correct {setting}.api_base: servers with OpenAI's API usually need /v1 at its end."
    return ""
