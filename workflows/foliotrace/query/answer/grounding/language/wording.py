"""Whether enough of the words of a sentence stand in the passages. Pure.

A sentence in another language than a passage shares few words with it: its numbers must hold, or
words that look alike in both languages.
"""

from collections.abc import Sequence
from typing import Final

from foliotrace.query.answer.grounding.claims import Claim, Question
from foliotrace.query.answer.grounding.evidence import ClaimEvidence

SUPPORT: Final = 0.5  # the share of a sentence's terms that the passages and the question hold
NEW_SUPPORT: Final = 0.34  # the same of the terms that the question does not have
COGNATE: Final = 4  # letters that words of two languages have in common
COGNATES: Final = 0.3  # the share of a sentence's words


def words_hold(
    claim: Claim, question: Question, cited: Sequence[ClaimEvidence], numbers_held: int = 0
) -> bool:
    """Whether enough of the words hold; a number that holds counts as much as a word."""
    if crosses_languages(claim, cited):
        return numbers_held > 0 or _cognate(claim, cited)
    new = claim.terms - question.terms
    new_held = sum(any(term in e.terms.terms for e in cited) for term in new)
    known = len(claim.terms) - len(new) + new_held + numbers_held
    new_known = new_held + numbers_held
    return known >= SUPPORT * (len(claim.terms) + numbers_held) and new_known >= NEW_SUPPORT * (
        len(new) + numbers_held
    )


def crosses_languages(claim: Claim, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether a passage is in another language than the sentence."""
    return any(e.facts.language != claim.language for e in cited)


def _cognate(claim: Claim, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether words of another language look alike, or names are the same."""
    words = {word for word in claim.words if len(word) >= COGNATE and word.isalpha()}
    stems = {word[:COGNATE] for e in cited for word in e.facts.words}
    alike = sum(word[:COGNATE] in stems for word in words)
    return alike > 0 and alike >= COGNATES * len(words)
