"""A retriever with a fault: its index holds only the last paragraph of the handbook."""

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

PLACE = {"file_name": "larkfield-handbook.docx", "page": 1}
TEXT = "Joining fees are not refunded."


class LastParagraph(BaseRetriever):
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text=TEXT, metadata=PLACE), score=1.0)]


def retriever() -> LastParagraph:
    return LastParagraph()
