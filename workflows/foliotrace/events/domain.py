"""What happens in the journeys, one class per event, and where it shows: attributes, metrics.

The attribute names are a public contract: dashboards, collector and alert rules read them.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar, Final

from foliotrace.events import instruments
from foliotrace.events.dispatch import DomainEvent
from foliotrace.events.instruments import Measurement

_ERROR: Final = {"reason": "error_type"}


# --- a question --------------------------------------------------------------------------------


class QueryAnswered(DomainEvent):
    """A question was answered. `origin`: traceparent of the run that made a reused answer."""

    span_attributes: ClassVar = {
        "run_id": "foliotrace.run_id",
        "degraded": "foliotrace.degraded",
        "level": "foliotrace.degradation.level",
        "joined_reasons": "foliotrace.degradation.reasons",
        "retrieval_mode": "foliotrace.retrieval.mode",
        "answer_mode": "foliotrace.answer.mode",
        "citations": "foliotrace.answer.citations",
        "removed_claims": "foliotrace.answer.removed_claims",
        "cache": "foliotrace.cache.state",
        "model": "response_model",
        "cost_usd": "foliotrace.cost.usd",
        "origin": "foliotrace.link",
    }

    run_id: str
    level: int
    reasons: tuple[str, ...] = ()
    retrieval_mode: str
    answer_mode: str
    citations: int
    removed_claims: int | None = None
    cache: str
    model: str | None = None
    cost_usd: float | None = None
    origin: str | None = None

    @property
    def degraded(self) -> bool:
        """Whether the answer is below the best configured path."""
        return self.level > 0

    @property
    def joined_reasons(self) -> str | None:
        """The reasons in one attribute, for search in a trace browser."""
        return ",".join(self.reasons) or None

    def measurements(self) -> Iterable[Measurement]:
        """A degraded answer counts once, under its first reason, so that shares add up."""
        yield instruments.CACHE_REQUESTS.measured(1, "answer", self.cache)
        if self.level:
            first = self.reasons[0] if self.reasons else ""
            yield instruments.DEGRADED_ANSWERS.measured(1, str(self.level), first)


class PassagesRetrieved(DomainEvent):
    """A retrieval path returned passages. `top_score` is None when there are none."""

    span_attributes: ClassVar = {
        "collection": "data_source",
        "top_k": "retrieval_top_k",
        "mode": "foliotrace.retrieval.mode",
        "passages": "foliotrace.retrieved",
        "top_score": "foliotrace.retrieval.top_score",
    }

    collection: str
    top_k: int
    mode: str
    passages: int
    top_score: float | None = None


class RetrievalPathFailed(DomainEvent):
    """A retrieval path failed, or a lower one answered before it."""

    span_attributes: ClassVar = {"path": "foliotrace.retrieval.failed_path", **_ERROR}

    path: str
    reason: str

    def measurements(self) -> Iterable[Measurement]:
        """One fallback."""
        yield instruments.FALLBACKS.measured(1, self.path, "next")


class RoutingSkipped(DomainEvent):
    """Document routing could not read the library; retrieval went on without it."""

    span_attributes: ClassVar = _ERROR

    reason: str


class PassagesAligned(DomainEvent):
    """Passages of the managed index were located in the stored pages; some only roughly."""

    span_attributes: ClassVar = {"not_aligned": "foliotrace.retrieval.not_aligned"}

    not_aligned: int


class QuestionCoverMeasured(DomainEvent):
    """How much of the question the best passage covers, from 0 to 1; below a floor we abstain."""

    span_attributes: ClassVar = {"cover": "foliotrace.answer.cover"}

    cover: float


class GeneratorFailed(DomainEvent):
    """An LLM failed to answer; the ladder decides what follows."""

    span_attributes: ClassVar = {"model": "request_model", **_ERROR}

    model: str
    reason: str

    def measurements(self) -> Iterable[Measurement]:
        """One fallback."""
        yield instruments.FALLBACKS.measured(1, self.model, "next")


class SemanticCacheHit(DomainEvent):
    """The answer to a question with the same meaning was reused; `similarity` is the cosine."""

    span_attributes: ClassVar = {"similarity": "foliotrace.cache.similarity"}

    similarity: float


class CacheLookupFailed(DomainEvent):
    """The answer cache could not be read; the question was answered without it."""

    span_attributes: ClassVar = _ERROR

    reason: str


class AnswerNotCached(DomainEvent):
    """The answer could not be stored for the next time."""

    span_attributes: ClassVar = _ERROR

    reason: str


class StaleLookupFailed(DomainEvent):
    """The stale answers kept for outages could not be read."""

    span_attributes: ClassVar = _ERROR

    reason: str


class RunsNotSaved(DomainEvent):
    """Run records could not be written; they are tried again with the next ones."""

    span_attributes: ClassVar = {"reason": "foliotrace.runs.reason"}

    reason: str


# --- a file ------------------------------------------------------------------------------------


class DocumentIngested(DomainEvent):
    """An ingestion job ended. `parser` is None if no page was parsed; `problem` if it failed."""

    span_attributes: ClassVar = {
        "outcome": "foliotrace.ingest.outcome",
        "pages": "foliotrace.ingest.pages",
        "chunks": "foliotrace.ingest.chunks",
        "parser": "foliotrace.ingest.parser",
        "problem": "error_type",
    }

    outcome: str
    pages: int
    chunks: int
    parser: str | None = None
    problem: str | None = None

    def measurements(self) -> Iterable[Measurement]:
        """The document, its pages and chunks, and its failure."""
        yield instruments.DOCUMENTS.measured(1, self.outcome)
        yield instruments.PAGES.measured(self.pages, self.parser or "")
        yield instruments.CHUNKS.measured(self.chunks)
        if self.problem:
            yield instruments.INGEST_FAILURES.measured(1, self.problem)


class ParserFellBack(DomainEvent):
    """A parser became unavailable; the next one reads the remaining pages."""

    span_attributes: ClassVar = {"reason": "foliotrace.parse.reason"}

    reason: str


class EmbeddingPostponed(DomainEvent):
    """The embedder failed; its documents wait and are tried again."""

    span_attributes: ClassVar = {"reason": "foliotrace.embedding.reason"}

    reason: str


class IndexBehind(DomainEvent):
    """The managed index could not be brought up to date."""

    span_attributes: ClassVar = {"dependency": "foliotrace.index.dependency", **_ERROR}

    dependency: str
    reason: str


class CacheEvictionFailed(DomainEvent):
    """Answers that cite a replaced document could not be evicted; their keys no longer match."""

    span_attributes: ClassVar = _ERROR

    reason: str


# --- a record ----------------------------------------------------------------------------------


class ExtractionCompleted(DomainEvent):
    """A record was extracted and held against its schema."""

    span_attributes: ClassVar = {
        "valid": "foliotrace.extract.valid",
        "level": "foliotrace.degradation.level",
    }

    valid: bool
    level: int

    def measurements(self) -> Iterable[Measurement]:
        """One record."""
        yield instruments.RECORDS.measured(1, "valid" if self.valid else "invalid")


class ExtractionRungFailed(DomainEvent):
    """An extraction method failed; the next one is tried. `reason` begins with the method."""

    span_attributes: ClassVar = {"reason": "foliotrace.extract.reason"}

    reason: str


# --- calls to other services ---------------------------------------------------------------------


class CallRetried(DomainEvent):
    """A call failed and is repeated after `wait_s`; `attempt` is the number of the failed one."""

    span_attributes: ClassVar = {
        "dependency": "foliotrace.retry.dependency",
        "attempt": "foliotrace.retry.attempt",
        "wait_s": "foliotrace.retry.wait_s",
        **_ERROR,
    }

    dependency: str
    attempt: int
    wait_s: float
    reason: str | None = None

    def measurements(self) -> Iterable[Measurement]:
        """One retry."""
        yield instruments.RETRIES.measured(1, self.dependency, self.reason or "")


class BreakerChanged(DomainEvent):
    """A circuit breaker changed its state to `status`."""

    span_attributes: ClassVar = {
        "dependency": "foliotrace.breaker.dependency",
        "status": "foliotrace.breaker.status",
    }

    dependency: str
    status: str

    def measurements(self) -> Iterable[Measurement]:
        """The transition, and the state it leads to."""
        yield instruments.BREAKER_TRANSITIONS.measured(1, self.dependency, self.status)
        yield instruments.BREAKER_OPEN.measured(self.status == "open", self.dependency)


class ModelCallPaid(DomainEvent):
    """A model call was charged to the query's budget."""

    span_attributes: ClassVar = {
        "model": "request_model",
        "prompt_tokens": "input_tokens",
        "completion_tokens": "output_tokens",
        "cost": "foliotrace.cost.usd",
    }

    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: Decimal

    @property
    def cost(self) -> float:
        """The cost in USD as spans and metrics take it."""
        return float(self.cost_usd)

    def measurements(self) -> Iterable[Measurement]:
        """The money."""
        yield instruments.COST.measured(self.cost, self.model)


class ReservationNotSettled(DomainEvent):
    """The ledger failed after a paid call; the worst case stays reserved there."""

    span_attributes: ClassVar = _ERROR

    reason: str


class CloudJobFinished(DomainEvent):
    """A LlamaCloud job of `kind` ended and cost `credits`."""

    span_attributes: ClassVar = {
        "kind": "foliotrace.cloud.kind",
        "job_id": "foliotrace.cloud.job_id",
        "credits": "foliotrace.cloud.credits",
    }

    kind: str
    job_id: str
    credits: float


class CloudPurchaseReconciled(DomainEvent):
    """A LlamaCloud job whose acknowledgement was lost was found again instead of bought twice."""

    span_attributes: ClassVar = {"kind": "foliotrace.cloud.kind"}

    kind: str


class CloudParseJobExpired(DomainEvent):
    """LlamaCloud no longer knows a parse job; the file is uploaded again."""


class CloudCancelFailed(DomainEvent):
    """A LlamaCloud job that nobody waits for could not be cancelled."""

    span_attributes: ClassVar = _ERROR

    reason: str
