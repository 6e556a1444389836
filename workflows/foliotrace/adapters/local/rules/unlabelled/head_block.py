"""The issuer of a paper and its address: the lines above the paper's title. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from foliotrace.adapters.local.rules.business_words import (
    CONTACT,
    COUNTRIES,
    LEGAL_FORMS,
    REGISTRATION,
    STREETS,
    TITLES,
    TRADES,
)
from foliotrace.adapters.local.rules.visual_lines import Segment, VisualLine
from foliotrace.schema_fields.plan import tokens
from foliotrace.schema_fields.values import find_date

_HEAD_LINES = 16
_ADDRESS_LINES = 6
_LEGAL = re.compile(rf"(?<!\w)(?:{LEGAL_FORMS})(?:\.|(?!\w))", re.I)
_STREET = re.compile(rf"(?<!\w)(?:{STREETS})(?!\w)", re.I)
_COUNTRY_ENDS = re.compile(rf"(?<!\w)(?:{COUNTRIES})\W*$", re.I)
_HOUSE = re.compile(
    r"(?:no|nr|n°|lot|unit)?[\s.:]*\w{0,3}-{0,2}\d+[\w/&-]*\s*[,.]|no\.?\s*:?\s*\d", re.I
)
_POSTCODE = re.compile(
    r"(?<![\w-])(?:[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2}|\d{4}\s?[A-Z]{2}|\d{5})(?![\w-])"
)
_NAMED_HOUSE = re.compile(r"[^\W\d]{3}|,\s*$|\bno\b", re.I)
_CONTACT = re.compile(rf"\W*(?:{CONTACT})(?!\w)|\S+@\S+|\W*\+?[\d()][\d\s()/,-]{{6,}}\W*$", re.I)
_REGISTRATION = re.compile(
    rf"\W*(?:{REGISTRATION})(?![a-z])|\W*\(?(?:no\.?\s*)?[A-Z]{{0,3}}\d{{5,}}\s?-?\s?[A-Z]{{0,2}}\)?\W*$",
    re.I,
)
_TITLE = re.compile(
    rf"\W*(?:{TITLES})(?!\w)\W*(?:(?:no|nr|n|number)\b.*|[#:].*|copy|original)?$", re.I
)
_PAIR = re.compile(r"[^\W\d][\w\s./#-]{1,24}[:=](?=\s|\S)")
_NUMBER_IN_BRACKETS = re.compile(r"\s*[(\[][^()\[\]]*\d{4,}[^()\[\]]*[)\]]?\s*$")
_AMOUNT = re.compile(r"\d[.,]\d{2}(?!\d)")
# a stop that ends a part: behind a whole word, a house number or a postcode, not an abbreviation
# ("Bldg. 4") nor an ordinal ("17. Juni")
_PART_END = re.compile(
    r"([^\W\d]{5}|\d{5}|\d[/-]\d{1,3}|\bno\s\d{1,3})\.(?=\s)|(\d)\.(?=\s+\d{5}(?!\d))", re.I
)
_LINE_PART_END = re.compile(r"([^\W\d]{5}|\d)\.$")


@dataclass(frozen=True, slots=True)
class Found:
    """Spans of the page's text that make up a value, and how sure it is."""

    spans: tuple[tuple[int, int], ...]
    confidence: float


@dataclass(frozen=True, slots=True)
class HeadBlock:
    """The issuer and its address, as far as the head of the page shows them."""

    organisation: Found | None = None
    address: Found | None = None


def head_block(lines: Sequence[VisualLine]) -> HeadBlock:
    """What the first lines of a page say about who issued it."""
    head = _head(lines)
    address = _address(head)
    names = [line for line in head[: address[0] if address else None] if _may_be_name(line.text)]
    proven = address is not None or any(_is_particulars(line.text) for line in head)
    return HeadBlock(
        organisation=_organisation(names, proven=proven),
        address=_found(head[address[0] : address[1]], 0.75) if address else None,
    )


def address_text(lines: Sequence[str]) -> str:
    """One line of text from the lines of an address: stops between its parts become commas.

    Prints and OCR confuse the two marks. The last mark stays as printed.
    """
    *before, last = lines
    ended = [_LINE_PART_END.sub(r"\1,", line) for line in before]
    text = re.sub(r"-{2,}", "-", " ".join([*ended, last]))
    return re.sub(r"[.,]\s*,", ",", _PART_END.sub(r"\1\2,", text))


def _head(lines: Sequence[VisualLine]) -> list[VisualLine]:
    """The lines above the paper's title, its date or its first pair of label and value."""
    head: list[VisualLine] = []
    for line in lines[:_HEAD_LINES]:
        text = line.text
        if _is_particulars(text) or _is_address(text):
            head.append(line)
        elif _TITLE.match(text) or find_date(text) or _PAIR.match(text) or _AMOUNT.search(text):
            if any(_is_address(before.text) for before in head):
                break
        else:
            head.append(line)
    return head


def _is_particulars(text: str) -> bool:
    return bool(_CONTACT.match(text) or _REGISTRATION.match(text))


def _is_address(text: str) -> bool:
    if _CONTACT.match(text) or _REGISTRATION.match(text) or find_date(text):
        return False
    has_digit = any(c.isdigit() for c in text)
    return bool(
        _POSTCODE.search(text)
        or (_HOUSE.match(text) and _NAMED_HOUSE.search(text) and not _AMOUNT.search(text))
        or (_STREET.search(text) and (has_digit or text.rstrip().endswith((",", "."))))
    )


def _address(head: Sequence[VisualLine]) -> tuple[int, int] | None:
    """First line and end of the address: from its first mark to the first line about else."""
    starts = [
        n for n, line in enumerate(head) if _is_address(line.text) and not _LEGAL.search(line.text)
    ]
    if not starts:
        return None
    first = starts[0]
    end = first + 1
    while end < len(head) and end - first < _ADDRESS_LINES and not _is_particulars(head[end].text):
        if _COUNTRY_ENDS.search(head[end - 1].text):
            break
        end += 1
    marks = sum(1 for line in head[first:end] if _is_address(line.text))
    postcode = any(_POSTCODE.search(line.text) for line in head[first:end])
    house = _HOUSE.match(head[first].text) and "," in head[first].text
    text = " ".join(line.text for line in head[first:end])
    streets = {match[0].casefold() for match in _STREET.finditer(text)}
    return (first, end) if marks > 1 or postcode or house or len(streets) > 1 else None


def _may_be_name(text: str) -> bool:
    letters = sum(c.isalpha() for c in text)
    return (
        letters >= 3
        and letters > sum(c.isdigit() for c in _NUMBER_IN_BRACKETS.sub("", text))
        and not _is_particulars(text)
        and not _TITLE.match(text)
    )


def _organisation(names: Sequence[VisualLine], *, proven: bool) -> Found | None:
    legal = [n for n, line in enumerate(names) if _LEGAL.search(line.text)]
    if legal:
        at = legal[0]
        first = at - 1 if at and _is_rest_of_name(names[at].text) else at
        return _found(names[first : at + 1], 0.85 if proven else 0.65, name=True)
    if not names or not proven:
        return None
    tallest = max(line.height for line in names)

    def rank(at: int) -> float:
        line = names[at]
        words = set(tokens(line.text))
        trade = bool(words & TRADES or "&" in line.text) and not words <= TRADES
        size = line.height / tallest if tallest else 1.0
        return 0.6 * trade + 0.5 * (at == 0) + 0.3 * (at == len(names) - 1) + 0.5 * size

    best = max(range(len(names)), key=rank)
    return _found([names[best]], 0.7 if len(names) == 1 else 0.6, name=True)


def _is_rest_of_name(text: str) -> bool:
    """Whether a line has a legal form and a trade, but no name of its own."""
    bare = re.sub(r"\([^)]*\)", " ", _LEGAL.sub(" ", text))
    return set(tokens(bare)) <= TRADES


def _found(lines: Sequence[VisualLine], confidence: float, *, name: bool = False) -> Found | None:
    """The spans of the lines, joined where they follow each other in the text."""
    spans: list[tuple[int, int]] = []
    for line in lines:
        for segment in line.segments:
            start, end = _named(segment) if name else (segment.start, segment.end)
            if start < end:
                spans.append((start, end))
    return Found(tuple(spans), confidence) if spans else None


def _named(segment: Segment) -> tuple[int, int]:
    """The segment without a registration number in brackets at its end."""
    bare = _NUMBER_IN_BRACKETS.sub("", segment.text).rstrip(" ,;:")
    return segment.start, segment.start + len(bare)
