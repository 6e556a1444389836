"""Each sentence an LLM wrote against the passages it cites; what they do not support is removed.

A sentence is supported when the passages it cites hold at least half of its terms and every number
in it. Text goes in as it streams and comes out in whole checked sentences, so nothing that will be
removed is ever shown.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from foliotrace.ports import Vocabulary
from foliotrace.query.answer.prompt import NO_ANSWER
from foliotrace.query.answer.quotes import PassageTerms, numbers_in

SUPPORT: Final = 0.5  # the share of a sentence's terms that the cited passages must hold together
SHARE: Final = 0.2  # and each single one of them, to keep its marker
CONNECTIVE_TERMS: Final = 2  # an uncited sentence with so few terms claims nothing

_MARKER: Final = re.compile(r"\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")
_COMMA: Final = re.compile(r"\s*[,;]\s*")
_SENTENCE: Final = re.compile(
    r"[^\n]*?[.!?][\"')*\u201d]*(?:\s*\[\d[\d\s,;]*\])*[\"')*]*(?=\s+[^\s\[])\s+|[^\n]*\n+"
)


@dataclass(slots=True)
class Claims:
    """What became of an answer: the terms of the claims kept for each source, how many were not."""

    cited: dict[int, set[str]]
    removed: int = 0


class Grounder:
    """Checks one answer. `feed` pieces as they come, then `finish`; both give text to show."""

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
        shown = ""
        position = 0
        while found := _SENTENCE.match(self._waiting, position):
            if found.end() == len(self._waiting) and not found.group().strip():
                break
            shown += self._checked(found.group())
            position = found.end()
        self._waiting = self._waiting[position:]
        return shown

    def finish(self) -> str:
        """The rest, checked."""
        rest, self._waiting = self._waiting, ""
        return "".join(self._checked(line) for line in rest.splitlines(keepends=True))

    def _checked(self, sentence: str) -> str:
        """The sentence with the markers that hold, after the gap before it; or nothing."""
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
            return ""  # nothing is shown before the first supported claim
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
            return self._found(terms, numbers)
        known = [n for n in cited if 1 <= n <= len(self._sources)]
        helping = [n for n in known if _share(terms, self._sources[n - 1]) >= SHARE]
        return helping if self._holds(terms, numbers, helping) else None

    def _found(self, terms: frozenset[str], numbers: frozenset[str]) -> list[int] | None:
        """A sentence without markers gets the one of the passage that supports it alone."""
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
    """A sentence that has no markers with exactly these before its last mark."""
    end = len(body)
    while held and end and body[end - 1] in ".!?":
        end -= 1
    marks = "".join(f"[{n}]" for n in held)
    return f"{body[:end].rstrip()} {marks}{body[end:]}" if marks else body


def _gap_after(sentence: str) -> str:
    """What stands between a sentence and the next: its line ends (at most two), or a space."""
    lines = sentence[len(sentence.rstrip()) :].count("\n")
    return "\n" * min(lines, 2) or " "
