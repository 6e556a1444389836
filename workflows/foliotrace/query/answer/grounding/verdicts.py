"""The verdict on one sentence of an answer, over the passages that it cites. Pure.

Supported: its words, names, numbers and dates stand in the passages, and it says yes where they do.
Derived: a number is the result of arithmetic on cited rows, or a yes or no follows from what is
cited. Unverified: anything else.
"""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final

from foliotrace.query.answer.grounding import clauses, polarity
from foliotrace.query.answer.grounding.bindings import dates_bound, names_bound
from foliotrace.query.answer.grounding.claims import Claim, Question
from foliotrace.query.answer.grounding.comparisons import (
    compared_rightly,
    moves_follow,
    results_follow,
)
from foliotrace.query.answer.grounding.denials import affirms_denied
from foliotrace.query.answer.grounding.directions import (
    NEAR,
    direction_found,
    is_prose,
    nearest_spans,
    polarity_holds,
)
from foliotrace.query.answer.grounding.evidence import ClaimEvidence, words_of
from foliotrace.query.answer.grounding.figures import (
    arithmetic,
    attribution,
    cells,
    contexts,
    numbers,
    tables,
    units,
)
from foliotrace.query.answer.grounding.figures.expressions import has_result, stated_results
from foliotrace.query.answer.grounding.figures.premises import Premises, speaks_of_change
from foliotrace.query.answer.grounding.figures.ratios import asked_ratio
from foliotrace.query.answer.grounding.figures.signs import (
    effect_holds,
    sign_confirmed,
    signs_hold,
)
from foliotrace.query.answer.grounding.language.causes import causes_hold, links_hold
from foliotrace.query.answer.grounding.language.order import COVERED, exchanged
from foliotrace.query.answer.grounding.language.strength import overstated
from foliotrace.query.answer.grounding.language.wording import crosses_languages, words_hold
from foliotrace.query.answer.grounding.names import names_hold, rivals
from foliotrace.query.answer.grounding.periods import is_period_convention

NEAREST_SPANS: Final = 3  # whose numbers may be added, subtracted or divided
SHORTEST_COPY: Final = 40  # characters: a sentence copied word for word needs no other check
MOST_DIGITS: Final = 60  # in a sentence or row; a span with more is a table
COUNTS: Final = frozenset({2.0, 3.0, 4.0, 12.0, 100.0, 360.0, 365.0})  # that formulas divide by
SAME: Final = 0.6  # the share of a sentence, but for its names, that says the same of somebody


class ClaimVerdict(StrEnum):
    """What the passages make of a sentence."""

    SUPPORTED = "supported"
    DERIVED = "derived"
    UNVERIFIED = "unverified"


def judge(claim: Claim, question: Question, cited: Sequence[ClaimEvidence]) -> ClaimVerdict:
    """The verdict on a sentence over the passages `cited`, all of them together."""
    yes, rest = claim.answer
    if yes is not None and not rest.strip(" .!,"):
        return _bare_yes_or_no(yes, question, cited)
    if yes is not None and not polarity.agrees(yes, question.text, rest):
        return ClaimVerdict.UNVERIFIED
    if len(claim.in_order) > SHORTEST_COPY and any(
        claim.in_order in e.facts.in_order for e in cited
    ):
        return ClaimVerdict.SUPPORTED if yes is None else ClaimVerdict.DERIVED
    if is_period_convention(claim, question, cited):
        return ClaimVerdict.DERIVED
    verdict = _claim(claim, question, cited)
    if verdict is ClaimVerdict.SUPPORTED and yes is not None:
        return ClaimVerdict.DERIVED
    return verdict


def _claim(claim: Claim, question: Question, cited: Sequence[ClaimEvidence]) -> ClaimVerdict:
    misplaced = cells.misplaced(
        cells.Spoken(claim.rest, claim.quantities, question.text, claim.vocabulary.terms),
        [e.facts.table for e in cited],
    )
    elsewhere = [figure.start for figure in misplaced] if claim.has_digits else []
    missing = [
        each for each in claim.quantities
        if each.start in elsewhere or not _number_holds(each, question, cited)
    ]  # fmt: skip
    held = sum(not each.is_year for each in claim.quantities) + 2 * len(claim.dates)
    if not words_hold(claim, question, cited, held):
        return ClaimVerdict.UNVERIFIED
    if not (
        _codes_and_dates_hold(claim, question, cited)
        and names_hold(claim.names, question.words, question.terms, cited, question.vocabulary)
        and _years_hold(claim, question, cited)
        and dates_bound(claim, question, cited)
        and names_bound(claim, question, cited)
        and causes_hold(claim, question, cited)
        and links_hold(claim, cited)
    ):
        return ClaimVerdict.UNVERIFIED
    if elsewhere and not speaks_of_change(claim.words | question.words):
        return ClaimVerdict.UNVERIFIED
    if missing and not _derived(missing, claim, question, cited):
        return ClaimVerdict.UNVERIFIED
    if has_result(claim.rest) and any(not right for _, right in stated_results(claim.rest)):
        return ClaimVerdict.UNVERIFIED
    compared = compared_rightly(claim)
    if compared is False or not (
        results_follow(claim) and moves_follow(claim) and signs_hold(claim, cited)
    ):
        return ClaimVerdict.UNVERIFIED
    if _says_otherwise_anywhere(claim, question, cited):
        return ClaimVerdict.UNVERIFIED
    checked = compared or effect_holds(claim, cited) or sign_confirmed(claim, cited)
    if not checked and not polarity_holds(claim, cited, asked=question.terms, redone=bool(missing)):
        return ClaimVerdict.UNVERIFIED
    if not crosses_languages(claim, cited) and _said_otherwise(claim, question, cited):
        return ClaimVerdict.UNVERIFIED
    return ClaimVerdict.DERIVED if missing else ClaimVerdict.SUPPORTED


def _says_otherwise_anywhere(
    claim: Claim, question: Question, cited: Sequence[ClaimEvidence]
) -> bool:
    """Whether units, places of words and figures, or strength differ from those of the passages."""
    bodies = [e.facts.body for e in cited]
    terms = claim.vocabulary.terms
    if units.wrong_unit(claim.rest, bodies) or not units.spelled_out(
        claim.rest, [*bodies, question.text]
    ):
        return True
    if not numbers.has_iso_date(claim.rest) and (
        contexts.swapped(claim.rest, bodies)
        or (not effect_holds(claim, cited) and contexts.contrary(claim.rest, bodies))
    ):
        return True
    return (
        attribution.misattributed(claim.rest, claim.quantities, bodies, terms)
        or attribution.of_another_year(claim.quantities, bodies)
        or overstated(claim, cited)
        or affirms_denied(claim, question, cited)
        or exchanged(
            claim.rest,
            [
                e.facts.body
                for e in cited
                if len(claim.terms & e.terms.terms) >= COVERED * len(claim.terms)
            ],
            terms,
        )
    )


def _number_holds(
    claimed: numbers.Quantity, question: Question, cited: Sequence[ClaimEvidence]
) -> bool:
    """Whether the question or a passage has the number, in any form."""
    if _number_in(claimed, cited):
        return True
    if any(numbers.same(claimed, held, ()) for held in question.quantities):
        return True
    return any(
        numbers.same(claimed, held, e.facts.scales, question.scales)
        for e in cited
        for held in e.facts.quantities
    )


def _number_in(claimed: numbers.Quantity, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether a passage has the very number."""
    written_out = claimed.value * claimed.scale
    return any(written_out in e.facts.amounts for e in cited)


def _codes_and_dates_hold(claim: Claim, question: Question, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether its codes, days and quarters stand in the question or in a passage."""
    for code in claim.codes - question.codes:
        if not any(code in e.facts.codes for e in cited):
            return False
    for date in claim.dates - question.dates:
        readings = {date, date[::-1]} & claim.dates  # 02/03/2024 has two
        if not any(readings & e.facts.dates for e in cited):
            return False
    asked = {int(q.value) for q in question.quantities if q.is_year}
    new = {(n, year) for n, year in claim.quarters - question.quarters if year not in asked}
    return not (new and question.quarters) or any(new <= e.facts.quarters for e in cited)


def _years_hold(claim: Claim, question: Question, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether a sentence that names none of the years asked about takes its years from a span.

    The year of a date that is cited needs no span; a span with many numbers is a table.
    """
    asked = {int(q.value) for q in question.quantities if q.is_year}
    dated = {int(year) for _, _, year in numbers.full_dates(claim.rest)} if claim.dates else set()
    if len(asked) == 2:  # "from FY21 to FY23"
        asked = set(range(min(asked), max(asked) + 1))
    new = claim.years - dated
    if not asked or not new or asked & claim.years:
        return True
    near = nearest_spans(claim.terms, cited, least=NEAR / 2)
    texts = [text for _, text in near if sum(map(str.isdigit, text)) <= MOST_DIGITS]
    return any(str(year) in text for year in new for text in texts)


def _derived(
    missing: Sequence[numbers.Quantity],
    claim: Claim,
    question: Question,
    cited: Sequence[ClaimEvidence],
) -> bool:
    """Whether each missing number follows by arithmetic, shown in the sentence or redone here."""
    results = list(stated_results(claim.rest)) if has_result(claim.rest) else []
    open_numbers = [q for q in missing if not _confirmed(q, claim, results)]
    if not open_numbers:
        return True
    terms = question.vocabulary.terms
    both = f"{question.text} {claim.rest}"
    wanted = frozenset(terms(tables.expanded(both)))
    near = nearest_spans(claim.all_terms | question.terms, cited, least=0.0)[:NEAREST_SPANS]
    premises = Premises(
        rows=[row for e in cited for row in e.facts.rows],
        terms=terms,
        wanted=wanted,
        ratio=asked_ratio(question.text, claim.rest),
        scales=frozenset().union(*(e.facts.scales for e in cited)),
        stated=tuple(q for q in claim.quantities if q not in missing),
        near=tuple(tuple(numbers.quantities(text)) for _, text in near if is_prose(text)),
        of_question=tuple(q for q in question.quantities if _number_in(q, cited)),
        said=None if claim.denies else claim.direction,
        years=claim.years,
        words=words_of(both),
        asked=question.text,
    )
    return all(
        arithmetic.derives(each, _premises_of(each, premises, claim)) for each in open_numbers
    )


def _premises_of(missing: numbers.Quantity, premises: Premises, claim: Claim) -> Premises:
    """The premises with what the words right before the number say of it."""
    before = clauses.last_clause(claim.rest[: missing.start])
    change = polarity.is_change(before)
    words = premises.words | {"total"} if before.endswith((" of ", " of $")) else premises.words
    said = polarity.last_direction(before) if change else None
    spoken = cells.Spoken(claim.rest, claim.quantities, premises.asked, premises.terms)
    return replace(
        premises,
        of_years=cells.years_said(spoken, missing),
        changes_only=change,
        words=words,
        said=said or premises.said,
    )


def _confirmed(
    missing: numbers.Quantity, claim: Claim, results: Sequence[tuple[int, bool]]
) -> bool:
    """Whether the sentence shows how it comes to the number, or the number only divides there."""
    if any(right and place == missing.start for place, right in results):
        return True
    counts = missing.value in COUNTS and not missing.percent
    before = claim.rest[: missing.start].rstrip()[-1:]
    return bool(results) and counts and before in tuple("/*\u00d7\u00f7x")


def _said_otherwise(claim: Claim, question: Question, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether the nearest clauses deny it, or give its figures or names to another."""
    names = frozenset(
        t
        for n in claim.names
        for w in n.words
        if w not in question.words
        for t in question.vocabulary.terms(w)
    )
    about = claim.terms - names
    near = nearest_spans(about, cited, least=NEAR / 2)
    terms = claim.vocabulary.terms
    held = [c for _, text in near for c in clauses.clauses_of(text, terms, claim.neutral)]
    if clauses.contradicted(claim.clauses, held):
        return True
    if claim.answer[0]:
        asked = Claim(polarity.asked_first(question.text), question.vocabulary)
        texts = [text for _, text in nearest_spans(asked.terms, cited, least=NEAR)]
        said = [c for text in texts for c in clauses.clauses_of(text, terms, claim.neutral)]
        if clauses.denied(asked.clauses, said):
            return True
    if claim.has_digits and _of_another_row(claim, question, cited):
        return True
    if not claim.names:
        return False
    most = near[0][0] if near else 0.0
    if most >= SAME and len(about) > 1:
        same = [text for share, text in near if share >= 0.9 * most]
        windows = [(text, e.before(text)) for text in same for e in cited if text in e.facts.text]
        heads = frozenset().union(*(words_of(e.head) for e in cited))
        if rivals(claim.names, windows, question.words | heads):
            return True
    new = [n.text for n in claim.names if not question.words.issuperset(n.words)]
    if not (new and claim.has_digits):
        return False
    everything = [part for e in cited for part in clauses.figures_of(e.facts.text)]
    return clauses.gives_figure_to_another_name(claim.rest, everything, new, question.text)


def _of_another_row(claim: Claim, question: Question, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether a figure stands in rows of another label than the one that is spoken of.

    Spoken of is what stands before the figure; where that is nothing, what the question asks.
    """
    terms = claim.vocabulary.terms
    rows = [(row, e.facts.scales) for e in cited for row in e.facts.rows]
    start = 0
    for figure in claim.quantities:
        before, start = claim.rest[start : figure.start], figure.start
        of_figure = [row for row, scales in rows if row.holds(figure, scales)]
        if figure.is_year or figure.percent or not of_figure:
            continue
        local = frozenset(terms(tables.expanded(before))) - claim.frame
        wanted = local or frozenset(terms(tables.expanded(question.text)))
        named = tables.named_by([row for row, _ in rows], wanted, terms)
        if named and not any(tables.shares_word(row, wanted, terms) for row in of_figure):
            return True
    return False


def _bare_yes_or_no(yes: bool, question: Question, cited: Sequence[ClaimEvidence]) -> ClaimVerdict:
    """A Yes or No alone claims what the question asks, or the contrary."""
    asked = Claim(question.text, question.vocabulary)
    empty_question = Question("", question.vocabulary)
    if not words_hold(asked, empty_question, cited):
        return ClaimVerdict.UNVERIFIED
    wanted = polarity.direction(polarity.asked_first(question.text))
    found = direction_found(asked, cited)
    if wanted and found:
        return ClaimVerdict.DERIVED if yes == (wanted == found) else ClaimVerdict.UNVERIFIED
    near = nearest_spans(asked.terms, cited, least=NEAR)
    denied = bool(near) and polarity.negated(near[0][1]) != polarity.negated(question.text)
    return ClaimVerdict.DERIVED if yes != denied and (yes or near) else ClaimVerdict.UNVERIFIED
