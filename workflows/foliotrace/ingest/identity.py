"""Identifies a document: company, kind, period and title, from its first pages and its name.

Rules, no language model: SEC filings state all four in fixed phrases; for other documents the rules
take what is recognisable and leave the rest empty. A wrong word costs little, because the identity
is indexed but never quoted.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Final

from foliotrace.model import BlockKind, Identity, ParsedPage

FIRST_PAGES: Final = 4
"""Number of pages that `identify` reads."""

_MONTHS: Final = (
    "January|February|March|April|May|June|July|August|September|October|November|December"
)
_DATE: Final = rf"(?:{_MONTHS})\s+\d{{1,2}},?\s+(?P<year>(?:19|20)\d\d)"
_YEAR_ENDED: Final = re.compile(rf"(?:fiscal\s+)?year\s+ended:?\s+(?P<date>{_DATE})", re.I)
_QUARTER_ENDED: Final = re.compile(rf"quarter(?:ly\s+period)?\s+ended:?\s+(?P<date>{_DATE})", re.I)
_EVENT_DATE: Final = re.compile(rf"date\s+of\s+(?:report|earliest)[^\n]*?(?P<date>{_DATE})", re.I)
_NAMED_PERIOD: Final = re.compile(
    r"(?<![a-z0-9])(?:q(?P<q1>[1-4])[ _-]?)?(?:fy)?[ _-]?(?P<year>(?:19|20)\d\d)(?!\d)"
    r"(?:[ _-]?q(?P<q2>[1-4]))?",
    re.I,
)
_FISCAL: Final = re.compile(
    r"(?:(?P<quarter>first|second|third|fourth)\s+quarter\s+(?:of\s+)?)?"
    r"fiscal\s+(?:years?\s+)?(?P<year>(?:19|20)\d\d(?:[-\u2013]\d{2,4})?)",
    re.I,
)

_REGISTRANT: Final = re.compile(r"\(?exact\s+name\s+of\s+(?:the\s+)?registrant", re.I)
_LEGAL_FORM: Final = (
    r"(?:Inc|INC|Corp|CORP|Corporation|CORPORATION|Company|COMPANY|Co|CO|plc|PLC|Ltd|LTD|Limited"
    r"|LLC|LLP|GmbH|AG|N\.V|S\.A|S\.p\.A)\b\.?"
)
_COMPANY: Final = re.compile(
    r"\b(?:(?:[A-Z][\w&.'\u2019-]*|&|of|and),?[ ]){1,5}?"
    + _LEGAL_FORM
    + r"(?:,? "
    + _LEGAL_FORM
    + r")?"
)
_NOT_A_COMPANY: Final = re.compile(
    r"^(?:The|This|Each|Our|Smaller|Reporting|Shell|Parent|Emerging|Growth|Public|Holding)?\s*"
    r"(?:reporting|shell|growth|public|holding|parent)?\s*(?:company|corporation|limited)\.?$"
    r"|stock (?:exchange|market)|^(?:and|of|&)\b",
    re.I,
)

_FORM: Final = re.compile(
    r"\bform\s+(?P<form>10-[KQ]|8-K|20-F|6-K|S-1|DEF\s*14A)(?P<amended>/A)?", re.I
)
_FORMS: Final = {
    "10-K": "10-K annual report",
    "10-Q": "10-Q quarterly report",
    "8-K": "8-K current report",
    "20-F": "20-F annual report",
    "6-K": "6-K report",
    "S-1": "S-1 registration statement",
    "DEF14A": "proxy statement",
}
_STATED_FORMS: Final = (
    (re.compile(r"annual\s+report\s+pursuant\s+to\s+section\s+13", re.I), "10-K"),
    (re.compile(r"quarterly\s+report\s+pursuant\s+to\s+section\s+13", re.I), "10-Q"),
    (re.compile(r"form\s+8-K\s+filing\s+is\s+intended", re.I), "8-K"),
)
_EARNINGS: Final = re.compile(r"\b(?:reports?|announces?)\b.{0,80}\bresults\b", re.I | re.S)
_KINDS: Final = {
    "(?:purchase order)": "purchase order",
    "invoice": "invoice",
    "(?:estimate|quotation|quote)": "estimate",
    "receipt": "receipt",
    "(?:agreement|contract)": "agreement",
    "(?:curriculum vitae|resume)": "resume",
    "(?:press release|news release)": "press release",
    "(?:minutes of)": "minutes",
    "(?:strategic plan|plan)": "plan",
    "handbook": "handbook",
    "(?:manual|user guide|guide)": "guide",
    "(?:policy|policies)": "policy",
    "(?:data ?sheet)": "data sheet",
    "(?:memo|memorandum)": "memo",
    "(?:report)": "report",
    "abstract": "paper",
}  # fmt: skip
_KIND_PATTERNS: Final = tuple(
    (re.compile(rf"\b{words}\b", re.I), kind) for words, kind in _KINDS.items()
)
_ANY_KIND: Final = re.compile(rf"\b(?:{'|'.join(_KINDS)})\b", re.I)

_COVER: Final = re.compile(
    r"^(?:(?:table of )?contents|united states|securities and exchange commission"
    r"|washington,? d\.?c\.?.*|form \S+|\(mark one\)|page \d+.*|confidential|draft|[\W_\d]*)$",
    re.I,
)
_PRODUCED: Final = re.compile(
    r"^(?:untitled|microsoft \w+ - .*|document\d*|slide \d+|.*\.\w{2,4})$", re.I
)
_TITLE_CHARACTERS: Final = 120


def identify(pages: Sequence[ParsedPage], *, name: str, title: str | None = None) -> Identity:
    """The identity from a document's first pages; `title` is the title in the file's metadata."""
    first = pages[:FIRST_PAGES]
    text = "\n".join(page.text for page in first)
    form = _form(text)
    return Identity(
        title=_title(first, title, name) if form is None else None,
        company=_company(text, is_filing=form is not None),
        period=_period(text, name, form),
        kind=_FORMS[form] if form else _kind(first, name),
    )


def _form(text: str) -> str | None:
    """The SEC form that the cover page names."""
    cover = text[:6000]
    if "securities" not in cover.lower():
        return None
    found = _FORM.search(cover)
    if found:
        form = re.sub(r"\s+", "", found["form"].upper())
        return form if form in _FORMS else None
    return next((form for pattern, form in _STATED_FORMS if pattern.search(cover)), None)


def _company(text: str, *, is_filing: bool) -> str | None:
    """The registrant of a filing, else the organisation named most often on the first pages."""
    if is_filing:
        stated = _registrant(text)
        if stated:
            return stated
    names = Counter[str]()
    spelled: dict[str, str] = {}
    for match in _COMPANY.finditer(text):
        organisation = _bare(match.group())
        if _NOT_A_COMPANY.search(organisation):
            continue
        key = re.sub(r"\W+", " ", organisation).casefold().strip()
        names[key] += 1
        spelled.setdefault(key, organisation)
    if not names:
        return None
    return spelled[max(names, key=lambda key: names[key])]


def _registrant(text: str) -> str | None:
    """The line above "(Exact name of registrant ...)", if it names an organisation."""
    found = _REGISTRANT.search(text)
    if not found:
        return None
    above = [line.strip() for line in text[: found.start()].splitlines() if line.strip()]
    if not above:
        return None
    line = _bare(above[-1])
    organisation = _COMPANY.search(line)
    if organisation:
        return _bare(organisation.group())
    return line if line.isupper() and 2 < len(line) <= 60 and not _COVER.match(line) else None


def _bare(name: str) -> str:
    return " ".join(name.split()).strip(" ,;:_-")


def _period(text: str, name: str, form: str | None) -> str | None:
    """The period in the words that questions use; the one in the file's name comes first."""
    parts = [_named_period(match) for match in _NAMED_PERIOD.finditer(name)]
    parts += _stated_period(text, form)
    return ", ".join(dict.fromkeys(part for part in parts if part)) or None


def _named_period(match: re.Match[str]) -> str:
    quarter = match["q1"] or match["q2"]
    return f"Q{quarter} {match['year']} FY{match['year']}" if quarter else match["year"]


def _stated_period(text: str, form: str | None) -> Iterator[str]:
    lowered = text.lower()  # most texts hold none of these words, and the patterns are slow
    ended = "ended" in lowered
    year = _YEAR_ENDED.search(text) if ended else None
    quarter = _QUARTER_ENDED.search(text) if ended else None
    event = _EVENT_DATE.search(text) if "date" in lowered else None
    if year and form in (None, "10-K", "20-F"):
        yield f"FY{year['year']} fiscal year ended {_words(year['date'])}"
    elif quarter:
        yield f"quarter ended {_words(quarter['date'])}"
    elif event:
        yield _words(event["date"])
    elif "fiscal" in lowered and (fiscal := _FISCAL.search(text)):
        quarter_word = fiscal["quarter"]
        yield (
            f"{quarter_word} quarter of fiscal {fiscal['year']}"
            if quarter_word
            else (f"fiscal {fiscal['year']}")
        )


def _words(text: str) -> str:
    return " ".join(text.split())


def _kind(pages: Sequence[ParsedPage], name: str) -> str | None:
    """The first kind of document named in the first lines, the file's name or the first page."""
    if not pages:
        return None
    head = pages[0].text[:400]
    if _EARNINGS.search(head) or re.search(r"earnings", name, re.I):
        return "earnings release"
    for place in (head, re.sub(r"[_\W]+", " ", name), pages[0].text[:2000]):
        if _ANY_KIND.search(place):
            return next(kind for pattern, kind in _KIND_PATTERNS if pattern.search(place))
    return None


def _title(pages: Sequence[ParsedPage], stated: str | None, name: str) -> str:
    """The title in the file's metadata, else the first heading or line, else the file's name."""
    if stated and not _PRODUCED.match(stated.strip()):
        return _words(stated)[:_TITLE_CHARACTERS]
    for line in _headings_then_lines(pages[:1]):
        if not _COVER.match(line) and len(line) >= 3:
            return line[:_TITLE_CHARACTERS]
    return re.sub(r"[_\s]+", " ", PurePath(name).stem)


def _headings_then_lines(pages: Sequence[ParsedPage]) -> Iterator[str]:
    for page in pages:
        for block in page.blocks:
            if block.kind is BlockKind.HEADING:
                yield _words(page.text[block.start : block.end])
        for line in page.text.splitlines():
            yield _words(line)
