"""Whether a quote of a page states what a question asks; `stated` has what that takes. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.model import Passage
from foliotrace.ports import QuestionTerms
from foliotrace.query.answer.quotes import Quote
from foliotrace.query.answer.quoting.asked import Asked
from foliotrace.query.answer.quoting.noise import NEVER_STATE, noise_in
from foliotrace.query.answer.quoting.passage_terms import PassageTerms, QuoteSpan
from foliotrace.query.answer.quoting.stated import Relation

UNSURE: Final = 0.25
"""Below this confidence of the best quote, an answer says that no sentence states what was asked.

Calibrated on development questions: of 28 such first quotes one was right."""
STATED: Final = 0.6  # of the terms of a question's relation that a sentence must hold
NEARLY_ALL: Final = 0.75  # the same, of a sentence of low score
_LONGEST_ACRONYM: Final = 5


@dataclass(frozen=True, slots=True)
class PageTerms:
    """The terms of what was found of a page, and those of its document's identity."""

    terms: frozenset[str]
    identity: frozenset[str]


def states(
    quote: Quote,
    relation: Relation,
    question: QuestionTerms,
    asked: Asked,
    pages: Mapping[tuple[str, int], PageTerms],
) -> bool:
    """Whether a quote holds the relation, the names and the form that a question asks for."""
    span, page = quote.span, pages[quote.passage.revision, quote.passage.page]
    held = question.answered(span.terms | span.header_terms | span.heading_terms)
    if relation.own_share(held, page.identity) < STATED:
        return False
    share = relation.share(held | page.identity)
    if share < STATED or (quote.score < UNSURE and share < NEARLY_ALL):
        return False
    missing = relation.names - held - page.identity
    if not relation.numeric:
        missing -= page.terms
    text, is_row = quote.text, bool(span.header)
    return (
        (not missing or missing <= _initials(quote.passage.header))
        and relation.fits_form(text, asked, is_row=is_row)
        and not relation.of_other_years(span.header)
        and not relation.splits_compound(text, held, asked)
        and not _never_states(text, span, asked)
    )


def _never_states(text: str, span: QuoteSpan, asked: Asked) -> bool:
    """Whether a quote is a kind of text that states nothing: looked at last, as it costs most."""
    noise = noise_in(text, is_heading=span.is_heading, is_row=bool(span.header))
    return noise in NEVER_STATE and noise not in asked.allowed_noise


def _initials(header: str) -> frozenset[str]:
    """The acronyms that neighbouring capitalised words of a document's identity may have."""
    letters = "".join(w[0] if w[0].isupper() else " " for w in header.replace(",", " ").split())
    runs = [run.casefold() for run in letters.split()]
    return frozenset(
        run[at : at + size]
        for run in runs
        for size in range(3, _LONGEST_ACRONYM + 1)
        for at in range(len(run) - size + 1)
    )


def of_pages(
    sources: Sequence[tuple[Passage, PassageTerms]],
) -> Mapping[tuple[str, int], PageTerms]:
    """The terms of what was found of each page, by revision and number."""
    pages: dict[tuple[str, int], PageTerms] = {}
    for passage, found in sources:
        key = (passage.revision, passage.page)
        terms = pages[key].terms | found.terms if key in pages else found.terms
        pages[key] = PageTerms(terms, found.identity)
    return pages
