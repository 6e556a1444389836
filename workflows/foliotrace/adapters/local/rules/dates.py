"""The date of a paper that stands without a label, and whether days come first. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from foliotrace.adapters.local.rules.business_words import (
    DATE_WORDS,
    DAY_FIRST_MARKS,
    MONTH_FIRST_MARKS,
    NOT_THE_PAPERS_DATE,
)
from foliotrace.adapters.local.rules.visual_lines import VisualLine
from foliotrace.schema_fields.values import find_date

_NUMERIC = re.compile(r"(?<![\d/.-])(\d{1,2})[/-](\d{1,2})[/-](?:\d{4}|\d{2})(?![\d/])")
_DAY_FIRST = re.compile(DAY_FIRST_MARKS, re.I)
_MONTH_FIRST = re.compile(MONTH_FIRST_MARKS)
_OTHER_DATE = re.compile(rf"(?<!\w)(?:{NOT_THE_PAPERS_DATE})(?!\w)", re.I)
_TIME = re.compile(r"(?<!\d)\d{1,2}\s?:\s?\d{2}(?!\d)")
_LABEL = re.compile(rf"(?!{DATE_WORDS})[^\W\d_]{{3,}}\W*$", re.I)
_TIMED, _PLAIN = 0.65, 0.55


@dataclass(frozen=True, slots=True)
class DatePlace:
    """A date with its span in the page's text, and how sure it is the paper's own."""

    value: str
    start: int
    end: int
    confidence: float


def puts_day_first(texts: Iterable[str]) -> bool | None:
    """Whether 5/6/2026 is 5 June in these texts; None where they do not tell.

    Dates that can be read in one way only tell it; without them the marks of a country do (its
    money, taxes and legal forms).
    """
    dates: Counter[bool] = Counter()
    marks: Counter[bool] = Counter()
    for text in texts:
        for match in _NUMERIC.finditer(text):
            first, second = int(match[1]), int(match[2])
            if 12 < first <= 31 and 0 < second <= 12:
                dates[True] += 1
            elif 12 < second <= 31 and 0 < first <= 12:
                dates[False] += 1
        marks[True] += len(_DAY_FIRST.findall(text))
        marks[False] += len(_MONTH_FIRST.findall(text))
    for votes in (dates, marks):
        if votes[True] != votes[False]:
            return votes[True] > votes[False]
    return None


def paper_date(lines: Sequence[VisualLine], *, day_first: bool | None) -> DatePlace | None:
    """The only date of the page, or the only one with a time of day; None where several could be.

    Dates of something else ("due", "delivered on") do not count.
    """
    found = [place for line in lines for place in _dates(line, day_first)]
    if not found:
        return None
    often = Counter(place.value for place in found)
    timed = {place.value for place in found if place.confidence > _PLAIN}
    if len(often) > 1 and len(timed) != 1:
        return None
    best = max(found, key=lambda place: place.confidence)
    alone = 0.1 if len(often) == 1 else 0.0
    return DatePlace(best.value, best.start, best.end, round(best.confidence + alone, 3))


def _dates(line: VisualLine, day_first: bool | None) -> Iterator[DatePlace]:
    if _OTHER_DATE.search(line.text):
        return
    left = ""  # what stands before the date
    for segment in line.segments:
        match = find_date(segment.text, day_first=day_first)
        if match is None:
            left = segment.text
            continue
        timed = _TIME.search(line.text) is not None
        if not timed and _LABEL.search(segment.text[: match.start] or left):
            continue  # a date of something else
        confidence = (_TIMED if timed else _PLAIN) * (0.85 if match.ambiguous else 1.0)
        start = segment.start + match.start
        yield DatePlace(match.value, start, segment.start + match.end, confidence)
