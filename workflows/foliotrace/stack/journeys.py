"""The services of the three journeys on one data folder, in the order the settings ask for."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from foliotrace.adapters.local.outside_files import AllowedFiles
from foliotrace.adapters.local.rules import RulesExtractor
from foliotrace.budget import CallKind, PriceOf, UnknownPrice
from foliotrace.errors import LibraryUnavailable, Misconfigured
from foliotrace.extract.services import ExtractServices, Rung
from foliotrace.ingest.services import DocumentHook, IngestServices
from foliotrace.model import ExecutionMode, ExtractionMethod, RetrievalMode
from foliotrace.parse import ParserChain
from foliotrace.ports import (
    AnswerCache,
    AuditLog,
    BudgetLedger,
    Clock,
    CurrentSpan,
    CurrentTrace,
    Embedder,
    HashQuery,
    Identify,
    IndexWriter,
    Parser,
    Reranker,
    TextGenerator,
)
from foliotrace.query.retrieve.document_routing import RoutedRetriever
from foliotrace.query.retrieve.paths import (
    HybridRetriever,
    RetrievalPath,
    VectorRetriever,
)
from foliotrace.query.services import QueryServices
from foliotrace.query.subjects.identities import DocumentIdentities
from foliotrace.query.subjects.subject_check import SubjectCheck
from foliotrace.resilient import (
    CircuitGuard,
    Meter,
    MeteredGenerator,
    ResilientGenerator,
)
from foliotrace.settings import EXTRACTION_WINDOW_PAGES, CoreSettings
from foliotrace.stack.data_folder import DataFolder
from foliotrace.text_caches import clear_text_caches

if TYPE_CHECKING:
    from llama_index.core.llms import LLM

    from foliotrace.adapters.llamaindex.component_health import ComponentHealth
    from foliotrace.adapters.local.vectors.index import VectorIndex
    from foliotrace.adapters.local.vectors.store import VectorStore
    from foliotrace.stack.cloud_services import CloudServices


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalServices:
    """What the settings enable beyond the data folder. `generators` are in order of preference.

    `retriever` is the user's own retrieval path, tried before all others. `vector_store` takes the
    place of the vectors in the data folder; it needs an `embedder`. `cache` may be in this
    process or shared. `closing` is awaited, in order, when the stack closes.
    """

    generators: Sequence[TextGenerator] = ()
    embedder: Embedder | None = None
    vector_store: "VectorStore | None" = None
    retriever: RetrievalPath | None = None
    rerankers: Sequence[Reranker] = ()
    readers: Sequence[Parser] = ()
    cache: AnswerCache | None = None
    cloud: "CloudServices | None" = None
    closing: Sequence[Callable[[], Awaitable[None]]] = ()


def resilient_generator(
    llm: "LLM",
    guard: CircuitGuard,
    *,
    clock: Clock,
    price_of: PriceOf,
    ledger: BudgetLedger,
    unknown_price: UnknownPrice,
    model: str | None = None,
    health: "ComponentHealth | None" = None,
) -> TextGenerator:
    """A LlamaIndex LLM whose calls are guarded and charged. `model`: the name it is charged by.

    `health` notes how its calls end, if the LLM is an object of the user's own.

    The guard is outermost: each of its retries is reserved and settled by itself.
    """
    from foliotrace.adapters.llamaindex.generator import LlamaIndexGenerator  # imports LlamaIndex

    generator = LlamaIndexGenerator(llm, clock=clock, model=model, health=health)
    meter = Meter(CallKind.LLM, ledger=lambda: ledger, price_of=price_of, unknown=unknown_price)
    metered = MeteredGenerator(generator, meter, clock=clock)
    return ResilientGenerator(metered, guard)


_CLOUD = ExecutionMode.CLOUD


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the process around the journeys provides: who calls, where records go, what traces."""

    audit: AuditLog
    identify: Identify
    hash_query: HashQuery
    current_trace: CurrentTrace = lambda: None
    current_span: CurrentSpan = lambda: None


class Stack:
    """The journeys of one data folder. Raises Misconfigured for settings that need what is off."""

    def __init__(
        self, folder: DataFolder, settings: CoreSettings, host: Host, external: ExternalServices
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.external = external
        self._host = host
        embedder = external.embedder
        self._vectors: VectorIndex | None = (
            folder.vectors(embedder, external.vector_store) if embedder else None
        )

    @cached_property
    def ingest(self) -> IngestServices:
        """Parsers and indexes; a deletion reaches the cloud and the cached answers too."""
        folder, cloud, cache = self.folder, self.external.cloud, self.external.cache
        local = (*self.external.readers, *folder.parsers(self.settings.ingest))
        orders = cloud.parser_chains(local) if cloud else {}
        indexes: list[IndexWriter] = [folder.keyword]
        evict_answers: list[DocumentHook] = [folder.stale.forget_document]
        if cache is not None:
            evict_answers.append(cache.forget_document)
        if self._vectors is not None:
            indexes.append(self._vectors)
        if cloud is not None and cloud.follower is not None:
            indexes.append(cloud.follower)
        return IngestServices(
            library=folder.library,
            blobs=folder.blobs,
            jobs=folder.jobs,
            parser=orders.get(self.settings.llamacloud.parsing, ParserChain(local)),
            parsers=orders,
            indexes=indexes,
            audit=self._host.audit,
            clock=folder.clock,
            identify=self._host.identify,
            trace=self._host.current_trace,
            outside_files=AllowedFiles(self.settings.ingest.outside_files),
            on_deleted=(cloud.forget,) if cloud is not None else (),
            evict_answers=evict_answers,
            clear_memory=self._clear_memory,
            settings=self.settings.ingest,
            max_cost_usd=self.settings.budget.max_cost_per_job_usd,
            preferred_parser_ready=lambda: cloud is not None and cloud.parser_ready,
            cloud_jobs=cloud.job_ids if cloud is not None else lambda tenant, content_hash: (),
        )

    @cached_property
    def query(self) -> QueryServices:
        """Retrieval paths and language models, best first."""
        folder, host = self.folder, self._host
        paths, by_mode = self._paths()
        return QueryServices(
            library=folder.library,
            vocabulary=folder.keyword,
            paths=paths,
            paths_by_mode=by_mode,
            generators=self.external.generators,
            rerankers=self.external.rerankers,
            cache=self.external.cache,
            embedder=self._embedder_of_the_cache(),
            subjects=SubjectCheck(self._identities, folder.keyword, folder.library),
            stale=folder.stale,
            audit=host.audit,
            runs=folder.runs,
            clock=folder.clock,
            identify=host.identify,
            hash_query=host.hash_query,
            current_trace=host.current_trace,
            current_span=host.current_span,
            settings=self.settings.query,
            budget=self.settings.budget,
            recording=self.settings.runs,
            code_version=_code_version(),
        )

    def _paths(
        self,
    ) -> tuple[Sequence[RetrievalPath], Mapping[ExecutionMode, Sequence[RetrievalPath]]]:
        """(the configured paths, those that a question may choose instead)."""
        folder, cloud = self.folder, self.external.cloud
        identities = self._identities
        local = [RetrievalPath(RetrievalMode.KEYWORD, RoutedRetriever(folder.keyword, identities))]
        if self._vectors is not None:
            hybrid = RoutedRetriever(HybridRetriever(folder.keyword, self._vectors), identities)
            local.insert(0, RetrievalPath(RetrievalMode.HYBRID, hybrid))
            local.append(RetrievalPath(RetrievalMode.VECTOR, VectorRetriever(self._vectors)))
        own = () if self.external.retriever is None else (self.external.retriever,)
        orders = cloud.path_orders(local, identities) if cloud else {}
        by_mode = {
            mode: tuple(order) if mode is _CLOUD else (*own, *order)
            for mode, order in orders.items()
        }
        return (*own, *orders.get(self.settings.llamacloud.index, local)), by_mode

    @cached_property
    def _identities(self) -> DocumentIdentities:
        return DocumentIdentities(self.folder.library, self.folder.keyword)

    async def read_identities(self) -> None:
        """Read the identities that changed: at a start all, so that no question has to wait."""
        with suppress(LibraryUnavailable):  # the question will report what this means for it
            await self._identities.follow()

    async def _clear_memory(self) -> None:
        """Drop the text that is held in memory, and the names of deleted documents."""
        clear_text_caches()
        await self.read_identities()

    def _embedder_of_the_cache(self) -> Embedder | None:
        """What the semantic cache compares questions with; None when it is off."""
        if not self.settings.query.semantic_cache:
            return None
        if self.external.embedder is None or not self.settings.query.cache_ttl_s:
            raise Misconfigured(
                "query.semantic_cache is on without an embedding model or without a cache",
                hint="Set embedding.provider and embedding.model, and query.cache_ttl_s above 0.",
            )
        return self.external.embedder

    @cached_property
    def extract(self) -> ExtractServices:
        """On the same stores: LlamaExtract first, then the language models, then the rules."""
        ingest, cloud = self.ingest, self.external.cloud
        rungs = self._local_rungs()
        by_mode: dict[ExecutionMode, Sequence[Rung]] = {}
        first = cloud.extract_rung() if cloud else None
        if first is not None:
            by_mode = {
                ExecutionMode.LOCAL: rungs,
                _CLOUD: [first],
                ExecutionMode.CLOUD_THEN_LOCAL: [first, *rungs],
            }
        settings = self.settings.llamacloud
        return ExtractServices(
            library=ingest.library,
            blobs=ingest.blobs,
            jobs=ingest.jobs,
            parser=ingest.parser,
            rungs=by_mode.get(settings.extraction, rungs),
            rungs_by_mode=by_mode,
            local_parser=ingest.parsers.get(ExecutionMode.LOCAL),
            audit=ingest.audit,
            clock=ingest.clock,
            identify=ingest.identify,
            trace=ingest.trace,
            window_pages=settings.extract_window_pages if first else EXTRACTION_WINDOW_PAGES,
            max_cost_usd=self.settings.budget.max_cost_per_job_usd,
        )

    def _local_rungs(self) -> list[Rung]:
        rules = Rung(method=ExtractionMethod.RULES, extractor=RulesExtractor(self.folder.clock))
        if not self.external.generators:
            return [rules]
        from foliotrace.adapters.llamaindex.extractor import LLMExtractor  # imports LlamaIndex

        llms = (
            Rung(method=ExtractionMethod.LLM, extractor=LLMExtractor(generator))
            for generator in self.external.generators
        )
        return [*llms, rules]

    async def close(self) -> None:
        """Close everything; the data folder last, others write to it."""
        await self.folder.workers.close()
        await self.folder.sniffers.close()
        if self._vectors is not None:
            await self._vectors.close()
        if self.external.cloud is not None:
            await self.external.cloud.close()
        for close in self.external.closing:
            await close()
        await self.folder.close()


def _code_version() -> str:
    """Of the installed package; "sources" where only the sources are on the path."""
    try:
        return version("foliotrace")
    except PackageNotFoundError:
        return "sources"
