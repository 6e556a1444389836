"""Whether two words of a sentence stand in each other's place. Pure.

"Growth in newer markets offset investments in mature ones" has every word of a passage that says
the contrary. Two words are exchanged where each has the neighbour that the other has there.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from foliotrace.text_caches import text_cache

COVERED: Final = 0.7  # the share of the words of a sentence that makes another the same claim
LEAST: Final = 4  # words in common
REACH: Final = 4  # words on each side of a word that are its parties
LONGEST: Final = 80  # words of a sentence

_SENTENCE: Final = re.compile(r"\n\s*\n|[;\u2022]\s|[.!?]\s+(?=[A-Z\"(\u201c])|\t|\n(?=[A-Z])")
_WORD: Final = re.compile(r"[^\W\d_][\w'\u2019&-]*|\d[\d.,]*|[,()]")
_SMALL_WORDS: Final = (
    "a an the of in on at for from with by as and or but it its is are was were be been have has "
    "had our their his her more most than to that which who will would may not no so into over "
    "during within while whereas because about"
)
_SMALL: Final = frozenset(_SMALL_WORDS.split())
_JOINING: Final = frozenset(
    {"and", "or", ",", "with", "than", "versus", "vs", "between", "(", ")", "as", "to"}
)
_PASSIVE: Final = frozenset({"by", "from", "is", "are", "was", "were", "be", "been"})
_TIMES: Final = frozenset({"fiscal", "year", "quarter", "month", "period"})

Terms = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Place:
    """A word that stands in a sentence once, with the words of meaning beside it."""

    left: str
    right: str
    before: frozenset[str]  # the nearest words of meaning on each side
    behind: frozenset[str]
    joined: bool  # whether "and" or the like stands on a side of it
    turned: bool  # whether "by", "from" or "was" stands on a side of it


def exchanged(claim: str, held: Sequence[str], terms: Terms) -> bool:
    """Whether two words of the claim stand in each other's place in the nearest sentence."""
    said = _places(claim, terms)
    if len(said) < LEAST:
        return False
    nearest: Sequence[dict[str, _Place]] = ()
    most = max(LEAST, COVERED * len(said))
    for text in held:
        for sentence, keys in _sentences(text, terms):
            if len(keys & said.keys()) < most:
                continue
            places = _places(sentence, terms)
            shared = len(said.keys() & places.keys())
            if shared > most:
                nearest, most = (places,), shared
            elif shared == most:
                nearest = (*nearest, places)
    return bool(nearest) and all(_any_exchanged(said, places) for places in nearest)


def _any_exchanged(said: dict[str, _Place], held: dict[str, _Place]) -> bool:
    moved = [
        word for word, place in said.items()
        if word.isalpha() and word in held
        and (place.left, place.right) != (held[word].left, held[word].right)
    ]  # fmt: skip
    return any(_turned_round(said[word], held[word]) for word in moved) or any(
        _in_place_of(said[one], held[other], held[one])
        and _in_place_of(said[other], held[one], held[other])
        and not _told_apart(said[one], said[other], held[one], held[other], one, other)
        for one, other in combinations(moved, 2)
    )


def _turned_round(said: _Place, held: _Place) -> bool:
    """Whether what stands before a word stands behind it in the passage, and the reverse."""
    if said.turned != held.turned or said.joined or held.joined:
        return False
    crossed = said.before & held.behind and said.behind & held.before
    return bool(crossed) and not (said.before & held.before or said.behind & held.behind)


def _in_place_of(said: _Place, other: _Place, own: _Place) -> bool:
    """Whether a word has a neighbour of the other word, and its own neighbour on no side."""
    sides = (
        (said.left, other.left, own.left),
        (said.right, other.right, own.right),
    )
    if any(now and now == its and now != theirs for now, theirs, its in sides):
        return False
    return any(now and now == theirs and now != its for now, theirs, its in sides)


def _told_apart(
    one: _Place, other: _Place, held_one: _Place, held_other: _Place, a: str, b: str
) -> bool:
    """Whether another order says the same: a list, or "by" in one of the two only."""
    if one.joined and other.joined and (b in (one.left, one.right) or held_one.joined):
        return True
    return (one.turned or other.turned) != (held_one.turned or held_other.turned)


@text_cache(512)
def _sentences(text: str, terms: Terms) -> tuple[tuple[str, frozenset[str]], ...]:
    """The sentences of a text with their words of meaning."""
    parts = [part for part in _SENTENCE.split(text) if part.strip()]
    return tuple((part, frozenset(terms(part))) for part in parts)


@text_cache(1024)
def _places(text: str, terms: Terms) -> dict[str, _Place]:
    """The place of each word that stands in the text once."""
    words = list(_read(text, terms))
    keys = [key for key, _ in words if key]
    if len(keys) > LONGEST:
        return {}
    found = {}
    count = Counter(keys)
    for at, (key, _) in enumerate(words):
        if not key or count[key] > 1:
            continue
        left, before = _beside(words, at, -1)
        right, after = _beside(words, at, 1)
        small = {*before, *after}
        near = (
            [k for k, _ in words[:at] if k.isalpha() and k not in _TIMES][-REACH:],
            [k for k, _ in words[at + 1 :] if k.isalpha() and k not in _TIMES][:REACH],
        )
        found[key] = _Place(
            left,
            right,
            frozenset(near[0]),
            frozenset(near[1]),
            not small.isdisjoint(_JOINING),
            not small.isdisjoint(_PASSIVE),
        )
    return found


def _beside(words: Sequence[tuple[str, str]], at: int, step: int) -> tuple[str, list[str]]:
    """The next word of meaning on a side, and the small words before it."""
    small: list[str] = []
    at += step
    while 0 <= at < len(words):
        key, word = words[at]
        if key:
            return key, small
        small.append(word)
        at += step
    return "", small


def _read(text: str, terms: Terms) -> Iterator[tuple[str, str]]:
    for found in _WORD.finditer(text):
        word = found.group()
        yield _term(word, terms), word.casefold()


@text_cache(8192)
def _term(word: str, terms: Terms) -> str:
    known = terms(word) if word[0].isalnum() else ()
    return "".join(known) if word.casefold() not in _SMALL else ""
