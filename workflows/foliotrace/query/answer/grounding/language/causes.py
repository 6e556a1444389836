"""Whether the causes that a sentence lists are those that the passages give. Pure.

"Sales fell because of lower volumes and higher prices": each item must share a word with the
sentences of the passages that are most about the same thing. An item of another sentence, or of
none, is an invented cause. What the passages name as a cause is nothing that happened "despite" it,
nor is what only offset a change its cause.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from foliotrace.query.answer.grounding.claims import Claim, Question
from foliotrace.query.answer.grounding.clauses import Terms
from foliotrace.query.answer.grounding.evidence import ClaimEvidence
from foliotrace.text_caches import text_cache

LEAST_SHARED: Final = 2  # terms that a sentence must have in common with claim and question
CLOSE: Final = 0.7  # of the most shared terms: sentences that may be meant as well
STEM: Final = 5  # letters that two forms of a word have in common

_CAUSE: Final = re.compile(
    r"\b(?:because of|due (?:\w+ )?to|(?:driven|caused|prompted) (?:\w+ )?by|"
    r"attribut\w+(?: \w+){0,3} to|result(?:ed|ing|s)? (?:\w+ )?(?:from|of)|owing to|thanks to|"
    r"drivers? (?:\w+ )?(?:was|were|is|are)|causes? (?:\w+ )?(?:was|were|is|are))\b",
    re.IGNORECASE,
)
_GIVES: Final = re.compile(
    r"\b(?:due|reflect\w*|driv\w+|because|result\w*|consist\w*|attribut\w*|owing|caus\w+|impact\w*|"
    r"thanks|prompted)\b",
    re.IGNORECASE,
)
_ITEM: Final = re.compile(
    r"[,;:](?=\s)|\b(?:and|or|above all|including|mainly|primarily|chiefly|especially)\b"
)
_END: Final = re.compile(r"[;.](?=\s)|\b(?:while|whereas|although|but|partly offset|offset)\b")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"(])|\n\s*\n")


_REASON: Final = (
    r"because(?: of)?|due (?:\w+ )?to|(?:driven|caused) (?:\w+ )?by|as a result of|owing to|"
    r"thanks to|attributable (?:\w+ )?to|reflect(?:s|ed|ing)?"
)
_CONTRAST: Final = (
    r"despite|in spite of|although|even though|notwithstanding|(?:partially |partly )?offset by"
)
_LINK: Final = re.compile(
    rf"\b(?:(?P<reason>{_REASON})|(?P<contrast>{_CONTRAST}))\b", re.IGNORECASE
)
_SCOPE_END: Final = re.compile(r"[.;](?=\s)|\b(?:while|whereas|but)\b|\n\s*\n")
TURNED: Final = 0.6  # of the words behind "despite" that the passages have behind "due to" alone


def links_hold(claim: Claim, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether nothing that the passages give as a reason is said to be in spite of it, or so."""
    if _LINK.search(claim.rest) is None:
        return True
    terms = claim.vocabulary.terms
    said = _linked(claim.rest, terms)
    held = [_linked(e.facts.body, terms) for e in cited]
    for here, there in ((0, 1), (1, 0)):
        same = frozenset(t for each in held for scope in each[here] for t in scope)
        other = frozenset(t for each in held for scope in each[there] for t in scope)
        for scope in said[here]:
            turned = scope & other - same
            if len(turned) >= LEAST_SHARED and len(turned) >= TURNED * len(scope):
                return False
    return True


@text_cache(512)
def _linked(text: str, terms: Terms) -> tuple[Sequence[frozenset[str]], Sequence[frozenset[str]]]:
    """The words behind each reason, and behind each contrast."""
    reasons: list[frozenset[str]] = []
    contrasts: list[frozenset[str]] = []
    found = list(_LINK.finditer(text))
    ends = [*(each.start() for each in found[1:]), len(text)] if found else []
    for each, end in zip(found, ends, strict=True):
        scope = text[each.end() : end]
        words = frozenset(t for t in terms(_SCOPE_END.split(scope, maxsplit=1)[0]) if t.isalpha())
        (reasons if each["reason"] else contrasts).append(words)
    return tuple(reasons), tuple(contrasts)


def causes_hold(claim: Claim, question: Question, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether no listed cause is foreign to the sentences that the claim is about."""
    found = _CAUSE.search(claim.rest)
    if found is None or claim.language is not None:
        return True
    items = [item for item in _items(claim, claim.rest[found.end() :]) if item]
    if not items:
        return True
    before = frozenset(claim.vocabulary.terms(claim.rest[: found.start()])) - claim.frame
    spoken = {term for term in before | question.terms if not term.isdigit()}
    parts = [part for e in cited for part in _sentences(e.facts.body, claim.vocabulary.terms)]
    shares = [len(part & spoken) for part in parts]
    most = max(shares, default=0)
    if most < LEAST_SHARED:
        return True
    near = [part for part, share in zip(parts, shares, strict=True) if share >= CLOSE * most]
    stems = {term[:STEM] for part in near for term in part}
    return all(any(term[:STEM] in stems for term in item) for item in items)


def _items(claim: Claim, causes: str) -> Iterator[frozenset[str]]:
    """The terms of each cause, without numbers and words of comparing."""
    for part in _ITEM.split(_END.split(causes, maxsplit=1)[0]):
        terms = claim.vocabulary.terms(part)
        yield frozenset(t for t in terms if len(t) > 1 and not t.isdigit()) - claim.neutral


@text_cache(512)
def _sentences(text: str, terms: Terms) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(terms(part)) for part in _SENTENCE.split(text) if _GIVES.search(part))
