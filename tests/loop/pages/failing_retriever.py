"""A retriever of one's own (`query.retriever`) that cannot be reached."""

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle


class Unreachable(BaseRetriever):
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        raise ConnectionError("the vector store refuses connections")


def retriever() -> Unreachable:
    return Unreachable()
