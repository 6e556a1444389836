"""An answer: how it came about, what was lost, what it cost."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum

from foliotrace.model.call import Metadata
from foliotrace.model.question import AnswerMode, Citation, RetrievalMode


class Level(IntEnum):
    """The loss against the best configured path (DESIGN section 6)."""

    NONE = 0
    OTHER_LLM = 1
    LOWER_PATH = 2
    STALE = 3
    TEMPLATE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """How far, and why, an answer fell below what is configured."""

    level: Level = Level.NONE
    reasons: tuple[str, ...] = ()  # stable words: "keyword_index_unavailable", "embedding_pending"
    retrieval: RetrievalMode = RetrievalMode.NONE
    answer: AnswerMode = AnswerMode.EXTRACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens and money of one query or extraction, retries and fallbacks included."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    embedding_tokens: int = 0
    llm_calls: int = 0
    cost_usd: Decimal = Decimal(0)
    credits: float = 0.0  # LlamaCloud credits

    @property
    def total_tokens(self) -> int:
        """All tokens that were billed."""
        return self.prompt_tokens + self.completion_tokens + self.embedding_tokens

    def plus(self, other: "Usage") -> "Usage":
        """The sum of two usages."""
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            embedding_tokens=self.embedding_tokens + other.embedding_tokens,
            llm_calls=self.llm_calls + other.llm_calls,
            cost_usd=self.cost_usd + other.cost_usd,
            credits=self.credits + other.credits,
        )


class CacheState(StrEnum):
    """Where an answer came from with respect to the answer cache."""

    MISS = "miss"
    EXACT = "exact"
    SEMANTIC = "semantic"
    BYPASS = "bypass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a question is answered with."""

    text: str
    citations: tuple[Citation, ...] = ()
    degradation: Degradation = Degradation()
    usage: Usage = Usage()
    model: str | None = None
    cache: CacheState = CacheState.MISS
    removed_claims: int = 0  # sentences or markers dropped because no passage supports them
    notice: str | None = None  # "No LLM is configured: these are quoted passages."
    age_s: float | None = None  # stale answers only
    retry_after_s: float | None = None  # template answers only
    run_id: str = ""
    trace_id: str | None = None
    origin: str | None = None  # W3C traceparent of the run that made it, also when given again

    def __repr__(self) -> str:
        """Short and without content: engines write it into summaries and logs."""
        return f"Answer(run_id={self.run_id!r}, level={int(self.degradation.level)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What made a result; enough to make it again."""

    code: str
    prompt: str
    model: str | None
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What `/v1/runs/{id}` tells about an answered question; content only if kept by setting."""

    id: str
    tenant: str
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
    query_text: str | None = None
    answer_text: str | None = None
