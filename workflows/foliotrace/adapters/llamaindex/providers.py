"""LlamaIndex's model classes by provider name, without retries and over our HTTP client."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Final

import httpx
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import LLM, LLMMetadata

from foliotrace.errors import Misconfigured

_LAZY_IMPORTS: Final = {
    "llms.openai": "openai.resources",
    "llms.anthropic": "anthropic.resources",
    "embeddings.openai": "openai.resources",
}
"""Modules that a provider's SDK imports at its first request: about 500, a second of CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAccess:
    """Which model of which provider, and how to reach it. Times in seconds."""

    provider: str
    model: str
    api_base: str | None = None
    api_key: str | None = field(default=None, repr=False)
    timeout_s: float = 20.0
    context_window: int = 8192


def language_model(access: ModelAccess, http: httpx.AsyncClient) -> LLM:
    """The LLM of `access`, over `http` where its class allows. Raises Misconfigured."""
    if access.provider == "openai_like":
        kind = partial(_for_any_model, context_window=access.context_window)
        served: LLM = _instance(access, "llms.openai", "OpenAI", _openai(access, http), kind)
        return served
    llm: LLM = _instance(access, *_language_class(access, http))
    try:
        llm.metadata.context_window  # noqa: B018 - LlamaIndex looks the name up only here
    except ValueError as error:
        raise Misconfigured(
            f"LlamaIndex does not know the model {access.model}",
            hint="Check its name, or set the provider to openai_like.",
        ) from error
    return llm


def _language_class(
    access: ModelAccess, http: httpx.AsyncClient
) -> tuple[str, str, dict[str, Any]]:
    """Module, class and arguments."""
    match access.provider:
        case "openai":
            return "llms.openai", "OpenAI", _openai(access, http)
        case "anthropic":
            options = {
                "model": access.model,
                "api_key": access.api_key,
                "base_url": access.api_base,
                "timeout": access.timeout_s,
                "max_retries": 0,
            }
            return "llms.anthropic", "Anthropic", options
        case "ollama":
            options = {
                "model": access.model,
                "base_url": access.api_base or "http://127.0.0.1:11434",
                "request_timeout": access.timeout_s,
                "context_window": access.context_window,
            }
            return "llms.ollama", "Ollama", options
    raise Misconfigured(f"there is no LLM provider named {access.provider}")


def embedding_model(access: ModelAccess, http: httpx.AsyncClient) -> BaseEmbedding:
    """The embedding model of `access`, from OpenAI or a server like it. Raises Misconfigured."""
    options = _openai(access, http)
    options["model_name"] = options.pop("model")
    embedding: BaseEmbedding = _instance(access, "embeddings.openai", "OpenAIEmbedding", options)
    return embedding


def _openai(access: ModelAccess, http: httpx.AsyncClient) -> dict[str, Any]:
    return {
        "model": access.model,
        "api_base": access.api_base,
        "api_key": access.api_key or "none",
        "timeout": access.timeout_s,
        "max_retries": 0,
        "async_http_client": http,
    }


def _for_any_model(openai: type[LLM], *, context_window: int) -> type[LLM]:
    """The OpenAI class for a model that it does not know by name.

    Not LlamaIndex's own `OpenAILike`: its package installs transformers.
    """

    class OpenAILike(openai):  # type: ignore[valid-type,misc] # a class known at run time
        @property
        def metadata(self) -> LLMMetadata:
            return LLMMetadata(
                context_window=context_window, is_chat_model=True, model_name=self.model
            )

    return OpenAILike


def _instance(
    access: ModelAccess,
    module: str,
    name: str,
    options: dict[str, Any],
    derived: Callable[[type], type] = lambda kind: kind,
) -> Any:
    try:
        kind = derived(getattr(import_module(f"llama_index.{module}"), name))
        if module in _LAZY_IMPORTS:
            import_module(_LAZY_IMPORTS[module])  # now, not while requests wait
    except ImportError as error:
        raise Misconfigured(
            f"provider {access.provider} is not installed",
            hint=f"Install it: pip install 'foliotrace[{access.provider}]'.",
        ) from error
    try:
        return kind(**options)
    except ValueError as error:
        raise Misconfigured(f"model {access.model} cannot be used: {error}") from error
