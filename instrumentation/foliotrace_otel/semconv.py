"""Every span attribute name of this package, once; those of the product it serves are derived.

Sources: OpenTelemetry GenAI semantic conventions v1.41 (all of gen_ai is still "Development"; the
draft in open-telemetry/semantic-conventions-genai renames some), LangSmith's OTLP mapping,
OpenInference. Names without a comment are the GenAI conventions' own.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, TypeAlias

Attribute: TypeAlias = str | int | float | bool | tuple[str, ...] | tuple[float, ...]
Version: TypeAlias = Literal["1.41", "latest"]

NAMESPACE: Final = "foliotrace_otel"  # where the program names none of its own

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK_S: Final = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
DATA_SOURCE: Final = "gen_ai.data_source.id"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
AGENT_NAME: Final = "gen_ai.agent.name"
TOOL_NAME: Final = "gen_ai.tool.name"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - an attribute name, not a secret
ERROR_TYPE: Final = "error.type"
FUNCTION: Final = "code.function.name"
HTTP_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_STATUS: Final = "http.response.status_code"

# Keys that every LLM span carries besides those of the conventions, which may still change.
PROMPT_LENGTH: Final = "prompt.length"  # characters
MODEL: Final = "model"
RESPONSE_LENGTH: Final = "response.length"  # characters
DURATION_MS: Final = "duration_ms"
TOTAL_TOKENS: Final = "tokens.total"

LANGSMITH_KIND: Final = "langsmith.span.kind"
LANGSMITH_PROVIDER: Final = "langsmith.metadata.ls_provider"

# Content. Leaves the process only when capture is switched on (see `ContentPolicy`); a collector
# strips them for back ends that must not have them. Prefixes: a name equal to one, or going on
# with a dot, is content.
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
QUERY_TEXT: Final = "gen_ai.retrieval.query.text"
RETRIEVED_DOCUMENTS: Final = "gen_ai.retrieval.documents"
CONTENT_ATTRIBUTES: Final[tuple[str, ...]] = (
    INPUT_MESSAGES,
    OUTPUT_MESSAGES,
    "gen_ai.system_instructions",
    QUERY_TEXT,
    RETRIEVED_DOCUMENTS,
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.prompt",
    "gen_ai.completion",
    "input.value",
    "output.value",
    "llm.input_messages",
    "llm.output_messages",
    "llm.prompts",
    "langsmith.inputs",
    "langsmith.outputs",
    "llamaindex.start_event",
    "llamaindex.step.input_summary",
)

# OpenInference (Phoenix, LangSmith and Langfuse read it), behind its switch.
OPENINFERENCE_KIND: Final = "openinference.span.kind"
OPENINFERENCE_NAMES: Final[dict[str, str]] = {
    REQUEST_MODEL: "llm.model_name",
    INPUT_TOKENS: "llm.token_count.prompt",
    OUTPUT_TOKENS: "llm.token_count.completion",
    TOTAL_TOKENS: "llm.token_count.total",
}


# Concepts that an event's `span_attributes` may name instead of an attribute, so that only this
# package has to follow the GenAI conventions as they move.
CONCEPTS: Final[dict[str, str]] = {
    "request_model": REQUEST_MODEL,
    "response_model": RESPONSE_MODEL,
    "input_tokens": INPUT_TOKENS,
    "output_tokens": OUTPUT_TOKENS,
    "data_source": DATA_SOURCE,
    "retrieval_top_k": "gen_ai.retrieval.top_k",
    "error_type": ERROR_TYPE,
}

_CACHE_WRITE_TOKENS: Final[dict[Version, str]] = {
    "1.41": "gen_ai.usage.cache_creation.input_tokens",
    "latest": "gen_ai.usage.cache_write.input_tokens",
}


@dataclass(frozen=True, slots=True)
class SpanNames:
    """The names that begin with the product's namespace, or differ between convention versions."""

    entry: str  # true on the first span of a service
    outcome: str  # cancelled, waiting, closed early, abandoned
    retrieved: str  # number of passages
    retrieved_ids: str
    retrieved_scores: str
    link: str  # a traceparent among an event's attributes: becomes a span link
    attempt: str  # from 2: a repeated call, linked to the first attempt; also an instrument tag
    call: str  # the instrument tag that names the repeated call
    stage_mark: str  # class or function attribute: calls are the stage of this name
    stages_mark: str  # workflow class attribute: its stages are spans, hide its steps
    cache_write_tokens: str


@cache
def span_names(namespace: str, version: Version = "1.41") -> SpanNames:
    """The names under `namespace` and `version` of the GenAI conventions."""
    return SpanNames(
        entry=f"{namespace}.entry",
        outcome=f"{namespace}.outcome",
        retrieved=f"{namespace}.retrieved",
        retrieved_ids=f"{namespace}.retrieved.ids",
        retrieved_scores=f"{namespace}.retrieved.scores",
        link=f"{namespace}.link",
        attempt=f"{namespace}.attempt",
        call=f"{namespace}.call",
        stage_mark=f"__{namespace}_stage__",
        stages_mark=f"__{namespace}_stages__",
        cache_write_tokens=_CACHE_WRITE_TOKENS[version],
    )


def is_content(name: str) -> bool:
    """Whether attribute `name` may hold query, prompt, passage or answer text."""
    return name in _CONTENT_SET or any(name.startswith(p) for p in _CONTENT_DOTTED)


_CONTENT_SET: Final = frozenset(CONTENT_ATTRIBUTES)
_CONTENT_DOTTED: Final = tuple(f"{name}." for name in CONTENT_ATTRIBUTES)
