"""Tokens, finish reason and model out of what LLM providers answer (dicts or objects); pure."""

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
    """What one model call used; 0 where the provider did not say."""

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
    for found in (_field(raw, "usage"), _field(raw, "usage_metadata"), raw, additional):
        if found is None:
            continue
        told_in, told_out = _number(found, _INPUT), _number(found, _OUTPUT)
        if told_in or told_out:
            details = _field(found, "prompt_tokens_details") or _field(
                found, "input_tokens_details"
            )
            spent = _field(found, "completion_tokens_details") or _field(
                found, "output_tokens_details"
            )
            return ModelUsage(
                input_tokens=told_in,
                output_tokens=told_out,
                cache_read_tokens=_number(found, _CACHE_READ)
                or _number(details, ("cached_tokens",)),
                cache_write_tokens=_number(found, _CACHE_WRITE),
                reasoning_tokens=_number(spent, ("reasoning_tokens",)),
            )
    return None


def finish_reason_of(raw: object, additional: Mapping[str, Any]) -> str:
    """`stop`, `length`, `tool_calls` ... as the provider says it, or ""."""
    choices = _field(raw, "choices") or _field(raw, "candidates")
    first = choices[0] if isinstance(choices, list) and choices else None
    for source in (first, raw, additional):
        for name in ("finish_reason", "stop_reason", "done_reason"):
            found = _field(source, name)
            if found is not None and not callable(found):
                return str(getattr(found, "value", found))[:64]
    return ""


def text_field(raw: object, name: str) -> str:
    """A short text such as the response's `id` or `model`, or ""."""
    found = _field(raw, name)
    return found[:128] if isinstance(found, str) else ""


def _field(source: object, name: str) -> LlamaIndexObject:
    if source is None:
        return None
    if isinstance(source, Mapping):
        return source.get(name)
    return getattr(source, name, None)


def _number(source: object, names: tuple[str, ...]) -> int:
    for name in names:
        found = _field(source, name)
        if isinstance(found, int) and not isinstance(found, bool) and found > 0:
            return found
    return 0
