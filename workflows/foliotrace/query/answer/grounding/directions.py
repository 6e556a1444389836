"""Whether a sentence goes up, down or against the nearest spans and rows of the passages. Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from foliotrace.query.answer.grounding import polarity
from foliotrace.query.answer.grounding.claims import Claim
from foliotrace.query.answer.grounding.evidence import ClaimEvidence
from foliotrace.query.answer.grounding.figures import numbers, tables

SHORT: Final = 3  # a sentence of fewer terms is understood from its question
NEAR: Final = 0.5  # the share of a sentence's terms that makes a span the one it is about

_NUMBERS: Final = re.compile(r"[^A-Za-z]*\d[^A-Za-z]*")
_EXISTS: Final = re.compile(r"^there (?:is|are|was|were|has|have) (?!no\b|not\b)", re.IGNORECASE)
_CLAUSE_END: Final = re.compile(r"[,;:](?=\s)|[.](?=\s)")
_RATIO: Final = re.compile(r"\b(?:margins?|ratio|rate|share|percent|proportion)\b|%", re.IGNORECASE)


def polarity_holds(
    claim: Claim, cited: Sequence[ClaimEvidence], *, asked: frozenset[str], redone: bool
) -> bool:
    """Whether the sentence goes the way that its numbers and its nearest spans go.

    `redone`: arithmetic has confirmed its direction already.
    """
    denies = claim.denies
    said = claim.direction
    change = polarity.stated_change(claim.rest)
    if said and change:
        return (said == change) != denies
    if said and not denies and _signed_otherwise(claim, said, asked, cited):
        return False
    found = direction_found(claim, cited) if said and not redone else None
    if found:
        near = nearest_spans(claim.terms, cited, least=NEAR / 2) if denies else []
        if near and polarity.denies_anything(near[0][1]):
            return said == found
        return (said == found) != denies
    if said and not (denies or redone) and not _RATIO.search(claim.rest):
        texts = [text for _, text in nearest_spans(claim.terms, cited, least=NEAR / 2)]
        return any(polarity.has_direction(text, said) for text in texts)
    near = nearest_spans(claim.terms, cited, least=0.6 * NEAR if denies else NEAR)
    if denies and len(claim.terms) < SHORT:
        near += nearest_spans(claim.terms | asked, cited, least=NEAR / 2)
    if denies:
        return any(polarity.denies_anything(text) for _, text in near) or _has_nil(claim, cited)
    empty = _EXISTS.search(claim.rest) and near and polarity.is_nil(near[0][1])
    return not empty


def _has_nil(claim: Claim, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether the row that holds a figure of the sentence has none in another column."""
    return any(
        0.0 in row.values and row.holds(figure, e.facts.scales)
        for e in cited
        for row in e.facts.rows
        for figure in claim.quantities
        if not figure.is_year
    )


def _signed_otherwise(
    claim: Claim,
    said: polarity.Direction,
    asked: frozenset[str],
    cited: Sequence[ClaimEvidence],
) -> bool:
    """Whether the nearest row has a percentage with the other sign: (10)% is a decrease."""
    shares = [f"{q.value:g}" for q in claim.quantities if q.percent]
    near = nearest_spans(claim.terms | asked, cited, least=0.0) if shares else []
    row = next((text for _, text in near if "\t" in text), "").replace(" ", "")
    for share in shares:
        down = f"({share})%" in row
        up = re.search(rf"(?<![\d.(]){re.escape(share)}%", row) is not None
        if down != up and down == (said == "up"):
            return True
    return False


def nearest_spans(
    wanted: frozenset[str], cited: Sequence[ClaimEvidence], *, least: float
) -> list[tuple[float, str]]:
    """(share, text) of the spans of all passages that hold `least` of the terms, the most first."""
    near = [each for e in cited for each in e.nearest_texts(wanted, least=least)]
    return sorted(near, key=lambda each: -each[0])


def is_prose(text: str) -> bool:
    """Whether a span is no part of a table."""
    lines = text.splitlines()
    return "\t" not in text and sum(_NUMBERS.fullmatch(line) is not None for line in lines) < 2


def _beside_numbers(claim: Claim, text: str) -> Iterator[polarity.Direction]:
    """The directions in the clauses of `text` that hold a number of the claim."""
    for clause in _CLAUSE_END.split(text):
        held = tuple(numbers.quantities(clause))
        if any(
            numbers.same(each, other, ())
            for each in claim.quantities
            for other in held
            if not each.is_year
        ):
            found = polarity.direction(clause)
            if found:
                yield found


def _moved(claim: Claim, cited: Sequence[ClaimEvidence]) -> polarity.Direction | None:
    """Where the newest figure of the sentence that stands in a row came from, a column before."""
    found: list[tuple[tables.Period, bool]] = []
    for e in cited:
        for row in e.facts.rows:
            if row.percent or row.newest_first is None or len(row.periods) != len(row.values):
                continue
            for column, value in enumerate(row.values):
                older = column + (1 if row.newest_first else -1)
                if not 0 <= older < len(row.values) or row.values[older] in (0.0, value):
                    continue
                if any(row.holds_at(column, q, e.facts.scales) for q in claim.quantities):
                    found.append((row.periods[column], value > row.values[older]))
    newest = max((period for period, _ in found), default=None)
    ways = {rises for period, rises in found if period == newest}
    return ("up" if ways.pop() else "down") if len(ways) == 1 else None


def _holds_both(row: tables.NumberRow, claim: Claim, scales: frozenset[float]) -> bool:
    """Whether a row has two of the sentence's figures."""
    return sum(row.holds(q, scales) for q in claim.quantities if not q.is_year) > 1


def direction_found(claim: Claim, cited: Sequence[ClaimEvidence]) -> polarity.Direction | None:
    """The direction that the nearest spans give, else the first relevant row of a table."""
    near = nearest_spans(claim.terms, cited, least=NEAR / 2)
    beside = {d for _, text in near for d in _beside_numbers(claim, text)}
    if len(beside) == 1:
        return beside.pop()
    said = {polarity.direction(text) for share, text in near if share >= 0.8 * near[0][0]}
    said.discard(None)
    if len(said) == 1:
        return said.pop()
    moved = _moved(claim, cited)
    if moved or said or _RATIO.search(claim.rest):
        return moved
    terms = claim.vocabulary.terms
    wanted = frozenset(terms(tables.expanded(claim.rest)))
    for e in cited:
        rows = [row for row in e.facts.rows if _holds_both(row, claim, e.facts.scales)]
        for row in tables.relevant(rows or e.facts.rows, wanted, terms)[:1]:
            dated = row.newest_first is not None and len(row.values) > 1
            if dated and row.values[0] != row.values[1]:
                rises = (row.values[0] > row.values[1]) == row.newest_first
                return "up" if rises else "down"
    return None
