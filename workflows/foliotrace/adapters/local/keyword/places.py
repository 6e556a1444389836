"""Collapses found chunks to places: one result for each page, its neighbouring chunks merged."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from foliotrace.adapters.local.keyword.analysis import (
    ascii_words,
    content_terms,
    forget_words,
    stems_of,
)
from foliotrace.adapters.local.keyword.store import Hit
from foliotrace.adapters.local.lru_cache import LruCache
from foliotrace.model import Chunk
from foliotrace.text_caches import clear_on_deletion

PAIR_WEIGHT: Final = 0.4
_SATURATION: Final = 1.2  # as BM25's k1
_MAX_TERMS: Final = 60_000  # that fit two bytes a character; then all is read anew


class Place(NamedTuple):
    """A page, or a part of a long one: its best chunk, and the second best if the two touch."""

    score: float
    chunks: tuple[Chunk, ...]

    def joined(self) -> Chunk:
        """The text of the chunks, under the id of the best."""
        if len(self.chunks) == 1:
            return self.chunks[0]
        first, second = sorted(self.chunks, key=_start)
        text = first.text + second.text[first.end - second.start :]
        best = self.chunks[0]
        return replace(best, start=first.start, end=second.end, text=text, context=first.context)


def by_place(hits: Iterable[Hit], at_most: int) -> list[tuple[Hit, ...]]:
    """The best hit of each place, and the second best; the best places first."""
    found: dict[int, tuple[Hit, ...]] = {}
    for hit in sorted(hits, key=lambda hit: (-hit.score, hit.chunk)):
        known = found.get(hit.place, ())
        if len(known) < 2:
            found[hit.place] = (*known, hit)
    return list(found.values())[:at_most]


def places(found: Sequence[tuple[Hit, ...]], served: Mapping[str, Chunk]) -> list[Place]:
    """The places of hits; those whose best chunk is no longer served are left out."""
    read = []
    for hits in found:
        best, *others = (served.get(hit.chunk_id) for hit in hits)
        if best is not None:
            touching = [other for other in others if other is not None and _touch(best, other)]
            read.append(Place(hits[0].score, (best, *touching)))
    return read


def _touch(best: Chunk, other: Chunk) -> bool:
    """Whether one of the two begins inside or at the end of the other, and does not end in it."""
    first, second = (best, other) if best.start <= other.start else (other, best)
    if (first.page, first.document_id) != (second.page, second.document_id):
        return False
    return second.start <= first.end < second.end


def _start(chunk: Chunk) -> int:
    return chunk.start


class Neighbours:
    """Counts neighbouring terms in texts read lately: next to each other, or one apart.

    Looked at in what was found only: phrases in the engine cost ten times as much on 100,000
    chunks, and find the same. A text is kept as a string with one character for each term, so that
    `str.count` finds a pair; tuples in a Counter cost 30 times as much.
    """

    def __init__(self, texts: int) -> None:
        self._texts: LruCache[tuple[str, ...], str] = LruCache(texts)
        self._characters: dict[str, str] = {}
        self._of_words: dict[str, str] = {}  # the characters of `ascii_words`
        clear_on_deletion(self)

    def clear(self) -> None:
        """Forget all texts and words."""
        forget_words()
        for known in (self._texts, self._characters, self._of_words):
            known.clear()

    def keep_for(self, version: int) -> None:
        """Forget what another library version held, so that nothing deleted stays in memory."""
        self._texts.keep_for(version)
        if not self._texts or len(self._characters) > _MAX_TERMS:
            self.clear()

    def sought(self, pairs: Mapping[tuple[str, str], float]) -> list[tuple[str, float]]:
        """The question's neighbouring terms, with their rarity, as texts are kept."""
        return [(self._line((a, b)), weight) for (a, b), weight in pairs.items()]

    def nearness(
        self, sought: Sequence[tuple[str, float]], place: Place, read: Callable[[], str]
    ) -> float:
        """What neighbouring words of the question add where they stand near each other.

        `read` gives the searchable text of the place.
        """
        key = tuple([chunk.id for chunk in place.chunks])
        text = self._texts.get(key)
        if text is None:
            text = self._written(read())
            self._texts.put(key, text)
        added = 0.0
        for pair, weight in sought:
            count = text.count(pair)
            if count:
                added += weight * count * (1 + _SATURATION) / (count + _SATURATION)
        return PAIR_WEIGHT * added

    def _written(self, text: str) -> str:
        words = ascii_words(text)
        if words is None:
            line = self._line(content_terms(text))
        else:
            try:
                line = "".join(map(self._of_words.__getitem__, words))
            except KeyError:
                self._learn(words)
                line = "".join(map(self._of_words.__getitem__, words))
        return f"{line}\0{line[::2]}\0{line[1::2]}"

    def _learn(self, words: Sequence[str]) -> None:
        new = list(set(words).difference(self._of_words))
        for word, stem in zip(new, stems_of(new), strict=True):
            self._of_words[word] = self._line((stem,)) if stem else ""

    def _line(self, terms: Sequence[str]) -> str:
        known = self._characters
        return "".join([known.setdefault(term, chr(len(known) + 1)) for term in terms])
