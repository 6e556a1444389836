"""Parses typed values and dates from text, and cites the spans they stand in. Pure.

Nothing is computed or inferred: a value is the text's own, converted to the type of its field.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from foliotrace.model import Anchor, Citation, Document, ParsedPage
from foliotrace.schema_fields.plan import FieldKind, FieldSpec

_MONTHS = (
    "january jan januar janvier janv januari enero ene gennaio gen",
    "february feb februar februari février fevrier févr febrero febbraio",
    "march mar märz maerz mrz mars maart mrt marzo",
    "april apr avril avr abril abr aprile",
    "may mai mei mayo maggio mag",
    "june jun juni juin junio giugno giu",
    "july jul juli juillet juil julio luglio lug",
    "august aug août aout augustus agosto ago",
    "september sep sept septembre septiembre settembre set",
    "october oct oktober okt octobre octubre ottobre ott",
    "november nov novembre noviembre",
    "december dec dezember dez décembre decembre déc diciembre dic dicembre",
)
_BY_NAME = {name: n for n, names in enumerate(_MONTHS, 1) for name in names.split()}
_NAMES = "|".join(sorted(_BY_NAME, key=len, reverse=True))
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<!\d)(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})(?!\d)",
        rf"\b(?P<name>{_NAMES})\b\.?\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y>\d{{4}})(?!\d)",
        rf"(?<!\d)(?P<d>\d{{1,2}})(?:st|nd|rd|th|er|\.)?\s*-?(?:of\s+|de\s+)?(?P<name>{_NAMES})\b"
        r"\.?,?\s*-?(?:de\s+)?(?P<y>\d{4}|\d{2})(?![\d:]|\.\d)",
        r"(?<![\d.])(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4}|\d{2})(?!\d|\.\d)",
        r"(?<![\d/])(?P<a>\d{1,2})[/-](?P<b>\d{1,2})[/-](?P<y>\d{4}|\d{2})(?![\d/])",
    )
)
_TIME = re.compile(
    r"[\s,T]{0,4}(?:at\s+)?(?P<h>\d{1,2}):?(?P<min>\d{2})(?::(?P<s>\d{2}))?\s*(?P<half>[ap]\.?m\b)?",
    re.IGNORECASE,
)


class DateMatch(NamedTuple):
    """An ISO date, its span in the text, and whether day and month might be swapped."""

    value: str
    start: int
    end: int
    ambiguous: bool


def find_date(text: str, *, day_first: bool | None = None) -> DateMatch | None:
    """The first date in `text`.

    Two-digit years are of this century. 5/6/2026 is 5 June if `day_first`, else 6 May; where nobody
    knows (None) it is marked as ambiguous.
    """
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            day = _day(match.groupdict(), day_first)
            if day is not None:
                return DateMatch(day[0].isoformat(), match.start(), match.end(), day[1])
    return None


def find_date_time(text: str, *, day_first: bool | None = None) -> DateMatch | None:
    """The first date in `text`, if a time of day follows it; ISO 8601 without a zone."""
    day = find_date(text, day_first=day_first)
    match = _TIME.match(text, day.end) if day else None
    if day is None or match is None:
        return None
    hour = int(match["h"])
    if match["half"]:
        hour = hour % 12 + (12 if match["half"][0] in "pP" else 0)
    if hour > 23 or int(match["min"]) > 59:
        return None
    clock = f"{hour:02}:{match['min']}:{match['s'] or '00'}"
    return DateMatch(f"{day.value}T{clock}", day.start, match.end(), day.ambiguous)


def _day(parts: dict[str, str | None], day_first: bool | None) -> tuple[date, bool] | None:
    year = int(parts["y"] or 0)
    year += 2000 if year < 100 else 0
    ambiguous = False
    if parts.get("name"):
        month, day = _BY_NAME[str(parts["name"]).lower()], int(parts["d"] or 0)
    elif parts.get("m"):
        month, day = int(parts["m"] or 0), int(parts["d"] or 0)
    else:
        month, day = int(parts["a"] or 0), int(parts["b"] or 0)
        ambiguous = day_first is None and month <= 12 and day <= 12 and month != day
        if month > 12 or (day_first and day <= 12):
            month, day = day, month
    try:
        return date(year, month, day), ambiguous
    except ValueError:
        return None


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
        return _date(text, spec)
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


def _date(text: str, spec: FieldSpec) -> TypedValue | None:
    find = find_date_time if spec.kind is FieldKind.DATE_TIME else find_date
    found = find(text, day_first=spec.day_first)
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


_CELL = re.compile(r"([A-Z]+)(\d+)")


def cite(page: ParsedPage, start: int, end: int, *, document: Document, score: float) -> Citation:
    """A citation that quotes [start, end) of the page's text verbatim; offsets in characters."""
    return Citation(
        marker=1,
        document_id=document.id,
        document_name=document.name,
        chunk_id="",
        quote=page.text[start:end],
        anchor=anchor(page, start, end),
        score=round(score, 4),
    )


def anchor(page: ParsedPage, start: int, end: int) -> Anchor:
    """The anchor of [start, end): with word boxes on a page, with a cell range on a sheet."""
    return Anchor(
        kind=page.kind,
        page=page.number,
        start=start,
        end=end,
        label=page.label,
        boxes=page.words.boxes(start, end),
        cells=_cells(page, start, end),
        confidence=page.words.confidence(start, end),
    )


def _cells(page: ParsedPage, start: int, end: int) -> str | None:
    """The smallest range of sheet cells that contains the span: "B2", "B2:D3"."""
    refs = [
        match.groups()
        for table in page.tables
        if table.start < end and table.end > start
        for row in table.rows
        for cell in row.cells
        if cell.start < end and cell.end > start and (match := _CELL.fullmatch(cell.ref or ""))
    ]
    if not refs:
        return None
    columns = sorted({column for column, _ in refs}, key=lambda c: (len(c), c))
    rows = sorted({int(row) for _, row in refs})
    first, last = f"{columns[0]}{rows[0]}", f"{columns[-1]}{rows[-1]}"
    return first if first == last else f"{first}:{last}"
