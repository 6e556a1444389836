"""Headers of columns completed from their neighbours: lengths of periods, and columns of changes.

Pure. "Three Months Ended" is printed once above two dates and ends up in the header of the first.
"""

import re
from collections.abc import Sequence
from typing import Final

from foliotrace.query.answer.cells.periods import Periods, periods_in

_CHANGE: Final = re.compile(r"\bvs\b\.?|\bversus\b|\bchanges?\b|\bvariance\b", re.I)
_CLOSING: Final = re.compile(
    r"(?P<start>.*\b(?:ended|ending)\s+[^\W\d_]+\s+\d{1,2},?\s+)(?:19|20)\d\d", re.I
)
_BARE_YEAR: Final = re.compile(r"(?:19|20)\d\d")
_LENGTH: Final = re.compile(
    r"^(?P<length>.*?\b(?:months?|weeks?|quarters?|years?|periods?)\s+(?:ended|ending))\b", re.I
)


def with_lengths(headers: Sequence[str]) -> list[str]:
    """The headers; one with a date only starts with the length that stands to the left of it.

    Only where two or more lengths stand above equally many columns each.
    """
    headers = _with_closing_date(headers)
    read = [periods_in(text) for text in headers]
    ends = [place for place, periods in enumerate(read) if periods.dates]
    heads = [place for place in ends if read[place].months]
    if len(heads) < 2 or len(heads) == len(ends) or heads[0] != ends[0]:
        return list(headers)
    width = len(ends) // len(heads)
    if len(ends) % len(heads) or [ends.index(place) for place in heads] != list(
        range(0, len(ends), width)
    ):
        return list(headers)
    completed = list(headers)
    for at, place in enumerate(ends):
        found = _LENGTH.match(headers[ends[at - at % width]])
        if not read[place].months and found is not None:
            completed[place] = f"{found['length']} {headers[place]}"
    return completed


def dated(headers: Sequence[str], period: str | None) -> list[str]:
    """The headers, those of periods as the table's `period` has them, with month and day."""
    whole = (period or "").split("; ")
    places = [place for place, text in enumerate(headers) if place and periods_in(text).named]
    if len(whole) != len(places):
        return with_lengths(headers)
    better = dict(zip(places, whole, strict=True))
    return with_lengths(
        [
            better[place] if place in better and text in better[place] else text
            for place, text in enumerate(headers)
        ]
    )


def _with_closing_date(headers: Sequence[str]) -> list[str]:
    """Bare years with the "Year Ended December 31," that stands above one of them."""
    starts = [found["start"] for text in headers if (found := _CLOSING.fullmatch(text))]
    years = [text for text in headers if _BARE_YEAR.fullmatch(text)]
    if len(starts) != 1 or not years:
        return list(headers)
    return [f"{starts[0]}{text}" if text in years else text for text in headers]


def is_change(text: str) -> bool:
    """Whether a header is of changes between periods: "2017 vs. 2016"."""
    return _CHANGE.search(text) is not None


def period_of_header(text: str) -> Periods:
    """What a header says about time; a column of changes stands for no period."""
    return Periods(rest=text) if is_change(text) else periods_in(text)


def over_changes(headers: Sequence[str], width: int) -> list[str]:
    """Headers of `width` columns where each one of changes stands above an amount and a percentage.

    Empty where they do not fit.
    """
    changes = sum(map(is_change, headers))
    if not changes or len(headers) + changes != width:
        return []
    return [
        text
        for header in headers
        for text in ([header, f"{header} %"] if is_change(header) else [header])
    ]
