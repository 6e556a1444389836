"""Whether a sentence says more than the passages: all for most, did for may, is for was. Pure.

Only words that the passages weaken count: "most carcinomas" forbids "all carcinomas", and says
nothing of "all patients". A sentence that is weaker than its passage stays true.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from foliotrace.query.answer.grounding.claims import Claim
from foliotrace.query.answer.grounding.clauses import Terms
from foliotrace.query.answer.grounding.evidence import ClaimEvidence
from foliotrace.text_caches import text_cache

COUNTED: Final = 3  # words behind "all" or "most" that it may count
LEAST_SHARED: Final = 2  # terms that make a sentence of the passages one about the same thing
CLOSE: Final = 0.6  # of the most shared terms: sentences that may be meant as well
AFFIRMED: Final = 4  # words that "could" or "previously" reaches


class Extent(IntEnum):
    """How much of a whole a word stands for."""

    FEW = 1
    SOME = 2
    MOST = 3
    ALL = 4


_EXTENTS: Final = {
    Extent.FEW: "few fewer hardly rarely seldom scarcely",
    Extent.SOME: "some certain several part partly partially sometimes occasionally somewhat half "
    "many portion various partial often frequently",
    Extent.MOST: "most mostly majority mainly primarily usually generally typically largely "
    "nearly almost substantially predominantly principally",
    Extent.ALL: "all every each entire entirely whole wholly completely fully always "
    "exclusively solely",
}
_EXTENT: Final = {word: extent for extent, words in _EXTENTS.items() for word in words.split()}
_EXTENT_WORD: Final = re.compile(rf"\b(?:{'|'.join(_EXTENT)})\b", re.IGNORECASE)
_FIXED: Final = re.compile(
    r"\b(?:at (?:all|least|most)|above all|after all|all (?:other|else)|in all(?=[,.])|most of all|"
    r"each other|as a whole|the most|most (?:recent|\w+(?:ed|ing|ant|ive|al|ible)\b)|a few|"
    r"all but|not all|overall|if any|each of (?:which|whom|these)|in part|all[- ]time)\b",
    re.IGNORECASE,
)
"""Where such a word counts nothing, or not what stands behind it."""

_HEDGES: Final = r"may|might|could|would|(?:expects?|intends?|plans?|proposes?)(?: [\w-]+){0,4} to"
_HEDGED: Final = re.compile(rf"\b(?:{_HEDGES})\b((?:[ \n]+[\w-]+){{1,{AFFIRMED}}})", re.IGNORECASE)
_HEDGING: Final = re.compile(
    rf"\b(?:{_HEDGES}|should|if|unless|likely|can|cannot|will|shall|must|ought|expect\w*|intend\w*|plan\w*|propos\w*|"
    r"anticipat\w*|believ\w*|estimat\w*|forecast\w*|allow\w*|permit\w*|entitle\w*|right|option\w*|"
    r"able|up to|subject to|provided|when|free to|where|depend\w*|uncertain\w*|possib\w*|target\w*|"
    r"goal|to be|in case|not|no|never)\b|n['\u2019]t\b",
    re.IGNORECASE,
)
_FORMER: Final = re.compile(
    r"\b(?:previously|formerly|former|used to|until (?:recently|then)|once|no longer|ex)\b"
    rf"((?:[ \n]+[\w-]+){{1,{2 * AFFIRMED}}})",
    re.IGNORECASE,
)
_NOW: Final = re.compile(
    r"\b(?:currently|now|still|today|presently|at present|continues? to)\b", re.IGNORECASE
)
_SENTENCE: Final = re.compile(r"\n\s*\n|;\s|[.!?]\s+(?=[A-Z\"(\u201c])")
_WORD: Final = re.compile(r"[A-Za-z][\w-]*")
_PLAIN_WORDS: Final = (
    "a an the be been being to of in on at for from with by as and or but we it its is are was "
    "were have has had do does did this that these those our their his her also not only company "
    "company's no than more less other such any well"
)
_PLAIN: Final = frozenset(_PLAIN_WORDS.split())


@dataclass(frozen=True, slots=True)
class _Sentence:
    terms: frozenset[str]
    extents: tuple[tuple[Extent, frozenset[str]], ...]  # with the words that each counts
    hedged: frozenset[str]  # verbs behind "may" and the like
    former: frozenset[str]  # words behind "previously" and the like
    plain: frozenset[str]  # the words outside of both


def overstated(claim: Claim, cited: Sequence[ClaimEvidence]) -> bool:
    """Whether the sentence is stronger than each sentence of the passages that is about it."""
    if claim.language is not None:
        return False
    terms = claim.vocabulary.terms
    bodies = [e.facts.body for e in cited]
    wide = any(extent is Extent.ALL for extent, _ in _extents(claim.rest, terms))
    plain = _HEDGING.search(claim.rest) is None and any(map(_HEDGED.search, bodies))
    if not (wide or plain or _NOW.search(claim.rest)):
        return False
    near = _nearest(claim, [s for e in cited for s in _sentences(e.facts.body, terms)])
    if not near:
        return False
    return (
        _wider(_extents(claim.rest, terms), near)
        or _unhedged(claim.rest, near, terms)
        or _no_longer(claim.rest, near, terms)
    )


def _wider(said: Sequence[tuple[Extent, frozenset[str]]], near: Sequence[_Sentence]) -> bool:
    """Whether "all" stands before what the passages give only a part of."""
    for extent, counted in said:
        held = [other for s in near for other, words in s.extents if words & counted]
        if held and extent is Extent.ALL and max(held) < extent:
            return True
    return False


def _unhedged(text: str, near: Sequence[_Sentence], terms: Terms) -> bool:
    """Whether it affirms a verb that the passages have only behind "may" and the like."""
    if _HEDGING.search(text):
        return False
    spoken = frozenset(terms(text))
    hedged = frozenset[str]().union(*(s.hedged for s in near)) & spoken
    return bool(hedged) and not hedged <= frozenset[str]().union(*(s.plain for s in near))


def _no_longer(text: str, near: Sequence[_Sentence], terms: Terms) -> bool:
    """Whether it gives as present what the passages give as past."""
    if not _NOW.search(text) or _FORMER.search(text):
        return False
    spoken = frozenset(terms(text))
    former = frozenset[str]().union(*(s.former for s in near)) & spoken
    return bool(former) and not former <= frozenset[str]().union(*(s.plain for s in near))


def _nearest(claim: Claim, held: Sequence[_Sentence]) -> list[_Sentence]:
    """The sentences that share most of the claim's terms."""
    shares = [len(s.terms & claim.terms) for s in held]
    most = max(shares, default=0)
    if most < min(LEAST_SHARED, len(claim.terms)):
        return []
    return [s for s, share in zip(held, shares, strict=True) if share >= max(1, CLOSE * most)]


@text_cache(512)
def _sentences(text: str, terms: Terms) -> tuple[_Sentence, ...]:
    found = []
    for part in _SENTENCE.split(text):
        hedged = frozenset(
            verb for scope in _HEDGED.findall(part) for verb in _first_words(scope, terms)
        )
        former = frozenset(t for scope in _FORMER.findall(part) for t in terms(scope))
        outside = _FORMER.sub(" ", _HEDGED.sub(" ", part))
        found.append(
            _Sentence(
                frozenset(terms(part)), tuple(_extents(part, terms)), hedged, former,
                frozenset(terms(outside)),
            )
        )  # fmt: skip
    return tuple(found)


def _first_words(scope: str, terms: Terms) -> Iterator[str]:
    """The term of the first word of a scope that is neither small nor an adverb."""
    for word in _WORD.findall(scope):
        if word.casefold() not in _PLAIN and not word.endswith("ly"):
            yield from terms(word)
            return


def _extents(text: str, terms: Terms) -> Sequence[tuple[Extent, frozenset[str]]]:
    """Each word of extent with the words that it may count."""
    text = _FIXED.sub(lambda m: "." * len(m.group()), text)
    found = []
    for each in _EXTENT_WORD.finditer(text):
        behind = [
            w for w in _WORD.findall(re.split(r"[.;:(]", text[each.end() :])[0])
            if w.casefold() not in _PLAIN
        ][:COUNTED]  # fmt: skip
        counted = frozenset(t for word in behind for t in terms(word))
        found.append((_EXTENT[each.group().casefold()], counted))
    return found
