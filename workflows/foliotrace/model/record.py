"""Typed records extracted from documents."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from foliotrace.model.answer import Degradation, Usage
from foliotrace.model.call import JsonObject
from foliotrace.model.question import Citation


class ExtractionMethod(StrEnum):
    """What extracted the value of a field."""

    CLOUD = "cloud"
    LLM = "llm"
    RULES = "rules"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldResult:
    """One field of a record, by JSON pointer ("/lines/0/amount"); a value not found is null."""

    pointer: str
    value: Any
    confidence: float | None = None  # 0..1
    citations: tuple[Citation, ...] = ()
    method: ExtractionMethod = ExtractionMethod.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """The record of one document; an invalid one is returned with its errors."""

    record: JsonObject
    fields: tuple[FieldResult, ...]
    valid: bool
    errors: tuple[str, ...] = ()
    degradation: Degradation = field(default_factory=Degradation)
    usage: Usage = field(default_factory=Usage)
