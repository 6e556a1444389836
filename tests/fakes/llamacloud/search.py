"""Chunks of indexed files, and a hybrid score over them."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import log, sqrt

from tests.fakes.llamacloud.state import IndexedFile

CHUNK_WORDS, OVERLAP_WORDS = 200, 20
K1, B, HALF_SCORE = 1.2, 0.75, 4.0


@dataclass(frozen=True)
class Chunk:
    """Part of one page; offsets are into the file's whole parsed text."""

    file: IndexedFile
    index: int
    page: int
    start: int
    end: int
    content: str


@dataclass(frozen=True)
class Hit:
    """A chunk with its scores, each between 0 and 1."""

    chunk: Chunk
    score: float
    rerank_score: float


def chunks_of(file: IndexedFile, *, other_engine_chars: int | None = None) -> list[Chunk]:
    """Windows of words that never cross a page.

    With `other_engine_chars`, chunks of about this size as another parser reads the page: lines
    are joined and some words run together, so that little of it stands in our page.
    """
    if other_engine_chars is not None:
        return _other_engine_chunks(file, other_engine_chars)
    found: list[Chunk] = []
    offset = 0
    for page in file.pages:
        words = list(re.finditer(r"\S+", page.text))
        step = CHUNK_WORDS - OVERLAP_WORDS
        for first in range(0, max(1, len(words) - OVERLAP_WORDS), step):
            window = words[first : first + CHUNK_WORDS]
            if window:
                start, end = window[0].start(), window[-1].end()
                content = page.text[start:end]
                found.append(
                    Chunk(file, len(found), page.number, offset + start, offset + end, content)
                )
        offset += len(page.text) + 2
    return found


def _other_engine_chunks(file: IndexedFile, chars: int) -> list[Chunk]:
    found: list[Chunk] = []
    for page in file.pages:
        words = page.text.split()
        glued = "".join(w if n % 6 == 2 else f"{w} " for n, w in enumerate(words))
        for start in range(0, len(glued), chars):
            content = glued[start : start + chars].strip()
            if content:
                found.append(Chunk(file, len(found), page.number, start, start + chars, content))
    return found


def terms(text: str) -> list[str]:
    """Folded words without a plural s."""
    words = re.findall(r"\w+", text.lower())
    return [w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in words]


def ranked(
    query: str, chunks: list[Chunk], *, vector_weight: float, text_weight: float
) -> list[Hit]:
    """Chunks that match at all, best first by the mixed score."""
    asked = terms(query)
    counted = [Counter(terms(chunk.content)) for chunk in chunks]
    keyword = _bm25(asked, counted)
    grams = _trigrams(query)
    total = vector_weight + text_weight or 1.0
    hits = []
    for chunk, counts, words in zip(chunks, counted, keyword, strict=True):
        vector = _cosine(grams, _trigrams(chunk.content)) if vector_weight else 0.0
        score = (vector_weight * vector + text_weight * words / (words + HALF_SCORE)) / total
        covered = sum(term in counts for term in set(asked)) / max(1, len(set(asked)))
        if score > 0:
            hits.append(Hit(chunk, round(score, 6), round((covered + score) / 2, 6)))
    return sorted(hits, key=lambda hit: -hit.score)


def _bm25(asked: Iterable[str], counted: list[Counter[str]]) -> list[float]:
    lengths = [sum(counts.values()) for counts in counted]
    average = sum(lengths) / len(lengths) if lengths else 1.0
    scores = [0.0] * len(counted)
    for term in set(asked):
        holding = sum(term in counts for counts in counted)
        weight = log(1 + (len(counted) - holding + 0.5) / (holding + 0.5))
        for position, counts in enumerate(counted):
            times = counts[term]
            norm = times + K1 * (1 - B + B * lengths[position] / (average or 1.0))
            scores[position] += weight * times * (K1 + 1) / norm if times else 0.0
    return scores


def _trigrams(text: str) -> Counter[str]:
    folded = " ".join(re.findall(r"\w+", text.lower()))
    return Counter(folded[i : i + 3] for i in range(len(folded) - 2))


def _cosine(a: Counter[str], b: Counter[str]) -> float:
    dot = sum(times * b[gram] for gram, times in a.items())
    size = sqrt(sum(t * t for t in a.values())) * sqrt(sum(t * t for t in b.values()))
    return dot / size if size else 0.0
