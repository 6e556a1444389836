"""Extractors of typed records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from foliotrace.model import Deadline, Document, Extraction, JsonObject, ParsedPage, Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionTask:
    """A document's pages and a schema that has passed the bounds."""

    principal: Principal
    document: Document
    schema: JsonObject  # JSON Schema 2020-12, `$ref`s resolved
    instructions: str | None = None
    pages_total: int = 0  # of the document; 0: not known, the pages given may be some of them


class Extractor(Protocol):
    """One way to a typed record."""

    async def extract(
        self, task: ExtractionTask, pages: Sequence[ParsedPage], *, deadline: Deadline
    ) -> Extraction:
        """A value or null for every field, cited and grounded. Raises ExtractorUnavailable."""
        ...
