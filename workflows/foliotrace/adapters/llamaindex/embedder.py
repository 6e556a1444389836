"""Any LlamaIndex embedding model as an `Embedder`."""

import asyncio
from collections.abc import Sequence

from llama_index.core.base.embeddings.base import BaseEmbedding

from foliotrace.adapters.llamaindex.blocking import AsyncOrThread, blocks, texts_block
from foliotrace.adapters.llamaindex.component_health import ComponentHealth
from foliotrace.adapters.llamaindex.sdk_errors import (
    LASTING,
    never_sent,
    retry_after_s,
    status_of,
    watched,
)
from foliotrace.catalog import Reason
from foliotrace.errors import EmbedderUnavailable
from foliotrace.model import Deadline
from foliotrace.ports import Clock, Vector


class LlamaIndexEmbedder:
    """An `Embedder` around `embedding`, without its own retries (`resilient` retries).

    With `health` (an object of the user's own), it is not ready after a call that failed.
    """

    def __init__(
        self,
        embedding: BaseEmbedding,
        *,
        clock: Clock,
        model: str | None = None,
        health: ComponentHealth | None = None,
    ) -> None:
        self._health = health
        self._embedding = embedding.model_copy()
        if "max_retries" in type(embedding).model_fields:
            object.__setattr__(self._embedding, "max_retries", 0)
        self._clock = clock
        self._model = model or embedding.model_name
        self._texts = AsyncOrThread(blocks=texts_block(embedding))
        self._questions = AsyncOrThread(blocks=blocks(embedding, "_aget_query_embedding"))

    @property
    def ready(self) -> bool:
        """Whether the last call of an object of the user's own worked; True for a provider's."""
        return self._health is None or self._health.failure is None

    @property
    def model(self) -> str:
        """Name and version of the model."""
        return self._model

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> Sequence[Vector]:
        """One batch call. Raises EmbedderUnavailable also for vectors of unequal length."""
        if not texts:
            return []
        try:
            with watched(self._health, *texts):
                async with asyncio.timeout(self._left_s(deadline)):
                    vectors = await self._texts.call(
                        lambda: self._embedding.aget_text_embedding_batch(list(texts)),
                        lambda: self._embedding.get_text_embedding_batch(list(texts)),
                    )
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
            with watched(self._health, text):
                async with asyncio.timeout(self._left_s(deadline)):
                    return await self._questions.call(
                        lambda: self._embedding.aget_query_embedding(text),
                        lambda: self._embedding.get_query_embedding(text),
                    )
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
        status = status_of(error)
        if status is not None:
            return EmbedderUnavailable(
                f"{self._model} answered with status {status}",
                retry_after_s=retry_after_s(error),
                lasting=status in LASTING,
            )
        sent = not never_sent(error)
        return EmbedderUnavailable(f"{self._model} failed: {name}", maybe_billed=sent)
