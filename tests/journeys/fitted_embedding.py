"""A LlamaIndex embedding that runs in the process, fitted to a few texts; settings import it."""

import asyncio
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import PrivateAttr
from tests.ingest.latent import LatentEmbedder

TEXTS = (
    "Unleaded costs 2.31 EUR per litre at the pump.",
    "Petrol and gasoline are fuel; unleaded fuel costs money per litre at the pump.",
    "Runway 08/26 is 780 metres long and made of asphalt.",
    "Aircraft land on the runway, an asphalt strip 780 metres long.",
)


class FittedEmbedding(BaseEmbedding):
    """Waits while `gate` is closed, fails while `down`; its copies do so too."""

    model_name: str = "fitted-1"
    _latent: LatentEmbedder = PrivateAttr()
    _gate: asyncio.Event = PrivateAttr()
    _down: asyncio.Event = PrivateAttr()

    def reset(self) -> None:
        """Open, up, and as fitted: for the loop of the next test."""
        self._latent = LatentEmbedder(TEXTS, dimensions=4)
        self._gate = asyncio.Event()
        self._gate.set()
        self._down = asyncio.Event()

    def close_gate(self) -> None:
        self._gate.clear()

    def open_gate(self) -> None:
        self._gate.set()

    def die(self) -> None:
        self._down.set()

    def revive(self) -> None:
        self._down.clear()

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        await self._gate.wait()
        return [self._get_text_embedding(text) for text in texts]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        if self._down.is_set():
            raise ConnectionError("the model is gone")
        return self._latent._vector(text)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        await self._gate.wait()
        return self._get_text_embedding(text)


def _made(**options: Any) -> FittedEmbedding:
    made = FittedEmbedding(**options)
    made.reset()
    return made


EMBEDDING = _made()
