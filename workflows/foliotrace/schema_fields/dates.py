"""Finds dates as documents write them and converts them to ISO 8601. Pure.

Knows month names in English, German, French, Dutch, Spanish and Italian.
"""

import re
from datetime import date
from typing import NamedTuple

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
        r"\.?,?\s*-?(?:de\s+)?(?P<y>\d{4})(?!\d)",
        r"(?<![\d.])(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})(?!\d)",
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


def find_date(text: str) -> DateMatch | None:
    """The first date in `text`.

    Two-digit years are of this century; 5/6/2026 is read as 6 May and marked as ambiguous.
    """
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            day = _day(match.groupdict())
            if day is not None:
                return DateMatch(day[0].isoformat(), match.start(), match.end(), day[1])
    return None


def find_date_time(text: str) -> DateMatch | None:
    """The first date in `text`, if a time of day follows it; ISO 8601 without a zone."""
    day = find_date(text)
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


def _day(parts: dict[str, str | None]) -> tuple[date, bool] | None:
    year = int(parts["y"] or 0)
    year += 2000 if year < 100 else 0
    ambiguous = False
    if parts.get("name"):
        month, day = _BY_NAME[str(parts["name"]).lower()], int(parts["d"] or 0)
    elif parts.get("m"):
        month, day = int(parts["m"] or 0), int(parts["d"] or 0)
    else:
        month, day = int(parts["a"] or 0), int(parts["b"] or 0)
        ambiguous = month <= 12 and day <= 12 and month != day
        if month > 12:
            month, day = day, month
    try:
        return date(year, month, day), ambiguous
    except ValueError:
        return None
