"""Every span attribute name of this package, once; those of the product it serves are derived.

Sources: OpenTelemetry GenAI semantic conventions v1.41 (all of gen_ai is still "Development"; the
draft in open-telemetry/semantic-conventions-genai renames some), LangSmith's OTLP mapping,
OpenInference. Names without a comment are the GenAI conventions' own.
"""

from collections.abc import Mapping
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
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
CONTENT_ATTRIBUTES: Final[tuple[str, ...]] = (
    INPUT_MESSAGES,
    OUTPUT_MESSAGES,
    "gen_ai.system_instructions",
    QUERY_TEXT,
    RETRIEVED_DOCUMENTS,
    TOOL_DEFINITIONS,
    TOOL_ARGUMENTS,
    TOOL_RESULT,
    "gen_ai.prompt",
    "gen_ai.completion",
    "input.value",
    "output.value",
    "llm.input_messages",
    "llm.output_messages",
    "llm.prompts",
    "llm.tools",
    "tool.description",
    "tool.json_schema",
    "tool.parameters",
    "reranker.query",
    "langfuse.observation.input",
    "langfuse.observation.output",
    "langfuse.trace.metadata",
    "langfuse.trace.tags",
    "langsmith.span.tags",
    "tag.tags",
    "metadata",
    "langsmith.inputs",
    "langsmith.outputs",
    "llamaindex.start_event",
    "llamaindex.step.input_summary",
)

DEGRADED_TAG: Final = "degraded"
LANGSMITH_DEGRADED: Final = "langsmith.metadata.degraded"

OF_FIRST_ATTEMPT: Final = (PROMPT_LENGTH, MODEL, PROVIDER)
"""What a repeated call that fails again does not repeat: its first attempt, linked, has it."""

# OpenInference (Phoenix, LangSmith and Langfuse read it), behind its switch.
OPENINFERENCE_KIND: Final = "openinference.span.kind"
_OPENINFERENCE_NAMES: Final = (
    (REQUEST_MODEL, "llm.model_name"),
    (REQUEST_MODEL, "llm.request.model_name"),
    (RESPONSE_MODEL, "llm.response.model_name"),
    (PROVIDER, "llm.provider"),
    (PROVIDER, "llm.system"),
    (INPUT_TOKENS, "llm.token_count.prompt"),
    (OUTPUT_TOKENS, "llm.token_count.completion"),
    (TOTAL_TOKENS, "llm.token_count.total"),
    (CACHE_READ_TOKENS, "llm.token_count.prompt_details.cache_read"),
    ("gen_ai.usage.cache_creation.input_tokens", "llm.token_count.prompt_details.cache_write"),
    ("gen_ai.usage.cache_write.input_tokens", "llm.token_count.prompt_details.cache_write"),
    (REASONING_TOKENS, "llm.token_count.completion_details.reasoning"),
)


def openinference_of(operation: str, attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """What OpenInference calls the attributes of a model call."""
    if operation == "embeddings":
        return {"embedding.model_name": attributes.get(REQUEST_MODEL, "")}
    found = {other: attributes[own] for own, other in _OPENINFERENCE_NAMES if own in attributes}
    reasons = attributes.get(FINISH_REASONS)
    return {**found, "llm.finish_reason": reasons[0]} if isinstance(reasons, tuple) else found


# A run's fields, by the back end that reads the name; `metadata` is one attribute for each entry.
RUN_FIELDS: Final[dict[str, dict[str, str]]] = {
    "langsmith": {
        "session": "langsmith.trace.session_id",
        "user": "langsmith.metadata.user_id",
        "tenant": "langsmith.metadata.tenant",
        "tags": "langsmith.span.tags",
        "metadata": "langsmith.metadata",
        "release": "langsmith.metadata.release",
        "prompt_version": "langsmith.metadata.prompt_version",
        "index_version": "langsmith.metadata.index_version",
    },
    "langfuse": {
        "session": "session.id",
        "user": "user.id",
        "tenant": "langfuse.trace.metadata.tenant",
        "tags": "langfuse.trace.tags",
        "metadata": "langfuse.trace.metadata",
        "release": "langfuse.release",
        "prompt_version": "langfuse.trace.metadata.prompt_version",
        "index_version": "langfuse.trace.metadata.index_version",
    },
    "openinference": {
        "session": "session.id",
        "user": "user.id",
        "tenant": "metadata.tenant",
        "tags": "tag.tags",
        "metadata": "metadata",
        "release": "metadata.release",
        "prompt_version": "metadata.prompt_version",
        "index_version": "metadata.index_version",
    },
}
# The type of a span at the other back ends, by its LangSmith run type.
OBSERVATION_TYPES: Final[dict[str, dict[str, str]]] = {
    "langfuse": {
        "llm": "generation", "embedding": "embedding", "retriever": "retriever", "tool": "tool",
        "chain": "chain", "parser": "span", "agent": "agent", "reranker": "chain",
    },
    "openinference": {
        "llm": "LLM", "embedding": "EMBEDDING", "retriever": "RETRIEVER", "tool": "TOOL",
        "chain": "CHAIN", "parser": "CHAIN", "agent": "AGENT", "reranker": "RERANKER",
    },
}  # fmt: skip
_OBSERVATION_KEYS: Final = {
    "langfuse": "langfuse.observation.type",
    "openinference": OPENINFERENCE_KIND,
}


def observation_type(back_end: str, run_type: str) -> dict[str, Attribute]:
    """The attribute that tells `back_end` what kind of call a span of this run type is."""
    types = OBSERVATION_TYPES.get(back_end)
    return {_OBSERVATION_KEYS[back_end]: types.get(run_type, types["chain"])} if types else {}


def run_attributes(back_end: str, field: str, value: object) -> dict[str, Attribute]:
    """The attributes under which `back_end` reads a field of `RUN_FIELDS`."""
    name = RUN_FIELDS[back_end][field]
    if isinstance(value, Mapping):
        return {f"{name}.{key}": entry for key, entry in value.items() if entry is not None}
    if isinstance(value, list | tuple):
        texts = tuple(map(str, value))
        return {name: ",".join(texts) if back_end == "langsmith" else texts}
    also: dict[str, Attribute] = (
        {"gen_ai.conversation.id": str(value)} if field == "session" else {}
    )
    return {**also, name: value if isinstance(value, int | float) else str(value)}


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
    degraded: str  # true on a degraded run and on the request above it
    outcome: str  # cancelled, waiting, closed early, abandoned, refused (a mistake of the caller)
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
        degraded=f"{namespace}.degraded",
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
    return (
        name in _CONTENT_SET
        or name.startswith(_CONTENT_DOTTED)
        or name.endswith((".document.content", ".document.metadata"))
    )


_CONTENT_SET: Final = frozenset(CONTENT_ATTRIBUTES)
_CONTENT_DOTTED: Final = tuple(f"{name}." for name in CONTENT_ATTRIBUTES)
