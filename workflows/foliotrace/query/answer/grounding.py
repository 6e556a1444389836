"""Checks each sentence of an LLM against the passages it cites, and removes what they lack.

A sentence is supported when the cited passages hold at least half of its terms and every number in
it. Text goes in as it streams and comes out in whole checked sentences, so that nothing removed has
ever been sent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.ports import Vocabulary
from foliotrace.query.answer.prompt import NO_ANSWER
from foliotrace.query.answer.quotes import PassageTerms, numbers_in

SUPPORT: Final = 0.5  # the share of a sentence's terms that the cited passages hold together
SHARE: Final = 0.2  # the share that one passage must hold for its marker to stay
CONNECTIVE_TERMS: Final = 2  # an uncited sentence with so few terms claims nothing

_MARKER: Final = re.compile(r"\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")
_COMMA: Final = re.compile(r"\s*[,;]\s*")
_SENTENCE: Final = re.compile(
    r"[^\n]*?[.!?][\"')*\u201d]*(?:\s*\[\d[\d\s,;]*\])*[\"')*]*(?=\s+[^\s\[])\s+|[^\n]*\n+"
)


@dataclass(slots=True)
class Claims:
    """The terms of the supported claims by source, and how many claims were removed."""

    cited: dict[int, set[str]]
    removed: int = 0


class Grounder:
    """Checks one answer. `feed` pieces as they come, then `finish`; both return supported text."""

    def __init__(self, sources: Sequence[PassageTerms], vocabulary: Vocabulary) -> None:
        self._sources = sources
        self._vocabulary = vocabulary
        self._waiting = ""
        self._gap = ""
        self.claims = Claims(cited={})
        self.no_answer = False

    def feed(self, text: str) -> str:
        """The sentences that are complete now, checked."""
        self._waiting += text
        supported = ""
        position = 0
        while found := _SENTENCE.match(self._waiting, position):
            if found.end() == len(self._waiting) and not found.group().strip():
                break
            supported += self._checked(found.group())
            position = found.end()
        self._waiting = self._waiting[position:]
        return supported

    def finish(self) -> str:
        """The rest, checked."""
        rest, self._waiting = self._waiting, ""
        return "".join(self._checked(line) for line in rest.splitlines(keepends=True))

    def _checked(self, sentence: str) -> str:
        """The gap before the sentence and the sentence with the markers that hold; or nothing."""
        *marked, last = _MARKER.split(sentence)  # text, marker, text, marker, ..., text
        bare = "".join([*(text.rstrip() for text in marked[::2]), last]).strip()
        if not bare:
            return ""
        if NO_ANSWER in bare:
            self.no_answer = True
            return ""
        cited = [int(n) for group in marked[1::2] for n in _COMMA.split(group)]
        terms = frozenset(self._vocabulary.terms(bare))
        held = self._supported(bare, terms, list(dict.fromkeys(cited)))
        if held is None:
            self.claims.removed += 1
            return ""
        self.claims.removed += len(set(cited) - set(held))
        if not held and not self.claims.cited:
            return ""  # no text before the first supported claim
        for marker in held:
            self.claims.cited.setdefault(marker, set()).update(terms)
        gap, self._gap = self._gap, _gap_after(sentence)
        return gap + _with_markers(bare, held)

    def _supported(self, bare: str, terms: frozenset[str], cited: list[int]) -> list[int] | None:
        """The markers that support the sentence; None when it must go."""
        numbers = numbers_in(bare)
        if not cited:
            if len(terms) <= CONNECTIVE_TERMS and not numbers:
                return []
            return self._best_source(terms, numbers)
        known = [n for n in cited if 1 <= n <= len(self._sources)]
        helping = [n for n in known if _share(terms, self._sources[n - 1]) >= SHARE]
        return helping if self._holds(terms, numbers, helping) else None

    def _best_source(self, terms: frozenset[str], numbers: frozenset[str]) -> list[int] | None:
        """The marker for a sentence without markers: of a passage that supports it alone."""
        order = sorted(
            range(1, len(self._sources) + 1),
            key=lambda n: -_share(terms, self._sources[n - 1]),
        )
        return next(([n] for n in order if self._holds(terms, numbers, [n])), None)

    def _holds(self, terms: frozenset[str], numbers: frozenset[str], markers: list[int]) -> bool:
        if not markers:
            return False
        first, *others = (self._sources[n - 1] for n in markers)
        held = terms & first.terms
        missing = numbers - first.numbers
        for source in others:
            held |= terms & source.terms
            missing -= source.numbers
        return not missing and len(held) >= SUPPORT * len(terms)


def _share(terms: frozenset[str], source: PassageTerms) -> float:
    return len(terms & source.terms) / len(terms) if terms else 1.0


def _with_markers(body: str, held: Sequence[int]) -> str:
    """The sentence with these markers before its closing punctuation."""
    end = len(body)
    while held and end and body[end - 1] in ".!?":
        end -= 1
    marks = "".join(f"[{n}]" for n in held)
    return f"{body[:end].rstrip()} {marks}{body[end:]}" if marks else body


def _gap_after(sentence: str) -> str:
    """What separates the sentence from the next: its line ends (at most two), or a space."""
    lines = sentence[len(sentence.rstrip()) :].count("\n")
    return "\n" * min(lines, 2) or " "
