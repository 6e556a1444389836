"""LlamaIndex vector stores for tests: in a dictionary, Qdrant, Chroma; imports LlamaIndex."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryResult,
)
from pydantic import Field, PrivateAttr

from foliotrace.adapters.llamaindex.component_health import ComponentHealth
from foliotrace.adapters.llamaindex.vector_store import LlamaIndexVectors
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.resilient import GuardFactory
from foliotrace.settings import ResilienceSettings


class DictStore(BasePydanticVectorStore):
    """Only blocking, as many stores are. `down` fails each call; `filters` off ignores them."""

    stores_text: bool = True
    nodes: dict[str, Any] = Field(default_factory=dict)
    down: bool = False
    filters: bool = True
    _calls: list[tuple[str, Any]] = PrivateAttr(default_factory=list)

    @property
    def client(self) -> None:
        return None

    @property
    def calls(self) -> list[tuple[str, Any]]:
        return self._calls

    def _note(self, name: str, what: object) -> None:
        self._calls.append((name, what))
        if self.down:
            raise ConnectionError("no route to the store")

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        self._note("add", [node.metadata["chunk_id"] for node in nodes])
        self.nodes.update({node.node_id: node for node in nodes})
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        raise AssertionError("chunks are deleted one by one")

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        self._note("delete", node_ids)
        for each in node_ids or ():
            self.nodes.pop(each, None)

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        self._note("query", query)
        wanted = query.filters.filters if query.filters and self.filters else ()
        found = [
            node
            for node in self.nodes.values()
            if all(
                node.metadata[f.key] in f.value  # type: ignore[union-attr, operator] # of a plain filter
                if f.operator.value == "in"  # type: ignore[union-attr] # of a plain filter
                else node.metadata[f.key] == f.value  # type: ignore[union-attr] # of a plain filter
                for f in wanted
            )
        ]
        if not found:
            raise Warning("query results are empty..")  # as LanceDB says it
        vector = query.query_embedding or []
        scored = [
            (sum(a * b for a, b in zip(vector, node.embedding, strict=True)), node)
            for node in found
        ]
        best = sorted(scored, key=lambda each: -each[0])[: query.similarity_top_k]
        return VectorStoreQueryResult(
            nodes=[node for _, node in best],
            similarities=[score for score, _ in best],
            ids=[node.node_id for _, node in best],
        )


def made(kind: str) -> BasePydanticVectorStore:
    """A new, empty store; skips the test where its package is not installed."""
    name = f"chunks-{uuid4().hex}"
    if kind == "own":
        return DictStore(nodes={})
    module = pytest.importorskip(
        f"llama_index.vector_stores.{kind}", reason=f"llama-index-vector-stores-{kind} is missing"
    )
    if kind == "qdrant":
        from qdrant_client import QdrantClient

        store = module.QdrantVectorStore(name, client=QdrantClient(":memory:"))
    else:
        from chromadb import EphemeralClient

        store = module.ChromaVectorStore(EphemeralClient().create_collection(name))
    assert isinstance(store, BasePydanticVectorStore)
    return store


def opened(
    folder: Path, store: BasePydanticVectorStore, reference: str = "m:store"
) -> LlamaIndexVectors:
    """The store behind the vector index of a data folder."""
    guards = GuardFactory(ResilienceSettings(attempts=1), clock=SystemClock())
    return LlamaIndexVectors(
        folder,
        store,
        reference,
        health=ComponentHealth("index.vector_store", lambda part, failure: None),
        guard=guards.make("vector_store", limit_s=5.0),
    )


class WithoutDeletion(DictStore):
    """Deletes whole documents only."""

    delete_nodes = BasePydanticVectorStore.delete_nodes


def without_deletion() -> BasePydanticVectorStore:
    """A store that cannot delete single nodes."""
    return WithoutDeletion(nodes={})


def texts_in(store: BasePydanticVectorStore, dimensions: int) -> list[str]:
    """The texts of up to 20 chunks in the store."""
    query = VectorStoreQuery(query_embedding=[1.0] * dimensions, similarity_top_k=20)
    return [node.get_content() for node in store.query(query).nodes or ()]
