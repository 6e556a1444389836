"""A typed record out of a document."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from foliotrace.model.answer import Degradation, Usage
from foliotrace.model.call import JsonObject
from foliotrace.model.question import Citation


class ExtractionMethod(StrEnum):
    """What produced a field's value."""

    CLOUD = "cloud"
    LLM = "llm"
    RULES = "rules"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldResult:
    """One field of a record, by JSON pointer ("/lines/0/amount"). Null is an honest answer."""

    pointer: str
    value: Any
    confidence: float | None = None  # 0..1
    citations: tuple[Citation, ...] = ()
    method: ExtractionMethod = ExtractionMethod.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """A typed record out of one document. Invalid records are kept with their errors."""

    record: JsonObject
    fields: tuple[FieldResult, ...]
    valid: bool
    errors: tuple[str, ...] = ()
    degradation: Degradation = field(default_factory=Degradation)
    usage: Usage = field(default_factory=Usage)
