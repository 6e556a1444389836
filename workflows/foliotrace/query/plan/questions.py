"""Recognises questions that one search does not answer: comparisons, lists, summaries. Pure.

English only. Everything else is a direct question, which costs a few regular expressions here.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import Final

from foliotrace.query.subjects.asked_names import asked_files, asked_names

_POLITE: Final = r"^\W*(?:(?:please|can you|could you|would you)\s+)*"
_DOCUMENTS: Final = (
    r"(?:documents?|files?|reports?|contracts?|filings?|letters?|policies|agreements|papers?)"
)
_LIST: Final = re.compile(
    _POLITE + r"(?:(?:list|enumerate)\b"
    r"|(?:name|find|give(?:\s+me)?|show(?:\s+me)?|tell\s+me|(?:what|who|which)\s+are)\s+"
    r"(?:all\b|every\b|each\b|an?\s+(?:full\s+|complete\s+)?list\b))",
    re.I,
)
_WHICH_DOCUMENTS: Final = re.compile(
    rf"\b(?:which|what|all(?:\s+the)?|every|each|the|list)\s+{_DOCUMENTS}\s+(?:that\s+|which\s+|do\s+|of\s+\w+\s+)?"
    r"(?:mention|contain|speak|talk|refer|discuss|cover|name|include|say|describe)",
    re.I,
)
_SUMMARY: Final = re.compile(
    _POLITE + r"(?:summari[sz]e|sum\s+up|outline"
    r"|(?:(?:give|write|make|provide)(?:\s+me)?\s+)?(?:an?\s+|the\s+)?(?:short\s+|brief\s+)?"
    r"(?:summary|overview|outline)\s+of"
    r"|what\s+are\s+the\s+(?:key|main)\s+points\s+(?:of|in))\s+(?P<target>\S.*?)\W*$",
    re.I | re.S,
)
_COMPARES: Final = re.compile(
    r"\b(?:compar\w*|versus|vs|differ\w*|between|higher|lower|larger|smaller|more|less|better|"
    r"worse|chang\w*|gr[eo]w\w*|increas\w*|decreas\w*|rise|rose|fall|fell)\b",
    re.I,
)
_PERIOD: Final = re.compile(
    r"\b(?P<quarter>q[1-4]|(?:first|second|third|fourth)\s+quarter)?(?:\s*(?:of\s+)?)?"
    r"(?:(?:fiscal(?:\s+year)?\s+|fy\s*['\u2019]?\s*)(?P<short>\d\d)\b(?!\d)"
    r"|(?:fiscal(?:\s+year)?\s+|fy\s*)?(?P<year>(?:19|20)\d\d)(?![\d.,]\d)\b)"
    r"|\bq[1-4]\b",
    re.I,
)
_JOIN: Final = re.compile(
    r"(?:['\u2019]s?)?(?:[\s,;/&]|\b(?:and|or|vs|versus|with|to|against|than|in|the|of|for|from|"
    r"both|between|as|well|year|fiscal|annual|quarter|reports?|filings?)\b\.?)*",
    re.I,
)
_SEPARATORS: Final = re.compile(r"[\W_]+")
_AND: Final = re.compile(r"[,&/]|\b(?:and|or|vs|versus)\b", re.I)
_AND_COMPARED: Final = re.compile(r"[,&/]|\b(?:and|or|vs|versus|with|to|against|than)\b", re.I)


class PlanKind(StrEnum):
    """What a question asks for."""

    DIRECT = "direct"
    COMPARISON = "comparison"
    LIST = "list"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Part:
    """One side of a comparison: its name, its words in lower case, and the question about it."""

    name: str
    words: tuple[str, ...]
    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionPlan:
    """`parts` belong to a comparison, `target` (as it is asked) to a summary.

    `by_document`: a list of documents, so that each one counts once.
    """

    kind: PlanKind = PlanKind.DIRECT
    parts: tuple[Part, ...] = ()
    target: str = ""
    by_document: bool = False


DIRECT: Final = QuestionPlan()


@dataclass(frozen=True, slots=True)
class _Mention:
    text: str
    words: tuple[str, ...]
    start: int
    end: int


def may_need_more(text: str) -> bool:
    """Whether the question can be anything but a direct one, judged without the documents."""
    return bool(
        _AND_COMPARED.search(text)
        or _SUMMARY.match(text)
        or _LIST.match(text)
        or _WHICH_DOCUMENTS.search(text)
    )


def plan_of(text: str, holds: Callable[[Sequence[str]], bool]) -> QuestionPlan:
    """What the question needs; `holds` says whether words name a document's company or title."""
    summary = _SUMMARY.match(text)
    if summary is not None:
        return QuestionPlan(kind=PlanKind.SUMMARY, target=summary["target"])
    by_document = bool(_WHICH_DOCUMENTS.search(text))
    if by_document or _LIST.match(text):
        return QuestionPlan(kind=PlanKind.LIST, by_document=by_document)
    parts = _parts(text, holds)
    return QuestionPlan(kind=PlanKind.COMPARISON, parts=parts) if len(parts) > 1 else DIRECT


def _parts(text: str, holds: Callable[[Sequence[str]], bool]) -> tuple[Part, ...]:
    """The combinations of the things and the periods that the question puts side by side."""
    if not _AND_COMPARED.search(text):
        return ()
    compares = bool(_COMPARES.search(text))
    named = _group(text, _files(text), compares) or _group(text, _names(text, holds), compares)
    if named and _is_one(named, compares, holds):
        named = []
    groups = [group for group in (named, _group(text, _periods(text), compares)) if group]
    return tuple(_part(text, groups, sides) for sides in product(*groups)) if groups else ()


def _is_one(
    named: Sequence[_Mention], compares: bool, holds: Callable[[Sequence[str]], bool]
) -> bool:
    """Whether "and" stands inside one name: "Terms and Conditions", "Procter & Gamble"."""
    if holds(("".join(word for each in named for word in each.words),)):
        return True
    return not compares and not any(holds(each.words) for each in named)


def _group(text: str, mentions: Sequence[_Mention], compares: bool) -> list[_Mention]:
    """The first two or more mentions that nothing but "and", "or", "versus" stands between."""
    joins = _AND_COMPARED if compares else _AND
    run: list[_Mention] = []
    for mention in mentions:
        between = text[run[-1].end : mention.start] if run else ""
        if run and not (_JOIN.fullmatch(between) and joins.search(between)):
            if _several(run):
                break
            run = []
        run.append(mention)
    return run if _several(run) else []


def _several(run: Sequence[_Mention]) -> bool:
    return len({each.text.casefold() for each in run}) > 1


def _part(text: str, groups: Sequence[Sequence[_Mention]], sides: Sequence[_Mention]) -> Part:
    """The question with one side of each group in the place of the whole group."""
    spans = [
        (group[0].start, group[-1].end, side) for group, side in zip(groups, sides, strict=True)
    ]
    for start, end, side in sorted(spans, key=lambda span: -span[0]):
        text = f"{text[:start]}{side.text}{text[end:]}"
    names = " ".join(side.text for side in sides)
    return Part(names, tuple(word for side in sides for word in side.words), text)


def _files(text: str) -> list[_Mention]:
    files = ((name, _file_words(name)) for name in asked_files(text))
    return list(_placed(text, files))


def _file_words(name: str) -> tuple[str, ...]:
    return tuple(_SEPARATORS.sub(" ", name.rpartition(".")[0]).split())


def _names(text: str, holds: Callable[[Sequence[str]], bool]) -> list[_Mention]:
    names = (
        (name.text, name.words)
        for name in asked_names(text)
        if name.capitalised or name.possessive or holds(name.words)
    )
    return list(_placed(text, names))


def _placed(text: str, named: Iterable[tuple[str, tuple[str, ...]]]) -> Iterator[_Mention]:
    """The names where they stand in the text, in order."""
    position = 0
    for name, words in named:
        found = re.compile(re.escape(name), re.I).search(text, position)
        if found is not None:
            position = found.end()
            yield _Mention(found.group(), words, found.start(), position)


def _periods(text: str) -> list[_Mention]:
    """Years and quarters; a quarter without a year has that of the next one."""
    mentions: list[_Mention] = []
    year = ""
    for found in reversed(list(_PERIOD.finditer(text))):
        own = found["year"] or (f"20{found['short']}" if found["short"] else "")
        year = own or year
        written = found.group().strip()
        if not year:
            continue
        if not own:
            written = f"{written} {year}"
        elif found["short"]:
            written = f"{found['quarter'] or ''} fiscal {year}".strip()
        start = found.start() + len(found.group()) - len(found.group().lstrip())
        mentions.insert(0, _Mention(written, (year,), start, found.end()))
    return mentions
