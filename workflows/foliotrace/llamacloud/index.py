"""`LlamaCloudIndex`: documents to cited answers, here or from the managed index."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from llama_index.core.base.response.schema import RESPONSE_TYPE, Response
from llama_index.core.llms import LLM
from llama_index.core.schema import NodeWithScore, QueryBundle

from foliotrace.adapters.llamacloud.index import CloudIndex, Drift
from foliotrace.adapters.llamacloud.placements import Placements
from foliotrace.adapters.llamaindex.query_engine import LibraryQueryEngine, response_of
from foliotrace.adapters.llamaindex.retriever import LibraryRetriever
from foliotrace.errors import IndexUnavailable, NotFound, Unavailable
from foliotrace.ingest.publish import delete_document
from foliotrace.ingest.workflow import IngestDocument, IngestWorkflow
from foliotrace.llamacloud.arguments import INDEX, translate
from foliotrace.llamacloud.embedded import OWNER, Desk, NoAudit, Setup
from foliotrace.llamacloud.event_loop import hand_over, wait_for
from foliotrace.llamacloud.facade import Door, Given, access, as_list, contents
from foliotrace.model import Answer, Deadline, Passage, Query, RetrievalMode
from foliotrace.query.retrieve.document_routing import DocumentIdentities, RoutedRetriever
from foliotrace.query.retrieve.paths import RetrievalPath, retrieve
from foliotrace.query.workflow import Answered, AskQuestion, QueryServices, QueryWorkflow
from foliotrace.resilient import CircuitGuard, ResilientRetriever

_RETRIEVE_S = 10.0


class LlamaCloudIndex(Door):
    """An index of documents. Make one with `create` or `from_documents`.

    Without `api_key` it lies in `folder` (temporary without one) and finds by keyword. With one,
    the managed index (Index v2) answers; the local one is written first and answers when the
    managed one cannot, which every answer says. With `llm`, answers are written; else quoted.
    """

    def __init__(
        self,
        name: str = "default",
        *,
        api_key: str | None = None,
        llm: LLM | None = None,
        folder: str | Path | None = None,
        fall_back: bool = True,
        limit_s: float = 600.0,
        **options: Any,  # noqa: ANN401 - today's and former arguments
    ) -> None:
        super().__init__()
        named = ("where", "project_id", "organization_id")
        today = {str(given): options.pop(given) for given in named if given in options}
        today.update(translate("LlamaCloudIndex", options, INDEX))
        limit_s = today.pop("limit_s", limit_s)
        self.name = name
        self._llm = llm
        self._cloud: CloudIndex | None = None
        self._placements: Placements | None = None
        self._sync: CircuitGuard | None = None
        self._paths: tuple[RetrievalPath, ...] = ()
        self.behind: Unavailable | None = None
        self._setup = Setup(
            access=access(api_key, today),
            folder=Path(folder) if folder else None,
            fall_back=fall_back,
            limit_s=limit_s,
        )

    @classmethod
    async def acreate(cls, name: str = "default", **arguments: Any) -> Self:  # noqa: ANN401
        """An index, opened; the arguments are the class's."""
        made = cls(name, **arguments)
        await hand_over(made._opened())
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
        documents: Given | Sequence[Given],
        name: str = "default",
        **arguments: Any,  # noqa: ANN401
    ) -> Self:
        """An index of these files and Documents."""
        made = cls.create(name, **arguments)
        made.add_documents(documents)
        return made

    def _make(self) -> Desk:
        desk = Desk(self._setup)
        routed = RoutedRetriever(desk.keyword, DocumentIdentities(desk.library, desk.keyword))
        keyword = RetrievalPath(RetrievalMode.KEYWORD, routed)
        self._paths = (keyword,)
        if desk.gateway is not None:
            self._placements = Placements(desk.folder / "llamacloud-placements.db")
            self._cloud = CloudIndex(
                desk.gateway, self._placements, desk.library, desk.blobs, clock=desk.clock
            )
            self._sync = desk.guard("llamacloud_sync")
            guarded = ResilientRetriever(self._cloud, desk.guard("managed_index"))
            managed = RetrievalPath(RetrievalMode.MANAGED, guarded)
            self._paths = (managed, keyword) if self._setup.fall_back else (managed,)
        return desk

    async def _close(self) -> None:
        await super()._close()
        if self._placements is not None:
            self._placements.close()
            self._placements = self._cloud = None

    # --- documents -------------------------------------------------------------------------

    async def aadd_documents(self, documents: Given | Sequence[Given]) -> list[str]:
        """Ingest files and Documents; their ids. The same name again replaces.

        They are served here when it returns, and by the managed index when `behind` is None: an
        outage of the cloud is kept there, told by every answer, and mended by the next call.
        Raises FileRefused, NothingToIndex.
        """
        return await hand_over(self._add(documents))

    def add_documents(self, documents: Given | Sequence[Given]) -> list[str]:
        """As `aadd_documents`, from plain code or inside a running loop (which it blocks)."""
        return wait_for(self._add(documents))

    async def _add(self, documents: Given | Sequence[Given]) -> list[str]:
        desk = await self._opened()
        workflow = IngestWorkflow(desk.ingest)
        ids = []
        for name, content in await contents(as_list(documents)):
            accepted = await desk.register(name, content, self.name)
            if not accepted.settled:
                start = IngestDocument(document_id=accepted.document.id, job_id=accepted.job.id)
                await workflow.run(start_event=start)
            ids.append(accepted.document.id)
        await self._follow(desk)
        return ids

    async def adelete(self, document_id: str) -> None:
        """Forget a document, here and in the cloud. Raises NotFound."""
        await hand_over(self._delete(document_id))

    def delete(self, document_id: str) -> None:
        """As `adelete`, from plain code."""
        wait_for(self._delete(document_id))

    async def _delete(self, document_id: str) -> None:
        desk = await self._opened()
        await delete_document(desk.ingest, OWNER, document_id, run_id="")
        await self._follow(desk)

    async def _follow(self, desk: Desk) -> None:
        if self._cloud is None or self._sync is None:
            return
        cloud = self._cloud
        deadline = Deadline(desk.clock.monotonic_s() + self._setup.limit_s)
        try:
            await self._sync.call(lambda capped: cloud.catch_up(), deadline)
            self.behind = None
        except Unavailable as error:
            if not self._setup.fall_back:
                raise
            self.behind = error

    def reconcile(self) -> Drift:
        """Repair what differs between here and the managed index; what it was.

        Raises NotFound without a managed index, IndexUnavailable.
        """
        return wait_for(self._reconcile())

    async def _reconcile(self) -> Drift:
        await self._opened()
        if self._cloud is None:
            raise NotFound("there is no managed index", hint="Pass api_key.")
        return await self._cloud.reconcile(OWNER.tenant, self.name)

    # --- questions -------------------------------------------------------------------------

    async def aquery(self, text: str, *, similarity_top_k: int = 5) -> Response:
        """The answer: text, cited quotes as source nodes, degradation marks in its metadata."""
        return response_of(await hand_over(self._ask(text, similarity_top_k)))

    def query(self, text: str, *, similarity_top_k: int = 5) -> Response:
        """As `aquery`, from plain code or inside a running loop (which it blocks)."""
        return response_of(wait_for(self._ask(text, similarity_top_k)))

    async def _ask(self, text: str, top_k: int = 5) -> Answer:
        desk = await self._opened()
        workflow = QueryWorkflow(self._services(desk))
        question = AskQuestion(query=text, top_k=top_k, collection=self.name)
        answered: object = await workflow.run(start_event=question)
        assert isinstance(answered, Answered)  # noqa: S101 - the workflow has no other end
        return answered.answer

    def _services(self, desk: Desk) -> QueryServices:
        made = QueryServices(
            library=desk.library,
            vocabulary=desk.keyword,
            paths=self._paths,
            audit=NoAudit(),
            runs=desk.runs,
            clock=desk.clock,
            identify=lambda: OWNER,
            hash_query=desk.hash_query,
            current_trace=lambda: None,
        )
        if self._llm is None:
            return made
        return replace(made, generators=(desk.generator(self._llm),))

    def as_retriever(self, *, similarity_top_k: int = 5) -> LibraryRetriever:
        """The index as a LlamaIndex retriever, by the best path that answers."""
        wait_for(self._opened())
        return _DoorRetriever(self, similarity_top_k)

    def as_query_engine(self, *, llm: LLM | None = None) -> LibraryQueryEngine:
        """The whole question journey as a LlamaIndex query engine."""
        if llm is not None:
            self._llm = llm
        return _DoorQueryEngine(self)

    async def passages(self, query: Query, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """Best first, by the best path that answers. Raises IndexUnavailable when none does."""
        desk = await self._opened()
        found = await retrieve(
            query, self._paths, clock=desk.clock, deadline=deadline, limit_s=_RETRIEVE_S
        )
        if found.mode is RetrievalMode.NONE:
            raise IndexUnavailable("no path answers", reason=found.failures[-1].reason)
        return found.passages[:top_k]


class _OnItsLoop:
    """The door's passages as a `Retriever`, from whatever loop they are asked."""

    ready = True

    def __init__(self, door: LlamaCloudIndex) -> None:
        self._door = door

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        return await hand_over(self._door.passages(query, top_k, deadline))


class _DoorRetriever(LibraryRetriever):
    def __init__(self, door: LlamaCloudIndex, top_k: int) -> None:
        desk = door._desk
        assert desk is not None  # noqa: S101 - opened before
        super().__init__(
            _OnItsLoop(door),
            clock=desk.clock,
            top_k=top_k,
            principal=OWNER,
            collection=door.name,
        )

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return wait_for(self._aretrieve(query_bundle))


class _DoorQueryEngine(LibraryQueryEngine):
    def __init__(self, door: LlamaCloudIndex) -> None:
        async def ask(text: str) -> Answer:
            return await hand_over(door._ask(text))

        super().__init__(ask)

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        return wait_for(self._aquery(query_bundle))
