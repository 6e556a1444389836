"""A real embedding, small enough to be fitted in a test: latent semantic analysis with numpy."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.lazy_sdk import lazy

from foliotrace.errors import EmbedderUnavailable
from foliotrace.model import Deadline

np = lazy("numpy")


class LatentEmbedder:
    """TF-IDF of `corpus` projected on its strongest directions; an `Embedder`."""

    ready = True

    def __init__(self, corpus: Sequence[str], *, dimensions: int = 8, model: str = "lsa-1") -> None:
        self.model = model
        self.batches: list[int] = []
        self.down = False
        counts = [Counter(_words(text)) for text in corpus]
        self._terms = {t: i for i, t in enumerate(sorted({t for c in counts for t in c}))}
        seen = np.array([sum(1 for c in counts if t in c) for t in self._terms], dtype=float)
        self._idf = np.log(1 + len(corpus) / seen)
        rows = np.array([self._weights(text) for text in corpus])
        self._directions = np.linalg.svd(rows, full_matrices=False)[2][:dimensions].T

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> list[list[float]]:
        if self.down:
            raise EmbedderUnavailable("The embedder is down.")
        self.batches.append(len(texts))
        return [self._vector(text) for text in texts]

    async def embed_query(self, text: str, *, deadline: Deadline) -> list[float]:
        if self.down:
            raise EmbedderUnavailable("The embedder is down.")
        return self._vector(text)

    def _vector(self, text: str) -> list[float]:
        return [float(x) for x in self._weights(text) @ self._directions]

    def _weights(self, text: str) -> Any:
        row = np.zeros(len(self._terms))
        for term, count in Counter(_words(text)).items():
            if term in self._terms:
                row[self._terms[term]] = (1 + np.log(count)) * self._idf[self._terms[term]]
        return row


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
