"""Stage spans and domain events, on LlamaIndex's own dispatcher.

Any LlamaIndex span handler sees the stages, any event handler sees the events. No event holds query
or document text.
"""

from foliotrace.events.dependencies import (
    BreakerChanged,
    CallRetried,
    CloudCancelFailed,
    CloudJobFinished,
    CloudParseJobExpired,
    CloudPurchaseReconciled,
    ModelCallPaid,
    ReservationNotSettled,
)
from foliotrace.events.dispatch import (
    NAMESPACE,
    DomainEvent,
    attempt,
    emit,
    span,
    stage,
)
from foliotrace.events.documents import (
    CacheEvictionFailed,
    DocumentIngested,
    EmbeddingPostponed,
    ExtractionCompleted,
    ExtractionRungFailed,
    IndexBehind,
    JobQuarantined,
    ParserFellBack,
)
from foliotrace.events.instruments import INSTRUMENTS, Instrument
from foliotrace.events.queries import (
    AnswerNotCached,
    CacheLookupFailed,
    FeedbackReceived,
    GeneratorFailed,
    PassagesAligned,
    PassagesRetrieved,
    QueryAnswered,
    QuestionCoverMeasured,
    RetrievalPathFailed,
    RoutingSkipped,
    RunsNotSaved,
    SemanticCacheHit,
    StaleLookupFailed,
    SubjectCheckSkipped,
    SubjectMissing,
)

__all__ = [
    "INSTRUMENTS",
    "NAMESPACE",
    "AnswerNotCached",
    "BreakerChanged",
    "CacheEvictionFailed",
    "CacheLookupFailed",
    "CallRetried",
    "CloudCancelFailed",
    "CloudJobFinished",
    "CloudParseJobExpired",
    "CloudPurchaseReconciled",
    "DocumentIngested",
    "DomainEvent",
    "EmbeddingPostponed",
    "ExtractionCompleted",
    "ExtractionRungFailed",
    "FeedbackReceived",
    "GeneratorFailed",
    "IndexBehind",
    "Instrument",
    "JobQuarantined",
    "ModelCallPaid",
    "ParserFellBack",
    "PassagesAligned",
    "PassagesRetrieved",
    "QueryAnswered",
    "QuestionCoverMeasured",
    "ReservationNotSettled",
    "RetrievalPathFailed",
    "RoutingSkipped",
    "RunsNotSaved",
    "SemanticCacheHit",
    "StaleLookupFailed",
    "SubjectCheckSkipped",
    "SubjectMissing",
    "attempt",
    "emit",
    "span",
    "stage",
]
