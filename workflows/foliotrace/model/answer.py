"""Answers, extracted records and runs: what was degraded, what it cost, how to reproduce it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from operator import attrgetter
from typing import Any, Final

from foliotrace.model.question import (
    DEFAULT_COLLECTION,
    AnswerMode,
    Citation,
    ExecutionMode,
    JsonObject,
    Metadata,
    RetrievalMode,
    Scalar,
)


class Level(IntEnum):
    """How far a result fell below the best configured path."""

    NONE = 0
    OTHER_LLM = 1
    LOWER_PATH = 2
    STALE = 3
    TEMPLATE = 4


BASE_RELEASE: Final = "base"
"""The configuration that the service's own settings describe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """How far, and why, an answer is below what is configured."""

    level: Level = Level.NONE
    reasons: tuple[str, ...] = ()  # stable words: "keyword_index_unavailable", "embedding_pending"
    retrieval: RetrievalMode = RetrievalMode.NONE
    answer: AnswerMode = AnswerMode.EXTRACTIVE
    contributed: tuple[RetrievalMode, ...] = field(
        default=(),
        metadata={
            "description": "The indexes that found what is cited: `managed` and a local one where"
            " both did."
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens and money of one run, retries, fallbacks and timed-out calls included.

    A timed-out call counts at its worst case; tokens that nobody reports are estimated.
    """

    prompt_tokens: int = 0
    cached_tokens: int = field(
        default=0, metadata={"description": "Those prompt tokens that the provider had cached."}
    )
    completion_tokens: int = 0
    embedding_tokens: int = 0
    llm_calls: int = 0
    cost_usd: Decimal = field(
        default=Decimal(0), metadata={"description": "US dollars, a decimal number as text."}
    )
    credits: float = field(default=0.0, metadata={"description": "LlamaCloud credits."})

    @property
    def total_tokens(self) -> int:
        """All tokens that were billed."""
        return self.prompt_tokens + self.completion_tokens + self.embedding_tokens

    def plus(self, other: "Usage") -> "Usage":
        """The sum of both."""
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            embedding_tokens=self.embedding_tokens + other.embedding_tokens,
            llm_calls=self.llm_calls + other.llm_calls,
            cost_usd=self.cost_usd + other.cost_usd,
            credits=self.credits + other.credits,
        )


class CacheState(StrEnum):
    """Whether an answer came from the cache."""

    MISS = "miss"
    EXACT = "exact"
    SEMANTIC = "semantic"
    BYPASS = "bypass"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerContent:
    """What synthesis decides about an answer beside its text; later stages take it over.

    A field declared here reaches the REST API and the clients.
    """

    citations: tuple[Citation, ...] = ()
    model: str | None = None
    removed_claims: int = field(
        default=0,
        metadata={"description": "Sentences or markers removed because no passage supports them."},
    )
    derived_claims: int = field(
        default=0,
        metadata={"description": "Sentences that follow from the passages: arithmetic, yes or no."},
    )
    unverified_claims: int = field(
        default=0,
        metadata={"description": "Sentences kept with a mark because no passage verifies them."},
    )
    notice: str | None = None  # "No LLM is configured: these are quoted passages."
    sub_questions: tuple[str, ...] = field(
        default=(),
        metadata={
            "description": "What was searched for beside the question itself: the parts of a "
            "comparison, or a named part that the first search lacked."
        },
    )
    age_s: float | None = field(default=None, metadata={"description": "Stale answers only."})

    def content(self) -> dict[str, Any]:
        """The fields of this class by name, for the constructor of the next stage's value."""
        return dict(zip(_CONTENT, _read_content(self), strict=True))


_CONTENT = tuple(each.name for each in fields(AnswerContent))
_read_content = attrgetter(*_CONTENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerDetails(AnswerContent):
    """What callers see of an answer beside its text.

    A field declared here reaches the REST API and the clients.
    """

    degradation: Degradation = Degradation()
    usage: Usage = Usage()
    cache: CacheState = CacheState.MISS
    retry_after_s: float | None = field(
        default=None, metadata={"description": "Template answers only."}
    )
    rewritten_query: str | None = field(
        default=None,
        metadata={"description": "The question that was answered, if a follow-up was rewritten."},
    )
    run_id: str = ""
    trace_id: str | None = field(
        default=None, metadata={"description": "Null for an answer whose trace is not sampled."}
    )
    release: str = field(
        default=BASE_RELEASE, metadata={"description": "Name of the release that answered."}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(AnswerDetails):
    """The answer to a question."""

    text: str
    origin: str | None = None  # traceparent of the run that made it, kept when a cache serves it

    def __repr__(self) -> str:
        """Short and without content: engines write it into summaries and logs."""
        return f"Answer(run_id={self.run_id!r}, level={int(self.degradation.level)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The versions that produced a result, to reproduce it."""

    code: str
    prompt: str
    model: str | None
    index: int
    settings: str = field(
        default="",
        metadata={"description": "Fingerprint of the settings, paths and models that answered."},
    )
    release: str = field(
        default=BASE_RELEASE, metadata={"description": "Name of the release that answered."}
    )


class RunContent(StrEnum):
    """What a run holds of the texts of its question and answer."""

    OFF = "off"
    WHOLE = "whole"
    REDACTED = "redacted"  # personal data was replaced: the question is not the one asked
    UNREADABLE = "unreadable"  # encrypted with a key that is not here


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """How a question was asked, beside its text. `filters` are null where content is not kept."""

    collection: str = DEFAULT_COLLECTION
    top_k: int = 5
    path: ExecutionMode | None = None
    filters: Mapping[str, tuple[Scalar, ...]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """What callers see of a question and its end. The texts are null unless `runs.keep_content`."""

    id: str
    workflow: str
    versions: Versions
    degradation: Degradation
    citations: tuple[Citation, ...]
    usage: Usage
    query_hash: str
    user_id: str | None
    session_id: str | None
    tags: tuple[str, ...]
    metadata: Metadata
    trace_id: str | None
    created_at: datetime
    elapsed_ms: float
    project: str = "default"
    error: str | None = field(
        default=None, metadata={"description": "Error code; null for an answered question."}
    )
    request: RunRequest = RunRequest()
    content: RunContent = RunContent.OFF
    query_text: str | None = None
    answer_text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(RunView):
    """The stored record of a question. `subject` is the caller, who may read it."""

    tenant: str
    subject: str = "anonymous"
    traceparent: str | None = None  # of its span, for links from what happens to it later


class ExtractionMethod(StrEnum):
    """What extracted the value of a field."""

    CLOUD = "cloud"
    LLM = "llm"
    RULES = "rules"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldResult:
    """One field of a record, by JSON pointer ("/lines/0/amount"); a value not found is null."""

    pointer: str
    value: Any
    confidence: float | None = None  # 0..1
    citations: tuple[Citation, ...] = ()
    method: ExtractionMethod = ExtractionMethod.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """The record of one document; an invalid one is returned with its errors."""

    record: JsonObject
    fields: tuple[FieldResult, ...]
    valid: bool
    errors: tuple[str, ...] = ()
    degradation: Degradation = field(default_factory=Degradation)
    usage: Usage = field(default_factory=Usage)
