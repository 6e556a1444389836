"""The whole query pipeline as a LlamaIndex query engine: cited, marked, audited."""

import asyncio
from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import RESPONSE_TYPE, Response
from llama_index.core.callbacks import CallbackManager
from llama_index.core.prompts.mixin import PromptMixinType
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from foliotrace.model import Answer, Citation
from foliotrace.ports import AskLibrary


class LibraryQueryEngine(BaseQueryEngine):
    """Answers through `ask`, the query pipeline. Source nodes are the quotes of the citations."""

    def __init__(self, ask: AskLibrary, *, callback_manager: CallbackManager | None = None) -> None:
        super().__init__(callback_manager=callback_manager)
        self._ask = ask

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        return response_of(await self._ask(query_bundle.query_str))

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        """For code without an event loop; inside one, use `aquery`."""
        return asyncio.run(self._aquery(query_bundle))

    def _get_prompt_modules(self) -> PromptMixinType:
        return {}


def response_of(answer: Answer) -> Response:
    """An answer as a LlamaIndex response; degradation and ids are in its metadata."""
    mark = answer.degradation
    metadata: dict[str, Any] = {
        "run_id": answer.run_id,
        "trace_id": answer.trace_id,
        "notice": answer.notice,
        "removed_claims": answer.removed_claims,
        "degradation": {
            "level": int(mark.level),
            "reasons": list(mark.reasons),
            "retrieval": mark.retrieval.value,
            "answer": mark.answer.value,
        },
    }
    nodes = [_node(citation) for citation in answer.citations]
    return Response(response=answer.text, source_nodes=nodes, metadata=metadata)


def _node(citation: Citation) -> NodeWithScore:
    metadata = {
        "marker": citation.marker,
        "document_id": citation.document_id,
        "file_name": citation.document_name,
        "page": citation.anchor.page,
        "start": citation.anchor.start,
        "end": citation.anchor.end,
    }
    node = TextNode(id_=citation.chunk_id, text=citation.quote, metadata=metadata)
    return NodeWithScore(node=node, score=citation.score)
