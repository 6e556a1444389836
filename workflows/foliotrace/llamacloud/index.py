"""`LlamaCloudIndex`: documents to cited answers, here or from the managed index."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from llama_index.core.base.response.schema import RESPONSE_TYPE, Response
from llama_index.core.llms import LLM
from llama_index.core.schema import NodeWithScore, QueryBundle

from foliotrace.adapters.llamacloud.managed_index.writer import Drift
from foliotrace.adapters.llamaindex.retriever import (
    LibraryQueryEngine,
    LibraryRetriever,
    response_of,
)
from foliotrace.errors import IndexUnavailable, NotFound, Unavailable
from foliotrace.ingest.publish import delete_document
from foliotrace.ingest.workflow import IngestDocument, IngestWorkflow
from foliotrace.llamacloud.arguments import INDEX, translate
from foliotrace.llamacloud.embedded import (
    OWNER,
    ClientOptions,
    EmbeddedStack,
    cloud_settings,
    execution_mode,
)
from foliotrace.llamacloud.facade import (
    CONNECTION,
    Facade,
    Sources,
    as_list,
    contents,
    refuse_connection_without_key,
    run_in_loop,
    wait_for,
)
from foliotrace.model import Answer, Deadline, Passage, Query, RetrievalMode
from foliotrace.query.retrieve.paths import retrieve
from foliotrace.query.workflow import Answered, AskQuestion, QueryWorkflow
from foliotrace.settings import INDEX_SYNC_DEADLINE_S


class LlamaCloudIndex(Facade):
    """An index of documents. Make one with `create` or `from_documents`.

    Without `api_key` it is stored in `folder` (temporary without one) and searched by keyword. With
    one, the managed index (Index v2) answers; the local one is written first and answers when the
    managed one cannot, which every answer says. With `llm`, answers are generated; else quoted.
    `limit_s` is the time for parsing one window of pages and for one synchronisation of the managed
    index; by default the service's.
    """

    def __init__(
        self,
        name: str = "default",
        *,
        api_key: str | None = None,
        llm: LLM | None = None,
        folder: str | Path | None = None,
        fall_back: bool = True,
        limit_s: float | None = None,
        **options: Any,  # noqa: ANN401 - today's and former arguments
    ) -> None:
        arguments = {name: options.pop(name) for name in CONNECTION if name in options}
        arguments.update(translate("LlamaCloudIndex", options, INDEX))
        limit_s = arguments.pop("limit_s", limit_s)
        refuse_connection_without_key(api_key, arguments)
        index = execution_mode(api_key, fall_back=fall_back)
        super().__init__(
            ClientOptions(
                api_key=api_key,
                llamacloud=cloud_settings("LlamaCloudIndex", {**arguments, "index": index}),
                folder=Path(folder) if folder else None,
                limit_s=limit_s,
                llm=llm,
            )
        )
        self.name = name
        self.behind: Unavailable | None = None
        self._fall_back = fall_back

    @classmethod
    async def acreate(cls, name: str = "default", **arguments: Any) -> Self:  # noqa: ANN401
        """An index, opened; the arguments are the class's."""
        made = cls(name, **arguments)
        await run_in_loop(made._opened())
        return made

    @classmethod
    def create(cls, name: str = "default", **arguments: Any) -> Self:  # noqa: ANN401
        """As `acreate`, from plain code."""
        made = cls(name, **arguments)
        wait_for(made._opened())
        return made

    @classmethod
    def from_documents(
        cls,
        documents: Sources,
        name: str = "default",
        **arguments: Any,  # noqa: ANN401
    ) -> Self:
        """An index of these files and Documents."""
        made = cls.create(name, **arguments)
        made.add_documents(documents)
        return made

    # --- documents -------------------------------------------------------------------------

    async def aadd_documents(self, documents: Sources) -> list[str]:
        """Ingest files and Documents; returns their ids. A known name is replaced.

        When it returns they can be found locally, and in the managed index if `behind` is None. An
        outage of the cloud is kept in `behind`, marked in every answer, and retried by the next
        call. Raises FileRefused, NothingToIndex.
        """
        return await run_in_loop(self._add(documents))

    def add_documents(self, documents: Sources) -> list[str]:
        """`aadd_documents` for synchronous code; inside a running loop it blocks the loop."""
        return wait_for(self._add(documents))

    async def _add(self, documents: Sources) -> list[str]:
        embedded = await self._opened()
        workflow = IngestWorkflow(embedded.stack.ingest)
        ids = []
        for name, content in await contents(as_list(documents)):
            accepted = await embedded.register(name, content, self.name)
            if not accepted.settled:
                start = IngestDocument(document_id=accepted.document.id, job_id=accepted.job.id)
                await workflow.run(start_event=start)
            ids.append(accepted.document.id)
        await self._synchronize(embedded)
        return ids

    async def adelete(self, document_id: str) -> None:
        """Delete a document, locally and in the cloud. Raises NotFound."""
        await run_in_loop(self._delete(document_id))

    def delete(self, document_id: str) -> None:
        """`adelete` for synchronous code."""
        wait_for(self._delete(document_id))

    async def _delete(self, document_id: str) -> None:
        embedded = await self._opened()
        await delete_document(embedded.stack.ingest, OWNER, document_id, run_id="")
        await self._synchronize(embedded)

    async def _synchronize(self, embedded: EmbeddedStack) -> None:
        """Bring the managed index up to date now. Raises Unavailable if nothing is below it."""
        cloud = embedded.external.cloud
        if cloud is None or cloud.index is None or cloud.follower is None:
            return
        index, guard = cloud.index, cloud.follower.guard
        limit_s = self._options.limit_s or INDEX_SYNC_DEADLINE_S
        deadline = Deadline(embedded.clock.monotonic_s() + limit_s)
        try:
            await guard.call(lambda capped: index.catch_up(), deadline)
            self.behind = None
        except Unavailable as error:
            if not self._fall_back:
                raise
            self.behind = error

    def reconcile(self) -> Drift:
        """Repair the differences between the library and the managed index; returns them.

        Raises NotFound without a managed index, IndexUnavailable.
        """
        return wait_for(self._reconcile())

    async def _reconcile(self) -> Drift:
        cloud = (await self._opened()).external.cloud
        if cloud is None or cloud.index is None:
            raise NotFound("there is no managed index", hint="Pass api_key.")
        return await cloud.index.reconcile(OWNER.tenant, self.name)

    # --- questions -------------------------------------------------------------------------

    async def aquery(self, text: str, *, similarity_top_k: int = 5) -> Response:
        """The answer: text, cited quotes as source nodes, degradation marks in its metadata."""
        return response_of(await run_in_loop(self._ask(text, similarity_top_k)))

    def query(self, text: str, *, similarity_top_k: int = 5) -> Response:
        """`aquery` for synchronous code; inside a running loop it blocks the loop."""
        return response_of(wait_for(self._ask(text, similarity_top_k)))

    async def _ask(self, text: str, top_k: int = 5) -> Answer:
        workflow = QueryWorkflow((await self._opened()).query)
        question = AskQuestion(query=text, top_k=top_k, collection=self.name)
        answered: object = await workflow.run(start_event=question)
        assert isinstance(answered, Answered)  # noqa: S101 - the workflow has no other end
        return answered.answer

    def as_retriever(self, *, similarity_top_k: int = 5) -> LibraryRetriever:
        """The index as a LlamaIndex retriever, using the best path that answers."""
        embedded = wait_for(self._opened())
        return _BlockingRetriever(
            _IndexRetriever(self),
            clock=embedded.clock,
            top_k=similarity_top_k,
            principal=OWNER,
            collection=self.name,
        )

    def as_query_engine(self, *, llm: LLM | None = None) -> LibraryQueryEngine:
        """The query journey as a LlamaIndex query engine; `llm` replaces the index's own."""
        if llm is not None:
            wait_for(self._use_llm(llm))

        async def ask(text: str) -> Answer:
            return await run_in_loop(self._ask(text))

        return _BlockingQueryEngine(ask)

    async def _use_llm(self, llm: LLM) -> None:
        (await self._opened()).use_llm(llm)

    async def passages(self, query: Query, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """Best first, by the best path that answers. Raises IndexUnavailable when none does."""
        services = (await self._opened()).query
        retrieval = await retrieve(
            query,
            services.paths,
            clock=services.clock,
            deadline=deadline,
            limit_s=services.settings.retrieval_deadline_s,
            hedge_s=services.settings.hedge_after_s,
        )
        if retrieval.mode is RetrievalMode.NONE:
            raise IndexUnavailable(
                "No retrieval path works at the moment.", reason=retrieval.failures[-1].reason
            )
        return retrieval.passages[:top_k]


class _IndexRetriever:
    """The index's passages as a `Retriever` that can be called from any loop."""

    ready = True

    def __init__(self, index: LlamaCloudIndex) -> None:
        self._index = index

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        return await run_in_loop(self._index.passages(query, top_k, deadline))


class _BlockingRetriever(LibraryRetriever):
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return wait_for(self._aretrieve(query_bundle))


class _BlockingQueryEngine(LibraryQueryEngine):
    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        return wait_for(self._aquery(query_bundle))
