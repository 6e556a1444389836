"""Collapses found chunks to places: one result for each page, its neighbouring chunks merged."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from foliotrace.adapters.local.keyword.store import Hit
from foliotrace.model import Chunk

PAIR_WEIGHT: Final = 0.4
_SATURATION: Final = 1.2  # as BM25's k1


@dataclass(frozen=True, slots=True)
class PlaceHit:
    """The best chunk of a place and the second best, in this order, with the score of the best."""

    chunk_ids: tuple[str, ...]
    score: float


def by_place(hits: Iterable[Hit]) -> list[PlaceHit]:
    """Each place once, best first."""
    found: dict[int, PlaceHit] = {}
    for hit in sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id)):
        known = found.get(hit.place)
        if known is None:
            found[hit.place] = PlaceHit((hit.chunk_id,), hit.score)
        elif len(known.chunk_ids) == 1:
            found[hit.place] = replace(known, chunk_ids=(*known.chunk_ids, hit.chunk_id))
    return list(found.values())


def merged(found: Sequence[PlaceHit], served: Mapping[str, Chunk]) -> list[tuple[float, Chunk]]:
    """The score and best chunk of each place, joined with the second best where the two touch.

    Places whose best chunk is no longer served are left out.
    """
    places = [[served[i] for i in place.chunk_ids if i in served] for place in found]
    return [
        (place.score, _joined(*chunks) if len(chunks) == 2 else chunks[0])
        for chunks, place in zip(places, found, strict=True)
        if chunks and chunks[0].id == place.chunk_ids[0]
    ]


def _joined(best: Chunk, other: Chunk) -> Chunk:
    """The text of both under the id of the best; the best alone if there is a gap between."""
    first, second = sorted((best, other), key=lambda chunk: chunk.start)
    if (first.page, first.document_id) != (second.page, second.document_id):
        return best
    if second.start > first.end or second.end <= first.end:
        return best
    text = first.text + second.text[first.end - second.start :]
    return replace(best, start=first.start, end=second.end, text=text, context=first.context)


def nearness(pairs: Mapping[tuple[str, str], float], terms: Sequence[str]) -> float:
    """What neighbouring words of the question add where they are neighbours in a text, or nearly.

    `pairs` have their rarity. Looked at in what was found only: phrases in the engine cost ten
    times as much on 100,000 chunks, and find the same.
    """
    near = Counter(
        pair for pair in (*pairwise(terms), *zip(terms, terms[2:], strict=False)) if pair in pairs
    )
    return PAIR_WEIGHT * sum(
        pairs[pair] * count * (1 + _SATURATION) / (count + _SATURATION)
        for pair, count in near.items()
    )
