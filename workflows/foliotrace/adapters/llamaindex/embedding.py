"""Any LlamaIndex embedding model as an `Embedder`, in batches of its `embed_batch_size`."""

import asyncio
from collections.abc import Sequence

from llama_index.core.base.embeddings.base import BaseEmbedding

from foliotrace.catalog import Reason
from foliotrace.errors import EmbedderUnavailable
from foliotrace.model import Deadline
from foliotrace.ports import Clock, Vector


class LlamaIndexEmbedder:
    """An `Embedder` around `embedding`, without its own retries (`resilient` retries)."""

    def __init__(self, embedding: BaseEmbedding, *, clock: Clock, model: str | None = None) -> None:
        self._embedding = embedding.model_copy()
        if "max_retries" in type(embedding).model_fields:
            object.__setattr__(self._embedding, "max_retries", 0)
        self._clock = clock
        self._model = model or embedding.model_name

    ready = True

    @property
    def model(self) -> str:
        """Name and version of the model."""
        return self._model

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> Sequence[Vector]:
        """One batch call. Raises EmbedderUnavailable also for vectors of unequal length."""
        if not texts:
            return []
        try:
            async with asyncio.timeout(self._left_s(deadline)):
                vectors = await self._embedding.aget_text_embedding_batch(list(texts))
        except Exception as error:  # a model class raises whatever its SDK raises
            raise self._typed(error) from error
        if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) != 1:
            raise EmbedderUnavailable(
                f"{self._model} returned {len(vectors)} vectors for {len(texts)} texts, or of"
                " different lengths",
                reason=Reason.EMBEDDER_GARBAGE,
            )
        return vectors

    async def embed_query(self, text: str, *, deadline: Deadline) -> Vector:
        """One call. Raises EmbedderUnavailable."""
        try:
            async with asyncio.timeout(self._left_s(deadline)):
                return await self._embedding.aget_query_embedding(text)
        except Exception as error:  # as above
            raise self._typed(error) from error

    def _left_s(self, deadline: Deadline) -> float | None:
        left_s = deadline.remaining_s(self._clock.monotonic_s())
        return None if left_s == float("inf") else left_s

    def _typed(self, error: Exception) -> EmbedderUnavailable:
        name = type(error).__name__
        if isinstance(error, TimeoutError) or "Timeout" in name:
            return EmbedderUnavailable(
                f"{self._model} did not answer in time", reason=Reason.EMBEDDER_TIMEOUT
            )
        return EmbedderUnavailable(f"{self._model} failed: {name}")
