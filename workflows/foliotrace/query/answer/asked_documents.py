"""Which of the passages belong to the documents that a question names. Pure.

A passage of another company, or of another quarter than the one asked for, is no source of an
answer without a language model while passages of the right document were found.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from foliotrace.model import Passage
from foliotrace.query.answer.cells.periods import Periods, periods_in
from foliotrace.query.answer.quoting.passage_terms import PassageTerms
from foliotrace.query.subjects.asked_codes import asked_codes
from foliotrace.query.subjects.asked_names import asked_names

_FISCAL: Final = re.compile(r"\bfiscal\b|\bFY\b", re.I)
_FY: Final = re.compile(r"\bFY(?P<year>\d{4})\b")
_FISCAL_YEAR: Final = re.compile(r"\b(fiscal\s+(?:year\s+)?)(?P<year>\d{4})\b", re.I)
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_MONTH_OF_YEAR: Final = re.compile(rf"\b(?P<month>{'|'.join(_MONTHS)})\s+(?P<year>\d{{4}})\b")


def in_document_periods(question: str, passages: Sequence[Passage]) -> str:
    """The question with its periods as the documents' identities write them.

    "June 2022" is the document's "June 25, 2022"; a quarter of "fiscal 2024" is that of 2023 where
    the documents are named by the year in which it ended, and none is of that quarter of 2024.
    """
    own = [periods_in(header) for header in {p.header for p in passages}]
    ends = {(date.year, date.month): date for each in own for date in each.dates if date.day}

    def dated(found: "re.Match[str]") -> str:
        end = ends.get((int(found["year"]), _MONTHS.index(found["month"]) + 1))
        return f"{found['month']} {end.day}, {end.year}" if end else found.group()

    text = _MONTH_OF_YEAR.sub(dated, question)
    quarters = {(q.year, q.quarter) for each in own for q in each.quarters}
    for asked in periods_in(text).quarters:
        before = (asked.year - 1, asked.quarter)
        other = (asked.year, asked.quarter) not in quarters and before in quarters
        if other and _FISCAL.search(text):
            text = re.sub(rf"\b{asked.year}\b", str(asked.year - 1), text)
    return text


def in_closing_years(question: str, passages: Sequence[Passage]) -> str:
    """The question with fiscal years as the years they end in, which columns of tables name.

    Where documents call the year that ended in January 2023 "fiscal 2022", it becomes 2023.
    """
    headers = {p.header for p in passages}
    own = [(_FY.search(header), _FISCAL_YEAR.search(header)) for header in headers]
    pairs = [(int(a["year"]), int(b["year"])) for a, b in own if a and b]
    if not pairs or any(ends != called + 1 for ends, called in pairs):
        return question
    return _FISCAL_YEAR.sub(lambda found: f"{found[1]}{int(found['year']) + 1}", question)


def of_asked_documents(
    question: str,
    passages: Sequence[Passage],
    terms: Callable[[str], Sequence[str]],
    *,
    series: bool = False,
) -> list[bool]:
    """For each passage, whether its document is one that the question may mean.

    A document is left out if another one is named by more of the names in the question; with a
    quarter or "the latest", also if its period is another one. A `series` is of all periods.
    """
    about = frozenset(
        term
        for name in asked_names(question)
        if name.capitalised or name.possessive or name.subject
        for term in terms(" ".join(name.words))
    )
    headers = list(dict.fromkeys(f"{p.header} {p.document_name}" for p in passages))
    named = {header: about & frozenset(terms(header)) for header in headers}
    kept = {h for h in headers if not any(named[h] < other for other in named.values())}
    if not series:
        kept = _of_period(periods_in(question), kept)
    return [f"{p.header} {p.document_name}" in kept for p in passages]


def of_named(
    question: str,
    sources: Sequence[tuple[Passage, PassageTerms]],
    terms: Callable[[str], Sequence[str]],
) -> tuple[list[tuple[Passage, PassageTerms]], frozenset[str]]:
    """The sources without documents that write none of the question's names, if another does.

    And the terms of the names that distinguish the documents: they say which one is meant, and need
    not stand beside the answer.
    """
    if len({passage.document_id for passage, _ in sources}) < 2:
        return list(sources), frozenset()
    names = [
        frozenset(terms(" ".join(name.words)))
        for name in asked_names(question)
        if name.capitalised or name.possessive
    ]
    wanted = frozenset().union(*names)
    written: dict[str, set[str]] = {}
    for passage, found in sources:
        written.setdefault(passage.document_id, set()).update(wanted & found.terms)
    held = {doc: [n for n in names if n and n <= own] for doc, own in written.items()}
    kept = [source for source in sources if held[source[0].document_id]]
    if not kept or len(kept) == len(sources):
        return list(sources), frozenset()
    return kept, frozenset().union(*(name for found in held.values() for name in found))


def of_coded(
    question: str,
    sources: Sequence[tuple[Passage, PassageTerms]],
    documents: frozenset[str],
) -> tuple[str, list[tuple[Passage, PassageTerms]]]:
    """The sources of the documents that write every code of the question; all, without a code.

    `documents` are known to write them. A code that stands for its whole document need not stand
    beside the answer: the question comes back without it. Where a document writes several such
    codes (a list of invoices), each stands for its own lines, and the question keeps it.
    """
    codes = asked_codes(question)
    if not codes:
        return question, list(sources)
    texts: dict[str, str] = {}
    for passage, _ in sources:
        named = f"{texts.get(passage.document_id, '')} {passage.header} {passage.document_name}"
        texts[passage.document_id] = f"{named.replace('_', ' ')} {passage.text}"
    held = documents.union(
        document for document, text in texts.items() if all(c.stands_in(text) for c in codes)
    )
    kept = [source for source in sources if source[0].document_id in held]
    for code in codes:
        alike = [
            frozenset(f.casefold() for f in code.shape.findall(texts.get(d, ""))) for d in held
        ]
        rest = code.without(question)
        if all(len(each) < 2 for each in alike) and re.search(r"\w{3}.*\w{3}.*\w{3}", rest):
            question = rest
    return question, kept


def _of_period(asked: Periods, headers: set[str]) -> set[str]:
    periods = {header: periods_in(header) for header in headers}
    if asked.quarters:
        of_quarter = {h for h in headers if set(asked.quarters) & set(periods[h].quarters)}
        return of_quarter or headers
    if asked.latest and not asked.named:
        ends = {h: max(periods[h].dates, key=lambda p: p.order, default=None) for h in headers}
        last = max((end.order for end in ends.values() if end), default=None)
        return {h for h in headers if (end := ends[h]) is None or end.order == last}
    return headers
