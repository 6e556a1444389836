"""LlamaIndex parts of a user's own: fixed, blocking, or without a client; imports LlamaIndex."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.readers.base import BaseReader
from llama_index.core.schema import Document, NodeWithScore, QueryBundle, TextNode

BLOCKED_S = 0.05


class SlowLLM(CustomLLM):
    """LlamaIndex's documented way to bring a model: only blocking methods."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="slow")

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        time.sleep(BLOCKED_S)
        return CompletionResponse(text="answer")

    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> Iterator[CompletionResponse]:  # type: ignore[override] # a generator is one
        for text in ("an", "answer"):
            time.sleep(BLOCKED_S)
            yield CompletionResponse(text=text, delta=text)


class SlowEmbedding(BaseEmbedding):
    """Its async methods call the blocking ones, as many do."""

    def _get_query_embedding(self, query: str) -> list[float]:
        time.sleep(BLOCKED_S)
        return [0.5]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_query_embedding(text)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


class Shelf(BaseRetriever):
    """Only blocking."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        time.sleep(BLOCKED_S)
        return []


class SyncClientOnly(BaseRetriever):
    """As Qdrant in memory: its async method needs a client that the default set-up lacks."""

    def __init__(self, node: TextNode) -> None:
        super().__init__()
        self.node, self.refused = node, 0

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=self.node, score=0.5)]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        await asyncio.sleep(0)
        self.refused += 1
        raise ValueError("Async client is not initialized!")


class Fixed(BaseRetriever):
    """Gives the same nodes whatever is asked, or fails."""

    def __init__(self, *nodes: TextNode, error: Exception | None = None) -> None:
        super().__init__()
        self.nodes, self.error = nodes, error

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        if self.error is not None:
            raise self.error
        return [NodeWithScore(node=node, score=0.5) for node in self.nodes]


class SlowReranker(BaseNodePostprocessor):
    """Only blocking; the base class would run it in asyncio's own threads."""

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        time.sleep(BLOCKED_S)
        return nodes[::-1]


class SlowReader(BaseReader):
    """Only blocking."""

    def load_data(self, file: Any, extra_info: Any = None) -> list[Document]:  # type: ignore[override] # as file readers declare it
        time.sleep(BLOCKED_S)
        return [Document(text=file.read_text())]
