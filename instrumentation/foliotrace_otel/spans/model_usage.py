"""Reads tokens, finish reason and model from the responses of LLM providers; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from foliotrace_otel.spans import LlamaIndexObject

_INPUT: Final = ("input_tokens", "prompt_tokens", "prompt_token_count", "prompt_eval_count")
_OUTPUT: Final = ("output_tokens", "completion_tokens", "candidates_token_count", "eval_count")
_CACHE_READ: Final = ("cache_read_input_tokens", "cached_content_token_count")
_CACHE_WRITE: Final = ("cache_creation_input_tokens",)


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What one model call used; 0 where the provider did not report it."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


def usage_in(raw: object, additional: Mapping[str, Any]) -> ModelUsage | None:
    """The usage in a provider's raw answer, else in LlamaIndex's additional_kwargs, else None."""
    for source in (_field(raw, "usage"), _field(raw, "usage_metadata"), raw, additional):
        if source is None:
            continue
        input_tokens, output_tokens = _number(source, _INPUT), _number(source, _OUTPUT)
        if input_tokens or output_tokens:
            prompt = _field(source, "prompt_tokens_details") or _field(
                source, "input_tokens_details"
            )
            completion = _field(source, "completion_tokens_details") or _field(
                source, "output_tokens_details"
            )
            return ModelUsage(
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                cache_read_tokens=_number(source, _CACHE_READ)
                or _number(prompt, ("cached_tokens",)),
                cache_write_tokens=_number(source, _CACHE_WRITE),
                reasoning_tokens=_number(completion, ("reasoning_tokens",)),
            )
    return None


def finish_reason_of(raw: object, additional: Mapping[str, Any]) -> str:
    """The provider's finish reason (`stop`, `length`, `tool_calls` ...), or ""."""
    choices = _field(raw, "choices") or _field(raw, "candidates")
    first = choices[0] if isinstance(choices, list) and choices else None
    for source in (first, raw, additional):
        for name in ("finish_reason", "stop_reason", "done_reason"):
            reason = _field(source, name)
            if reason is not None and not callable(reason):
                return str(getattr(reason, "value", reason))[:64]
    return ""


def text_field(raw: object, name: str) -> str:
    """A short text such as the response's `id` or `model`, or ""."""
    text = _field(raw, name)
    return text[:128] if isinstance(text, str) else ""


def _field(source: object, name: str) -> LlamaIndexObject:
    if source is None:
        return None
    if isinstance(source, Mapping):
        return source.get(name)
    return getattr(source, name, None)


def _number(source: object, names: tuple[str, ...]) -> int:
    for name in names:
        number = _field(source, name)
        if isinstance(number, int) and not isinstance(number, bool) and number > 0:
            return number
    return 0
