"""What happens while a question is answered.

`span_attributes` and `measurements` are a public contract: dashboards, collector and alert rules
read these names.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

from foliotrace.events import instruments
from foliotrace.events.dispatch import DomainEvent, joined
from foliotrace.events.instruments import Measurement

_ERROR: Final = {"reason": "error_type"}


class RunDescribed(DomainEvent):
    """Whose run this is, and of which versions. Observers export it together with content only."""

    span_attributes: ClassVar = {
        "tenant": "tenant",
        "user": "user",
        "session_id": "session",
        "labels": "tags",
        "entries": "metadata",
        "release": "release",
        "prompt_version": "prompt_version",
        "index_version": "index_version",
    }
    recorded_as: ClassVar = "run_description"

    tenant: str
    user: str | None = None
    session_id: str | None = None
    labels: tuple[str, ...] = ()
    entries: Mapping[str, str | int | float | bool] = {}
    release: str | None = None
    prompt_version: str | None = None
    index_version: int | None = None


class QueryAnswered(DomainEvent):
    """A question was answered. `origin`: traceparent of the run that made a reused answer."""

    span_attributes: ClassVar = {
        "run_id": "foliotrace.run_id",
        "degraded": "foliotrace.degraded",
        "level": "foliotrace.degradation.level",
        "joined_reasons": "foliotrace.degradation.reasons",
        "retrieval_mode": "foliotrace.retrieval.mode",
        "joined_contributed": "foliotrace.retrieval.contributed",
        "answer_mode": "foliotrace.answer.mode",
        "citations": "foliotrace.answer.citations",
        "removed_claims": "foliotrace.answer.removed_claims",
        "cache": "foliotrace.cache.state",
        "release": "foliotrace.release",
        "model": "response_model",
        "cost_usd": "foliotrace.cost.usd",
        "origin": "foliotrace.link",
    }

    run_id: str
    level: int
    reasons: tuple[str, ...] = ()
    retrieval_mode: str
    contributed: tuple[str, ...] = ()
    answer_mode: str
    citations: int
    removed_claims: int | None = None
    cache: str
    release: str | None = None
    model: str | None = None
    cost_usd: float | None = None
    origin: str | None = None

    @property
    def degraded(self) -> bool:
        """Whether the answer is below the best configured path."""
        return self.level > 0

    @property
    def joined_reasons(self) -> str | None:
        """The reasons in one attribute."""
        return joined(self.reasons)

    @property
    def joined_contributed(self) -> str | None:
        """The indexes that contributed, where it was more than the one that `mode` names."""
        return joined(self.contributed) if len(self.contributed) > 1 else None

    def measurements(self) -> Iterable[Measurement]:
        """A degraded answer counts once, under its first reason, so that shares add up."""
        yield instruments.CACHE_REQUESTS.measured(1, "answer", self.cache)
        yield from instruments.degraded_result(self.level, self.reasons)


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
    recorded_as: ClassVar = "event"

    path: str
    reason: str

    def measurements(self) -> Iterable[Measurement]:
        """One fallback."""
        yield instruments.FALLBACKS.measured(1, self.path, "next")


class RoutingSkipped(DomainEvent):
    """Document routing could not read the library; retrieval went on without it."""

    span_attributes: ClassVar = _ERROR
    recorded_as: ClassVar = "event"

    reason: str


class SubjectCheckSkipped(DomainEvent):
    """What a question names could not be compared with the documents; it was answered without."""

    span_attributes: ClassVar = _ERROR
    recorded_as: ClassVar = "event"

    reason: str


class SubjectMissing(DomainEvent):
    """A question names things that the collection does not hold; how many, never which."""

    span_attributes: ClassVar = {"missing": "foliotrace.answer.missing_subjects"}

    missing: int


class QuestionPlanned(DomainEvent):
    """More than one search was made; `plan` is "comparison", "list" or "second_round".

    `searches` counts those beside the first, `passages` what all of them gave together.
    """

    span_attributes: ClassVar = {
        "plan": "foliotrace.question.plan",
        "searches": "foliotrace.question.searches",
        "passages": "foliotrace.retrieved",
    }
    recorded_as: ClassVar = "event"

    plan: str
    searches: int
    passages: int


class DocumentSummarized(DomainEvent):
    """A document was read for its summary, in `parts` of at most `tokens_per_call`."""

    span_attributes: ClassVar = {
        "parts": "foliotrace.summary.parts",
        "parts_read": "foliotrace.summary.parts_read",
        "pages_read": "foliotrace.summary.pages_read",
    }
    recorded_as: ClassVar = "event"

    parts: int
    parts_read: int
    pages_read: int


class PassagesAligned(DomainEvent):
    """Passages of the managed index were located in the stored pages; some only roughly."""

    span_attributes: ClassVar = {"not_aligned": "foliotrace.retrieval.not_aligned"}

    not_aligned: int

    def measurements(self) -> Iterable[Measurement]:
        """The passages that could not be located."""
        if self.not_aligned:
            yield instruments.PASSAGES_NOT_ALIGNED.measured(self.not_aligned)


class QuestionCoverMeasured(DomainEvent):
    """How much of the question the best passage covers, from 0 to 1; below a floor we abstain."""

    span_attributes: ClassVar = {"cover": "foliotrace.answer.cover"}

    cover: float


class GeneratorFailed(DomainEvent):
    """An LLM failed to answer; the ladder decides what follows."""

    span_attributes: ClassVar = {"model": "request_model", **_ERROR}
    recorded_as: ClassVar = "event"

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
    recorded_as: ClassVar = "event"

    reason: str


class AnswerNotCached(DomainEvent):
    """The answer could not be stored for the next time."""

    span_attributes: ClassVar = _ERROR
    recorded_as: ClassVar = "event"

    reason: str


class StaleLookupFailed(DomainEvent):
    """The stale answers kept for outages could not be read."""

    span_attributes: ClassVar = _ERROR
    recorded_as: ClassVar = "event"

    reason: str


class FeedbackReceived(DomainEvent):
    """A run was rated; the span links to the run's own. `score` is null for a mere comment."""

    span_attributes: ClassVar = {
        "run_id": "foliotrace.run_id",
        "key": "foliotrace.feedback.key",
        "score": "foliotrace.feedback.score",
        "origin": "foliotrace.link",
    }

    run_id: str
    key: str
    score: float | None = None
    origin: str | None = None

    def measurements(self) -> Iterable[Measurement]:
        """The distribution of scores of each key."""
        if self.score is not None:
            yield instruments.FEEDBACK_SCORE.measured(self.score, self.key)


class RunsNotSaved(DomainEvent):
    """Run records could not be written; they are tried again with the next ones."""

    span_attributes: ClassVar = {"reason": "foliotrace.runs.reason"}
    recorded_as: ClassVar = "event"

    reason: str
