"""The values that flow through the three journeys: frozen, knowing no clock, socket or file.

Offsets are Python character offsets into a stored page's `text`. Boxes are in points, origin
top-left. Money is `Decimal` US dollars, times are aware UTC.
"""

from foliotrace.model.answer import Answer, CacheState, Degradation, Level, Run, Usage, Versions
from foliotrace.model.call import (
    COLLECTION_NAME,
    DEFAULT_COLLECTION,
    Deadline,
    ExecutionMode,
    JsonObject,
    Metadata,
    Principal,
    Scalar,
)
from foliotrace.model.document import (
    Chunk,
    Document,
    DocumentStatus,
    Identity,
    Job,
    JobKind,
    JobStatus,
)
from foliotrace.model.page import (
    Block,
    BlockKind,
    Box,
    Inspection,
    PageKind,
    PageStatus,
    ParsedPage,
    SourceFile,
    Table,
    TableCell,
    TableRow,
    Word,
    Words,
)
from foliotrace.model.question import (
    Anchor,
    AnswerMode,
    Citation,
    Filters,
    Passage,
    Query,
    RetrievalMode,
)
from foliotrace.model.record import Extraction, ExtractionMethod, FieldResult

__all__ = [
    "COLLECTION_NAME",
    "DEFAULT_COLLECTION",
    "Anchor",
    "Answer",
    "AnswerMode",
    "Block",
    "BlockKind",
    "Box",
    "CacheState",
    "Chunk",
    "Citation",
    "Deadline",
    "Degradation",
    "Document",
    "DocumentStatus",
    "ExecutionMode",
    "Extraction",
    "ExtractionMethod",
    "FieldResult",
    "Filters",
    "Identity",
    "Inspection",
    "Job",
    "JobKind",
    "JobStatus",
    "JsonObject",
    "Level",
    "Metadata",
    "PageKind",
    "PageStatus",
    "ParsedPage",
    "Passage",
    "Principal",
    "Query",
    "RetrievalMode",
    "Run",
    "Scalar",
    "SourceFile",
    "Table",
    "TableCell",
    "TableRow",
    "Usage",
    "Versions",
    "Word",
    "Words",
]
