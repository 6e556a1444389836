"""Typed values out of text: what stands there, where, and how well it fits. Pure.

Nothing is computed or inferred: a value is the text's own, only written as its type wants it.
"""

import re
from dataclasses import dataclass
from typing import Any

from foliotrace.fields.dates import find_date, find_date_time
from foliotrace.fields.leaves import Kind, Leaf

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
class Reading:
    """A value, its span [start, end) in the text, and in 0..1 how well the text fits the type."""

    value: Any
    start: int
    end: int
    fit: float


def read(text: str, leaf: Leaf) -> Reading | None:
    """What `text`, found where the value should stand, says; None when it is not of the type."""
    reading = _list(text, leaf) if leaf.is_list else _one(text, leaf)
    if reading is None or not isinstance(reading.value, str):
        return reading
    if leaf.pattern is not None and not re.search(leaf.pattern, reading.value[:MAX_CHARACTERS]):
        return None
    if leaf.max_length is not None and len(reading.value) > leaf.max_length:
        return None
    return reading


def _one(text: str, leaf: Leaf) -> Reading | None:
    if leaf.kind in (Kind.NUMBER, Kind.INTEGER):
        asks_share = any(_SHARE & set(label.split()) for label in leaf.labels)
        return _number(text, whole=leaf.kind is Kind.INTEGER, asks_share=asks_share)
    if leaf.kind in (Kind.DATE, Kind.DATE_TIME):
        return _date(text, with_time=leaf.kind is Kind.DATE_TIME)
    if leaf.kind is Kind.BOOLEAN:
        return _boolean(text)
    if leaf.kind is Kind.ENUM:
        return _choice(text, leaf)
    if leaf.kind in (Kind.EMAIL, Kind.URI):
        match = (_EMAIL if leaf.kind is Kind.EMAIL else _URI).search(text)
        return Reading(match[0], match.start(), match.end(), 1.0) if match else None
    return _string(text)


def _number(text: str, *, whole: bool, asks_share: bool) -> Reading | None:
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
    return Reading(int(value) if whole or value == int(value) else value, start, match.end(), fit)


def number_of(match: re.Match[str]) -> float:
    """The number of a match of `_NUMBER`: brackets and minus signs negate, marks part thousands."""
    whole, rest = match["whole"], match["rest"] or ""
    if not rest and re.fullmatch(r"\d{1,3}\.\d{3}", whole):
        digits = whole  # 1.234 stays as English writes it
    else:
        digits = re.sub(r"\D", "", whole) + rest.replace(",", ".")
    negative = any(mark in match["sign"] + match["minus"] for mark in "-\u2212\u2013")
    bracketed = "(" in match["sign"] + match["minus"] and (match["mark"] or "").strip() == ")"
    return -float(digits) if negative or bracketed else float(digits)


def numbers_in(text: str) -> list[float]:
    """Every number of `text`."""
    return [number_of(match) for match in _NUMBER.finditer(text)]


def _date(text: str, *, with_time: bool) -> Reading | None:
    found = find_date_time(text) if with_time else find_date(text)
    if found is None:
        return None
    alone = not text[: found.start].strip(" ,")
    fit = (1.0 if alone else 0.8) * (0.8 if found.ambiguous else 1.0)
    return Reading(found.value, found.start, found.end, fit)


def _boolean(text: str) -> Reading | None:
    word = text.strip().casefold().rstrip(".")
    if word not in _TRUE | _FALSE:
        return None
    return Reading(word in _TRUE, *_trimmed(text), 1.0)


def _choice(text: str, leaf: Leaf) -> Reading | None:
    said = " ".join(text.split()).casefold()
    for choice in leaf.choices:
        if said == str(choice).casefold():
            return Reading(choice, *_trimmed(text), 1.0)
    inside = [
        (choice, match)
        for choice in leaf.choices
        if (match := re.search(rf"(?<!\w){re.escape(str(choice))}(?!\w)", text, re.IGNORECASE))
    ]
    if len(inside) != 1:
        return None
    choice, match = inside[0]
    return Reading(choice, match.start(), match.end(), 0.7)


def _string(text: str) -> Reading | None:
    start, end = _trimmed(text)
    value = " ".join(text[start:end].split())
    if not value or len(value) > MAX_CHARACTERS or not any(c.isalnum() for c in value):
        return None
    return Reading(value, start, end, 0.95 if len(value) <= 80 else 0.7)


def _list(text: str, leaf: Leaf) -> Reading | None:
    single = Leaf(pointer=leaf.pointer, kind=leaf.kind, labels=(), choices=leaf.choices)
    readings = [_one(part, single) for part in _LIST_MARK.split(text) if part.strip()]
    values = [reading.value for reading in readings if reading is not None]
    if not values or len(values) < len(readings):
        return None
    return Reading(values, *_trimmed(text), 0.9)


def _trimmed(text: str) -> tuple[int, int]:
    bare = text.strip(" \t\n:;,")
    if bare.endswith(")") and "(" not in bare:
        bare = bare[:-1].rstrip()
    start = text.find(bare) if bare else 0
    return start, start + len(bare)
