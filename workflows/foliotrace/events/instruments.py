"""The metrics that foliotrace records itself: name, kind, unit, labels, meaning.

Names follow OpenTelemetry (dots, no unit). Labels are closed sets of words: never a user, a tenant,
a query or a document. Durations of runs and stages, model calls and the telemetry's own losses are
the instrumentation's to measure, and are not listed here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Measurement: TypeAlias = tuple[str, float, tuple[str, ...]]
"""Instrument name, value (added, set or observed, by the kind), label values in their order."""

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric. `buckets` matter to histograms only."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = SECONDS

    def measured(self, value: float, *labels: str) -> Measurement:
        """A measurement with label values in the instrument's order."""
        return self.name, value, labels


def _counter(name: str, description: str, *labels: str, unit: str = "1") -> Instrument:
    return Instrument(name, "counter", unit, description, labels)


def _gauge(name: str, description: str, *labels: str, unit: str = "{item}") -> Instrument:
    # Not "1": OpenTelemetry's translation to Prometheus reads a gauge of unit 1 as a ratio and
    # appends `_ratio` to its name.
    return Instrument(name, "gauge", unit, description, labels)


COST: Final = _counter("foliotrace.cost.usd", "Money spent on models.", "model", unit="{USD}")
BUDGET_REFUSALS: Final = _counter(
    "foliotrace.budget.refused", "Calls refused by a budget.", "reason"
)
CACHE_REQUESTS: Final = _counter(
    "foliotrace.cache.requests", "Look-ups in a cache.", "cache", "result"
)
DEGRADED_ANSWERS: Final = _counter(
    "foliotrace.degraded_answers",
    "Answers and records below the best configured path.",
    "level",
    "reason",
)
FALLBACKS: Final = _counter("foliotrace.fallbacks", "Moves to the next rung.", "from", "to")
PASSAGES_NOT_ALIGNED: Final = _counter(
    "foliotrace.retrieval.not_aligned",
    "Hits of the managed index cited by page, because the stored page words them otherwise.",
)
SKIPPED_FILES: Final = _gauge(
    "foliotrace.managed_index.skipped_files",
    "Documents that the managed index did not find after its last sync.",
)
RETRIES: Final = _counter("foliotrace.retries", "Calls repeated.", "dependency", "reason")
BREAKER_OPEN: Final = _gauge("foliotrace.breaker.open", "1 while a breaker is open.", "dependency")
BREAKER_TRANSITIONS: Final = _counter(
    "foliotrace.breaker.transitions", "State changes of a breaker.", "dependency", "to"
)
QUEUE_REFUSALS: Final = _counter(
    "foliotrace.queue.refused", "Work refused because a queue was full.", "queue"
)
DOCUMENTS: Final = _counter("foliotrace.ingest.documents", "Documents finished.", "outcome")
PAGES: Final = _counter("foliotrace.ingest.pages", "Pages parsed.", "parser")
DEGRADED_PAGES: Final = _counter(
    "foliotrace.ingest.degraded_pages", "Pages that a lower parser than the preferred one read."
)
CHUNKS: Final = _counter("foliotrace.ingest.chunks", "Chunks written.")
INGEST_FAILURES: Final = _counter(
    "foliotrace.ingest.failures", "Documents or pages that failed.", "code"
)
QUARANTINED_JOBS: Final = _counter(
    "foliotrace.jobs.quarantined", "Jobs given up because their record cannot be read.", "kind"
)
RECORDS: Final = _counter("foliotrace.extract.records", "Records extracted.", "outcome")
AUDIT_RECORDS: Final = _counter("foliotrace.audit.records", "Audit records written.", "event")
AUDIT_FAILURES: Final = _counter(
    "foliotrace.audit.failures", "Audit records that could not be written.", "reason"
)
AUDIT_SYNC: Final = Instrument(
    "foliotrace.audit.sync.duration", "histogram", "s", "Time to make audit records durable."
)
FEEDBACK_SCORE: Final = Instrument(
    "foliotrace.feedback.score",
    "histogram",
    "1",
    "Scores that runs were given, from 0 to 1. After 256 keys, further ones count as `other`.",
    ("key",),
    (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
)

INSTRUMENTS: Final = (
    COST,
    BUDGET_REFUSALS,
    CACHE_REQUESTS,
    DEGRADED_ANSWERS,
    FALLBACKS,
    PASSAGES_NOT_ALIGNED,
    SKIPPED_FILES,
    RETRIES,
    BREAKER_OPEN,
    BREAKER_TRANSITIONS,
    QUEUE_REFUSALS,
    DOCUMENTS,
    PAGES,
    DEGRADED_PAGES,
    CHUNKS,
    INGEST_FAILURES,
    QUARANTINED_JOBS,
    RECORDS,
    AUDIT_RECORDS,
    AUDIT_FAILURES,
    AUDIT_SYNC,
    FEEDBACK_SCORE,
)


def degraded_result(level: int, reasons: Sequence[str]) -> Iterator[Measurement]:
    """One answer or record below level 0, under its first reason, so that shares add up."""
    if level:
        yield DEGRADED_ANSWERS.measured(1, str(level), reasons[0] if reasons else "")
