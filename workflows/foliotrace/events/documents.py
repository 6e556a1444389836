"""What happens while a file is ingested or a record is extracted.

`span_attributes` and `measurements` are a public contract: dashboards, collector and alert rules
read these names.
"""

from collections.abc import Iterable
from typing import ClassVar, Final

from foliotrace.events import instruments
from foliotrace.events.dispatch import DomainEvent, joined
from foliotrace.events.instruments import Measurement

_ERROR: Final = {"reason": "error_type"}


class DocumentIngested(DomainEvent):
    """An ingestion job ended. `parser` is None if no page was parsed; `problem` if it failed."""

    span_attributes: ClassVar = {
        "outcome": "foliotrace.ingest.outcome",
        "pages": "foliotrace.ingest.pages",
        "chunks": "foliotrace.ingest.chunks",
        "parser": "foliotrace.ingest.parser",
        "problem": "foliotrace.ingest.problem",
        "cost_usd": "foliotrace.cost.usd",
        "pages_degraded": "foliotrace.ingest.pages_degraded",
    }
    recorded_as: ClassVar = "run"

    outcome: str
    pages: int
    chunks: int
    parser: str | None = None
    problem: str | None = None
    cost_usd: float | None = None
    pages_degraded: int = 0

    def measurements(self) -> Iterable[Measurement]:
        """The document, its pages and chunks, and its failure."""
        yield instruments.DOCUMENTS.measured(1, self.outcome)
        yield instruments.PAGES.measured(self.pages, self.parser or "")
        yield instruments.CHUNKS.measured(self.chunks)
        if self.pages_degraded:
            yield instruments.DEGRADED_PAGES.measured(self.pages_degraded)
        if self.problem:
            yield instruments.INGEST_FAILURES.measured(1, self.problem)


class ParserFellBack(DomainEvent):
    """A parser became unavailable; the next one reads the remaining pages."""

    span_attributes: ClassVar = {"reason": "foliotrace.parse.reason"}
    recorded_as: ClassVar = "event"

    reason: str


class EmbeddingPostponed(DomainEvent):
    """The embedder failed; its documents wait and are tried again."""

    span_attributes: ClassVar = {"reason": "foliotrace.embedding.reason"}
    recorded_as: ClassVar = "event"

    reason: str


class IndexBehind(DomainEvent):
    """The managed index could not be brought up to date."""

    span_attributes: ClassVar = {"dependency": "foliotrace.index.dependency", **_ERROR}
    recorded_as: ClassVar = "event"

    dependency: str
    reason: str


class CacheEvictionFailed(DomainEvent):
    """Answers that cite a replaced document could not be evicted; their keys no longer match."""

    span_attributes: ClassVar = _ERROR
    recorded_as: ClassVar = "event"

    reason: str


class JobQuarantined(DomainEvent):
    """A job was given up because its record cannot be read. `kind`: ingest, extract or own."""

    span_attributes: ClassVar = {"kind": "foliotrace.job.kind", **_ERROR}
    recorded_as: ClassVar = "event"

    kind: str
    reason: str

    def measurements(self) -> Iterable[Measurement]:
        """One job."""
        yield instruments.QUARANTINED_JOBS.measured(1, self.kind)


class ExtractionCompleted(DomainEvent):
    """A record was extracted and held against its schema."""

    span_attributes: ClassVar = {
        "valid": "foliotrace.extract.valid",
        "degraded": "foliotrace.degraded",
        "level": "foliotrace.degradation.level",
        "joined_reasons": "foliotrace.degradation.reasons",
        "cost_usd": "foliotrace.cost.usd",
    }
    recorded_as: ClassVar = "run"

    valid: bool
    level: int
    reasons: tuple[str, ...] = ()
    cost_usd: float | None = None

    @property
    def degraded(self) -> bool:
        """Whether the record is below the best configured path."""
        return self.level > 0

    @property
    def joined_reasons(self) -> str | None:
        """The reasons in one attribute."""
        return joined(self.reasons)

    def measurements(self) -> Iterable[Measurement]:
        """One record; a degraded one counts once, under its first reason."""
        yield instruments.RECORDS.measured(1, "valid" if self.valid else "invalid")
        yield from instruments.degraded_result(self.level, self.reasons)


class ExtractionRungFailed(DomainEvent):
    """An extraction method failed; the next one is tried. `reason` begins with the method."""

    span_attributes: ClassVar = {"reason": "foliotrace.extract.reason"}
    recorded_as: ClassVar = "event"

    reason: str
