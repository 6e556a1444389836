"""Whether a sentence affirms what the passages only deny. Pure.

"We recorded no accrual, as losses are not probable": a sentence that calls the losses probable, or
speaks of an accrual without denying it, is false however many of its words stand there.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from foliotrace.query.answer.grounding.claims import Claim, Question
from foliotrace.query.answer.grounding.clauses import Terms
from foliotrace.query.answer.grounding.evidence import ClaimEvidence, in_order
from foliotrace.text_caches import text_cache

LEAST_SHARED: Final = 2  # terms of the denial that sentence and question have, too

_SENTENCE: Final = re.compile(r"\n+|;\s|[.!?]\s+(?=[A-Z\"(])|\t")
_DENIED: Final = re.compile(
    r"\b(?:not|no|never|without|neither|nor)\b((?:[ \n]+[\w-]+){1,4})", re.IGNORECASE
)
_DENIES: Final = re.compile(
    r"\b(?:not|no|never|without|neither|nor|none|nothing|nobody|cannot|unable|yet to|fail\w*|"
    r"lack\w*|zero|nil|short of|except|absence|absent|denie[sd]|only|few|exclud\w*|"
    r"im(?:material|possible|probable)\w*|un(?!der|it|til|ion)\w+|\w+less)\b|n['\u2019]t\b",
    re.IGNORECASE,
)
_PLAIN_WORDS: Final = (
    "a an any the be been being to of in on at for from with by as and or but we it its is are was "
    "were have has had do does did this that these those our their than more less already"
)
_PLAIN: Final = frozenset(_PLAIN_WORDS.split())
_END: Final = re.compile(r"[;:,](?=\s)|\b(?:but|although|while|whereas|because|though|and)\b")


@text_cache(512)
def _denied(text: str, terms: Terms) -> tuple[tuple[frozenset[str], frozenset[str]], ...]:
    """(words and pairs of words that stand in denials only, terms of the sentence) of each."""
    found = [part for part in _SENTENCE.split(text) if _DENIED.search(part)]
    if not found:
        return ()
    affirmed = in_order(_DENIED.sub(" ", text))
    return tuple(
        (
            frozenset(
                each
                for scope in _DENIED.findall(part)
                for each in _phrases(scope)
                if f" {each} " not in affirmed
            ),
            frozenset(terms(part)),
        )
        for part in found
    )


def _phrases(scope: str) -> Iterator[str]:
    """The words of a denial that carry meaning, alone and in pairs."""
    words = in_order(scope).split()
    yield from (word for word in words if word not in _PLAIN and not word.isdigit())
    yield from (f"{a} {b}" for a, b in pairwise(words) if not {a, b} & _PLAIN)


def affirms_denied(claim: Claim, question: Question, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether a clause affirms a word that the passages only deny, about the same thing."""
    spoken = claim.all_terms | question.terms
    parts = [in_order(part) for part in _END.split(claim.rest) if not _DENIES.search(part)]
    return any(
        True
        for e in cited
        for only, sentence in _denied(e.facts.body, claim.vocabulary.terms)
        if len(sentence & spoken) >= LEAST_SHARED
        for each in only
        for part in parts
        if f" {each} " in part and not _affirmed(each, e, cited)
    )


def _affirmed(words: str, denying: ClaimEvidence, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether another passage has the words outside of a denial."""
    others = (e for e in cited if e is not denying)
    return any(f" {words} " in in_order(_DENIED.sub(" ", e.facts.body)) for e in others)
