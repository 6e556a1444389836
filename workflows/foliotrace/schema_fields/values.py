"""Parses typed values from text, with their spans and how well they fit. Pure.

Nothing is computed or inferred: a value is the text's own, converted to the type of its field.
"""

import re
from dataclasses import dataclass
from typing import Any

from foliotrace.schema_fields.dates import find_date, find_date_time
from foliotrace.schema_fields.plan import FieldKind, FieldSpec

MAX_CHARACTERS = 300
_NUMBER = re.compile(
    r"(?<![\w.,/:-])"
    r"(?P<sign>[-\u2212\u2013+(]?\s?)(?:US\$|[$€£¥]|EUR|USD|GBP|CHF)?\s?(?P<minus>[-\u2212(]?)"
    r"(?P<whole>\d{1,3}(?:[,.'\u00a0\u202f ]\d{3})+(?!\d)|\d+)(?P<rest>[.,]\d+)?"
    r"(?P<mark>\s?%|\))?(?![\w/:-]|[.,]\d)"
)
_UNIT = re.compile(r"^\s*(?:[$€£¥%)]|EUR|USD|GBP|CHF|[A-Za-z°µ²³/]{1,6})?\s*\.?\s*$")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_URI = re.compile(r"\b(?:https?://|www\.)[^\s<>\"')]+")
_TRUE = frozenset(["yes", "y", "true", "x", "ja", "oui", "si", "sí", "☑", "☒", "✓", "✔", "on"])
_FALSE = frozenset(["no", "n", "false", "nein", "non", "☐", "off", "none"])
_SHARE = frozenset(["rate", "percent", "percentage", "share", "margin", "ratio", "yield", "change"])
_LIST_MARK = re.compile(r"\s*[,;\u2022]\s*|\s+(?:and|und|et)\s+")


@dataclass(frozen=True, slots=True)
class TypedValue:
    """A value, its span [start, end) in the text, and how well the text fits the type (0 to 1)."""

    value: Any
    start: int
    end: int
    fit: float


def parse_value(text: str, spec: FieldSpec) -> TypedValue | None:
    """The value in `text`, found where the field's value should be; None if the type differs."""
    parsed = _list(text, spec) if spec.is_list else _one(text, spec)
    if parsed is None or not isinstance(parsed.value, str):
        return parsed
    if spec.pattern is not None and not re.search(spec.pattern, parsed.value[:MAX_CHARACTERS]):
        return None
    if spec.max_length is not None and len(parsed.value) > spec.max_length:
        return None
    return parsed


def _one(text: str, spec: FieldSpec) -> TypedValue | None:
    if spec.kind in (FieldKind.NUMBER, FieldKind.INTEGER):
        asks_share = any(_SHARE & set(label.split()) for label in spec.labels)
        return _number(text, whole=spec.kind is FieldKind.INTEGER, asks_share=asks_share)
    if spec.kind in (FieldKind.DATE, FieldKind.DATE_TIME):
        return _date(text, with_time=spec.kind is FieldKind.DATE_TIME)
    if spec.kind is FieldKind.BOOLEAN:
        return _boolean(text)
    if spec.kind is FieldKind.ENUM:
        return _choice(text, spec)
    if spec.kind in (FieldKind.EMAIL, FieldKind.URI):
        match = (_EMAIL if spec.kind is FieldKind.EMAIL else _URI).search(text)
        return TypedValue(match[0], match.start(), match.end(), 1.0) if match else None
    return _string(text)


def _number(text: str, *, whole: bool, asks_share: bool) -> TypedValue | None:
    match = _NUMBER.search(text)
    if match is None:
        return None
    value = number_of(match)
    if whole and value != int(value):
        return None
    before, after = text[: match.start()].strip(), text[match.end() :]
    fit = 1.0 if not before and _UNIT.match(after) else 0.75 if not before else 0.55
    if "%" in (match["mark"] or "") and not asks_share:
        fit *= 0.6
    start = match.start() + len(match[0]) - len(match[0].lstrip())
    return TypedValue(
        int(value) if whole or value == int(value) else value, start, match.end(), fit
    )


def number_of(match: re.Match[str]) -> float:
    """The number of a `_NUMBER` match: brackets and minus signs negate, separators are dropped."""
    whole, rest = match["whole"], match["rest"] or ""
    if not rest and re.fullmatch(r"\d{1,3}\.\d{3}", whole):
        digits = whole  # "1.234" alone is ambiguous: read as a decimal point, as in English
    else:
        digits = re.sub(r"\D", "", whole) + rest.replace(",", ".")
    negative = any(mark in match["sign"] + match["minus"] for mark in "-\u2212\u2013")
    bracketed = "(" in match["sign"] + match["minus"] and (match["mark"] or "").strip() == ")"
    return -float(digits) if negative or bracketed else float(digits)


def numbers_in(text: str) -> list[float]:
    """Every number of `text`."""
    return [number_of(match) for match in _NUMBER.finditer(text)]


def _date(text: str, *, with_time: bool) -> TypedValue | None:
    found = find_date_time(text) if with_time else find_date(text)
    if found is None:
        return None
    alone = not text[: found.start].strip(" ,")
    fit = (1.0 if alone else 0.8) * (0.8 if found.ambiguous else 1.0)
    return TypedValue(found.value, found.start, found.end, fit)


def _boolean(text: str) -> TypedValue | None:
    word = text.strip().casefold().rstrip(".")
    if word not in _TRUE | _FALSE:
        return None
    return TypedValue(word in _TRUE, *_trimmed(text), 1.0)


def _choice(text: str, spec: FieldSpec) -> TypedValue | None:
    normalised = " ".join(text.split()).casefold()
    for choice in spec.choices:
        if normalised == str(choice).casefold():
            return TypedValue(choice, *_trimmed(text), 1.0)
    inside = [
        (choice, match)
        for choice in spec.choices
        if (match := re.search(rf"(?<!\w){re.escape(str(choice))}(?!\w)", text, re.IGNORECASE))
    ]
    if len(inside) != 1:
        return None
    choice, match = inside[0]
    return TypedValue(choice, match.start(), match.end(), 0.7)


def _string(text: str) -> TypedValue | None:
    start, end = _trimmed(text)
    value = " ".join(text[start:end].split())
    if not value or len(value) > MAX_CHARACTERS or not any(c.isalnum() for c in value):
        return None
    return TypedValue(value, start, end, 0.95 if len(value) <= 80 else 0.7)


def _list(text: str, spec: FieldSpec) -> TypedValue | None:
    single = FieldSpec(pointer=spec.pointer, kind=spec.kind, labels=(), choices=spec.choices)
    parsed_parts = [_one(part, single) for part in _LIST_MARK.split(text) if part.strip()]
    values = [parsed.value for parsed in parsed_parts if parsed is not None]
    if not values or len(values) < len(parsed_parts):
        return None
    return TypedValue(values, *_trimmed(text), 0.9)


def _trimmed(text: str) -> tuple[int, int]:
    bare = text.strip(" \t\n:;,")
    if bare.endswith(")") and "(" not in bare:
        bare = bare[:-1].rstrip()
    start = text.find(bare) if bare else 0
    return start, start + len(bare)
