"""LlamaIndex node postprocessors, rerankers among them, behind the `Reranker` port."""

from collections.abc import Sequence
from dataclasses import replace

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore

from foliotrace.adapters.llamaindex.blocking import AsyncOrThread, blocks
from foliotrace.adapters.llamaindex.component_health import ComponentHealth
from foliotrace.adapters.llamaindex.retriever import node_of
from foliotrace.catalog import Reason
from foliotrace.errors import IndexUnavailable
from foliotrace.model import Deadline, Passage, Query


class LlamaIndexReranker:
    """One node postprocessor. It may reorder, rescore and drop passages.

    Their text stays that of the library, because citations must open: what a postprocessor writes
    into a node is not used, and nodes that it adds are dropped.
    """

    def __init__(self, postprocessor: BaseNodePostprocessor, *, health: ComponentHealth) -> None:
        self._postprocessor = postprocessor
        self._health = health
        self._calls = AsyncOrThread(blocks=postprocessor_blocks(postprocessor))

    @property
    def ready(self) -> bool:
        """Whether its last call worked."""
        return self._health.failure is None

    async def rerank(
        self, query: Query, passages: Sequence[Passage], *, deadline: Deadline
    ) -> Sequence[Passage]:
        """Best first. Raises IndexUnavailable `reranker_failed`."""
        own = self._postprocessor
        nodes = [node_of(passage) for passage in passages]
        try:
            with self._health.watch(query.text, *(passage.text for passage in passages)):
                found = await self._calls.call(
                    lambda: own.apostprocess_nodes(nodes, query_str=query.text),
                    lambda: own.postprocess_nodes(nodes, query_str=query.text),
                )
        except Exception as error:  # a postprocessor raises whatever its model raises
            raise IndexUnavailable(reason=Reason.RERANKER_FAILED) from error
        known = {passage.chunk_id: passage for passage in passages}
        return [_scored(known.pop(i), each) for each in found if (i := each.node.node_id) in known]


def _scored(passage: Passage, node: NodeWithScore) -> Passage:
    return passage if node.score is None else replace(passage, score=float(node.score))


def postprocessor_blocks(postprocessor: BaseNodePostprocessor) -> bool:
    """Whether it has only the blocking method, which the base class runs in asyncio's threads."""
    base = BaseNodePostprocessor._apostprocess_nodes
    inherited = type(postprocessor)._apostprocess_nodes is base
    return inherited or blocks(postprocessor, "_apostprocess_nodes")
