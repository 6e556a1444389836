"""The ports: small Protocols for what the journeys need from the outside world.

Every call of a store takes a tenant. Each port has one contract suite in tests/contracts that runs
over every adapter. The errors named here are those a caller plans for; any other is a bug.
"""

from foliotrace.ports.caches import AnswerCache, SemanticKey, StaleAnswer, StaleAnswers
from foliotrace.ports.context import (
    AuditEntry,
    AuditLog,
    Clock,
    CurrentSpan,
    CurrentTrace,
    HashQuery,
    Identify,
)
from foliotrace.ports.files import Blobs, Parser, StoredBlob
from foliotrace.ports.jobs import JobStore, Runs
from foliotrace.ports.library import (
    Change,
    ChangeLog,
    ChunkReader,
    DocumentDraft,
    DocumentLabel,
    DocumentReader,
    DocumentWriter,
    IndexSource,
    Library,
    LibraryReader,
    PageReader,
    Registration,
)
from foliotrace.ports.models import (
    BudgetLedger,
    Delta,
    Embedder,
    ExtractionTask,
    Extractor,
    Generation,
    Prompt,
    Reservation,
    TextGenerator,
    Vector,
)
from foliotrace.ports.retrieval import AskLibrary, IndexWriter, Retriever, Vocabulary

__all__ = [
    "AnswerCache",
    "AskLibrary",
    "AuditEntry",
    "AuditLog",
    "Blobs",
    "BudgetLedger",
    "Change",
    "ChangeLog",
    "ChunkReader",
    "Clock",
    "CurrentSpan",
    "CurrentTrace",
    "Delta",
    "DocumentDraft",
    "DocumentLabel",
    "DocumentReader",
    "DocumentWriter",
    "Embedder",
    "ExtractionTask",
    "Extractor",
    "Generation",
    "HashQuery",
    "Identify",
    "IndexSource",
    "IndexWriter",
    "JobStore",
    "Library",
    "LibraryReader",
    "PageReader",
    "Parser",
    "Prompt",
    "Registration",
    "Reservation",
    "Retriever",
    "Runs",
    "SemanticKey",
    "StaleAnswer",
    "StaleAnswers",
    "StoredBlob",
    "TextGenerator",
    "Vector",
    "Vocabulary",
]
