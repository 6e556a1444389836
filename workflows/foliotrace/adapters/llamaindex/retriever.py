"""Our index as a LlamaIndex retriever, and any LlamaIndex retriever as a retrieval path."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.response.schema import RESPONSE_TYPE, Response
from llama_index.core.callbacks import CallbackManager
from llama_index.core.prompts.mixin import PromptMixinType
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from foliotrace.adapters.llamaindex.blocking import AsyncOrThread, retriever_blocks
from foliotrace.adapters.llamaindex.component_health import ComponentHealth
from foliotrace.catalog import Reason
from foliotrace.errors import IndexUnavailable, NotFound
from foliotrace.model import (
    DEFAULT_COLLECTION,
    Answer,
    Citation,
    Deadline,
    Filters,
    Passage,
    Principal,
    Query,
    RetrievalMode,
)
from foliotrace.ports import AskLibrary, Clock, LibraryReader, Retriever

NO_FILTERS: Final = Filters()


class LibraryRetriever(BaseRetriever):
    """A LlamaIndex `BaseRetriever` over one retrieval path, for one tenant and collection.

    A node's id is the chunk's id; its metadata names the document, the page and the offsets.
    """

    def __init__(
        self,
        path: Retriever,
        *,
        clock: Clock,
        top_k: int = 5,
        principal: Principal | None = None,
        collection: str = DEFAULT_COLLECTION,
        filters: Filters = NO_FILTERS,
        limit_s: float = 10.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._path = path
        self._clock = clock
        self._top_k = top_k
        self._principal = principal or Principal()
        self._collection = collection
        self._filters = filters
        self._limit_s = limit_s

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        query = Query(
            text=query_bundle.query_str,
            principal=self._principal,
            collection=self._collection,
            top_k=self._top_k,
            filters=self._filters,
        )
        deadline = Deadline(self._clock.monotonic_s() + self._limit_s)
        passages = await self._path.retrieve(query, top_k=self._top_k, deadline=deadline)
        return [node_of(passage) for passage in passages]

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """For code without an event loop; inside one, use `aretrieve`."""
        return asyncio.run(self._aretrieve(query_bundle))


def node_of(passage: Passage) -> NodeWithScore:
    """A passage as a scored node; ids and offsets are hidden from LLMs and embeddings."""
    metadata = {
        "document_id": passage.document_id,
        "file_name": passage.document_name,
        "page": passage.page,
        "start": passage.start,
        "end": passage.end,
        "revision": passage.revision,
        "context": passage.context,
        "header": passage.header,
    }
    hidden = ["document_id", "start", "end", "revision"]
    node = TextNode(
        id_=passage.chunk_id,
        text=passage.text,
        metadata=metadata,
        excluded_llm_metadata_keys=hidden,
        excluded_embed_metadata_keys=hidden,
    )
    return NodeWithScore(node=node, score=passage.score)


class LlamaIndexRetriever:
    """Any LlamaIndex retriever (or a vector store's `as_retriever()`) behind the `Retriever` port.

    A hit is aligned to the stored page that its metadata names: `document_id` or `file_name`, and
    `page` or `page_label`. A hit whose text is not on that page stays a passage, and its citations
    say `exact: false`. Hits of documents that the library does not serve to this tenant and
    collection are dropped.
    """

    def __init__(
        self,
        retriever: BaseRetriever,
        library: LibraryReader,
        *,
        health: ComponentHealth | None = None,
    ) -> None:
        self._retriever = retriever
        self._library = library
        self._health = health or ComponentHealth("retriever", lambda part, failure: None)
        self._calls = AsyncOrThread(blocks=retriever_blocks(retriever))

    @property
    def ready(self) -> bool:
        """Whether its last call worked."""
        return self._health.failure is None

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """Best first, aligned to stored pages. Raises IndexUnavailable."""
        try:
            with self._health.watch(query.text):
                hits = await self._calls.call(
                    lambda: self._retriever.aretrieve(query.text),
                    lambda: self._retriever.retrieve(query.text),
                )
        except Exception as error:  # a retriever raises whatever its store raises
            raise IndexUnavailable(
                f"The LlamaIndex retriever failed: {type(error).__name__}.",
                reason=Reason.RETRIEVER_FAILED,
            ) from error
        admitted = set(
            await self._library.matching(query.principal.tenant, query.collection, query.filters)
        )
        aligned = [await self._aligned(query, hit, admitted) for hit in hits]
        return [passage for passage in aligned if passage is not None][:top_k]

    async def _aligned(
        self, query: Query, hit: NodeWithScore, admitted: set[str]
    ) -> Passage | None:
        metadata = hit.node.metadata
        document_id = await self._document_id(query, metadata)
        if document_id not in admitted:
            return None
        tenant = query.principal.tenant
        document = await self._library.document(tenant, document_id)
        number = _page_number(metadata)
        text = hit.node.get_content()
        start = end = 0
        try:
            page = await self._library.page(tenant, document_id, number)
            start, end = find_aligned(page.text, text)
            text = page.text[start:end] if end else text
        except NotFound:
            pass  # the library has no such page: the passage stays, without an exact place
        return Passage(
            chunk_id=hit.node.node_id,
            document_id=document_id,
            document_name=document.name,
            revision=(document.revision or "") if end else "",
            page=number,
            start=start,
            end=end or len(text),
            text=text,
            header=document.identity.header(),
            score=float(hit.score or 0.0),
            path=RetrievalMode.CUSTOM,
        )

    async def _document_id(self, query: Query, metadata: dict[str, Any]) -> str:
        known = metadata.get("document_id")
        if isinstance(known, str):
            return known
        name = metadata.get("file_name")
        if not isinstance(name, str):
            return ""
        documents = await self._library.documents(
            query.principal.tenant, collection=query.collection, name=name, limit=1
        )
        return documents[0].id if documents else ""


def find_aligned(page: str, text: str) -> tuple[int, int]:
    """The span of `text` on the page; (0, 0) if it is not there.

    Exact text first; else both are compared without white space, and the offsets mapped back.
    """
    bare = text.strip()
    if not bare:
        return 0, 0
    at = page.find(bare)
    if at >= 0:
        return at, at + len(bare)
    places = [i for i, c in enumerate(page) if not c.isspace()]
    packed = "".join(page[i] for i in places)
    wanted = "".join(bare.split())
    at = packed.find(wanted)
    if at < 0:
        return 0, 0
    return places[at], places[at + len(wanted) - 1] + 1


def _page_number(metadata: dict[str, Any]) -> int:
    for name in ("page", "page_number", "page_label"):
        value = metadata.get(name)
        if isinstance(value, int | str) and str(value).isdecimal():
            return int(value)
    return 1


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
        "unverified_claims": answer.unverified_claims,
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
