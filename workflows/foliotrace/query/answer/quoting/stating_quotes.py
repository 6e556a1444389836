"""Whether a quote of a page states what a question asks; `stated` has what that takes. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

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
_CONNECTING: Final = frozenset(("of", "and", "for", "the", "on", "&"))
_LABEL: Final = re.compile(r"[A-Z][\w /&#.-]{1,40}:[ \t]*\t")
_LONGEST_LINE: Final = 160  # characters


_Found: TypeAlias = Sequence[tuple[Passage, PassageTerms]]


@dataclass(frozen=True, slots=True)
class PageTerms:
    """The terms of what was found of a page, and those of its document's identity.

    `here` is what was found of the page, `first` what was found of its document's first page.
    """

    terms: frozenset[str]
    identity: frozenset[str]
    here: _Found = ()
    first: _Found = ()

    def holds(self, names: frozenset[str], quote: Quote, *, beside: bool) -> bool:
        """Whether the document holds names that the quote itself does not.

        That is in lines of its first page behind a label, or as the acronym of capitalised words;
        unless they must stand `beside` the answer, anywhere on the page or the first one.
        """
        for passage, found in self.first:
            names -= _labelled(passage, found) if beside else found.terms
        if not names:
            return True
        texts = [quote.passage.header, quote.text]
        texts += [passage.text for passage, _ in (*self.here, *self.first)]
        return all(
            len(name) <= _LONGEST_ACRONYM and any(name in _initials(text) for text in texts)
            for name in names
        )


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
    if relation.own_share(held, page.identity) < STATED or relation.lacks_required(held):
        return False
    share = relation.share(held | page.identity)
    if share < STATED or (quote.score < UNSURE and share < NEARLY_ALL):
        return False
    missing = relation.names - held - page.identity
    if not relation.numeric:
        missing -= page.terms
    text, is_row = quote.text, bool(span.header)
    return (
        (not missing or page.holds(missing, quote, beside=relation.numeric))
        and relation.fits_form(text, asked, is_row=is_row)
        and not relation.of_other_years(span.header)
        and not relation.of_other_days(f"{span.header} {text}")
        and not relation.splits_compound(text, held, asked)
        and not _never_states(text, span, asked)
    )


def _never_states(text: str, span: QuoteSpan, asked: Asked) -> bool:
    """Whether a quote is a kind of text that states nothing: looked at last, as it costs most."""
    noise = noise_in(text, is_heading=span.is_heading, is_row=bool(span.header))
    return noise in NEVER_STATE and noise not in asked.allowed_noise


def _initials(text: str) -> frozenset[str]:
    """The acronyms that neighbouring capitalised words may have; "of" and "and" are left out."""
    words = [w for w in text.replace(",", " ").split() if w not in _CONNECTING]
    runs = "".join(w[0] if w[0].isupper() else " " for w in words).casefold().split()
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
    of_page: dict[tuple[str, int], list[tuple[Passage, PassageTerms]]] = {}
    for passage, found in sources:
        of_page.setdefault((passage.revision, passage.page), []).append((passage, found))
    return {
        (revision, number): PageTerms(
            here[0][1].terms.union(*(found.terms for _, found in here[1:])),
            here[0][1].identity,
            here,
            of_page.get((revision, 1), ()),
        )
        for (revision, number), here in of_page.items()
    }


def _labelled(passage: Passage, found: PassageTerms) -> frozenset[str]:
    """The terms of a passage's short lines behind a label: what a form is about."""
    return frozenset().union(
        *(
            span.terms
            for span in found.spans
            if _LABEL.match(passage.text, span.start - passage.start)
            and span.end - span.start <= _LONGEST_LINE
        )
    )
