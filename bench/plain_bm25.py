"""Plain BM25 (bm25s, its own stemming and stop words) over the same texts, to compare with."""

from collections.abc import Sequence

import bm25s
import Stemmer


class PlainBm25:
    """An index of (key, text); a key may have several texts."""

    def __init__(self, texts: Sequence[tuple[str, str]]) -> None:
        self._keys = [key for key, _ in texts]
        self._stemmer = Stemmer.Stemmer("english")
        self._index = bm25s.BM25(k1=1.5, b=0.75)
        self._index.index(self._tokens([text for _, text in texts]), show_progress=False)

    def keys(self, question: str, count: int) -> list[str]:
        """The keys of the best texts, each once."""
        depth = min(len(self._keys), count * 8)
        found, _ = self._index.retrieve(self._tokens([question]), k=depth, show_progress=False)
        return list(dict.fromkeys(self._keys[int(i)] for i in found[0]))[:count]

    def _tokens(self, texts: list[str]) -> object:
        return bm25s.tokenize(texts, stopwords="en", stemmer=self._stemmer, show_progress=False)
