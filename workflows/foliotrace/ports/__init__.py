"""What the journeys need from the outside world, as small Protocols.

Every store call takes a tenant. Each port has one contract suite under tests/contracts, which runs
over every adapter. Errors named here are the ones a caller plans for; anything else is a bug.
"""

from foliotrace.ports.audit import AuditEntry, AuditLog
from foliotrace.ports.caches import AnswerCache, SemanticKey, StaleAnswer, StaleAnswers
from foliotrace.ports.extraction import ExtractionTask, Extractor
from foliotrace.ports.files import Blobs, Parser, StoredBlob
from foliotrace.ports.generation import Delta, Generation, Prompt, TextGenerator
from foliotrace.ports.jobs import Jobs, Runs
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
from foliotrace.ports.money import BudgetLedger, Reservation
from foliotrace.ports.retrieval import (
    AskLibrary,
    Embedder,
    IndexWriter,
    Retriever,
    Vector,
    Vocabulary,
)
from foliotrace.ports.surroundings import Clock, CurrentSpan, CurrentTrace, HashQuery, Identify

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
    "Jobs",
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
