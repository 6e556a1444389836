"""Checks a model's claim about a field against the pages: quote, value and place. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any

from foliotrace.model import ParsedPage
from foliotrace.schema_fields.plan import FieldKind, FieldSpec
from foliotrace.schema_fields.values import numbers_in, parse_value

_MAX_QUOTE = 600
_FOLDED = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"}
)
LITERAL, INFERRED = 0.92, 0.7


@dataclass(frozen=True, slots=True)
class Grounded:
    """A value and where it is stated: [start, end) of the page's text. `confidence` is 0..1."""

    value: Any
    page: ParsedPage
    start: int
    end: int
    confidence: float


def ground(
    spec: FieldSpec,
    value: Any,
    quote: str,
    number: int,
    pages: Sequence[ParsedPage],
) -> Grounded | None:
    """The claim with its place; None if no page holds the quote, or it does not state the value.

    The named page `number` is tried first, then the others: models often name a neighbour. A
    boolean, or a choice worded differently on the page, is inferred, with a lower confidence.
    """
    typed = _typed(spec, value)
    if typed is None or not quote.strip() or len(quote) > _MAX_QUOTE:
        return None
    for page in sorted(pages, key=lambda page: page.number != number):
        span = find(page.text, quote)
        if span is None:
            continue
        start, end = span
        inner = _stated(spec, typed, page.text[start:end])
        if inner is not None:
            return Grounded(typed, page, start + inner[0], start + inner[1], LITERAL)
        if spec.kind in (FieldKind.BOOLEAN, FieldKind.ENUM):
            return Grounded(typed, page, start, end, INFERRED)
    return None


def find(text: str, quote: str) -> tuple[int, int] | None:
    """The span of `quote`, ignoring the forms of white space, quotation marks and dashes."""
    words = [re.escape(word) for word in _folded(quote).split()]
    match = re.search(r"\s+".join(words), _folded(text)) if words else None
    return match.span() if match else None


def _folded(text: str) -> str:
    """Typographic marks as ASCII, one character each, so that offsets stay valid."""
    return text.translate(_FOLDED)


def _typed(spec: FieldSpec, value: Any) -> Any:
    """`value` converted to the type of its field; None if that is impossible."""
    if spec.kind is FieldKind.BOOLEAN:
        return value if isinstance(value, bool) else None
    if spec.kind in (FieldKind.NUMBER, FieldKind.INTEGER):
        return _number(value, whole=spec.kind is FieldKind.INTEGER)
    if spec.kind is FieldKind.ENUM:
        same = [c for c in spec.choices if str(c).casefold() == str(value).casefold()]
        return same[0] if same else None
    text = " ".join(str(value).split()) if not isinstance(value, bool) else ""
    if spec.kind in (FieldKind.DATE, FieldKind.DATE_TIME):
        reading = parse_value(text, spec)
        return None if reading is None else reading.value
    if spec.is_list:
        return [part.strip() for part in text.split(",") if part.strip()] or None
    return text or None


def _number(value: Any, *, whole: bool) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        numbers = numbers_in(value)
        if len(numbers) != 1:
            return None
        value = numbers[0]
    if whole and value != int(value):
        return None
    return int(value) if value == int(value) else float(value)


def _stated(spec: FieldSpec, value: Any, quote: str) -> tuple[int, int] | None:
    """The span of the quote that states `value`, or None."""
    if spec.kind in (FieldKind.NUMBER, FieldKind.INTEGER):
        return _stated_number(spec, value, quote)
    if spec.kind in (FieldKind.DATE, FieldKind.DATE_TIME):
        reading = parse_value(quote, spec)
        return (reading.start, reading.end) if reading and reading.value == value else None
    if spec.is_list:
        return (0, len(quote)) if all(_find_text(quote, part) for part in value) else None
    return _find_text(quote, str(value))


def _stated_number(spec: FieldSpec, value: float, quote: str) -> tuple[int, int] | None:
    at = 0
    while (reading := parse_value(quote[at:], spec)) is not None:
        if isclose(reading.value, value, rel_tol=1e-9):
            return at + reading.start, at + reading.end
        at += max(reading.end, 1)
    return None


def _find_text(quote: str, value: str) -> tuple[int, int] | None:
    words = [re.escape(word) for word in _folded(value).split()]
    match = re.search(r"\s+".join(words), _folded(quote), re.IGNORECASE) if words else None
    return match.span() if match else None
