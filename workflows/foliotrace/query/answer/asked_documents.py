"""Which of the passages belong to the documents that a question names. Pure.

A passage of another company, or of another quarter than the one asked for, is no source of an
answer without a language model while passages of the right document were found.
"""

from collections.abc import Callable, Sequence

from foliotrace.model import Passage
from foliotrace.query.answer.cells.periods import Periods, periods_in
from foliotrace.query.subjects.asked_names import asked_names


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
