"""The composition root: settings become adapters, adapters become workflows, both an engine."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from workflows import Workflow

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.files.blobs import FolderBlobs
from foliotrace.adapters.local.files.filetype import sniff
from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.readers.contract import ReadingOptions, find_tessdata
from foliotrace.adapters.local.readers.parser import local_parsers
from foliotrace.adapters.local.readers.worker_pool import WorkerPool
from foliotrace.adapters.local.rules import RulesExtractor
from foliotrace.adapters.local.sqlite.jobs import SqliteJobs
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.adapters.local.sqlite.runs import SqliteRuns
from foliotrace.adapters.local.sqlite.stale_answers import SqliteStaleAnswers
from foliotrace.errors import Misconfigured
from foliotrace.extract.schema import resolve
from foliotrace.extract.services import ExtractServices, Rung
from foliotrace.extract.workflow import ExtractWorkflow
from foliotrace.ingest.services import DocumentHook, IngestServices
from foliotrace.ingest.workflow import IngestWorkflow
from foliotrace.model import ExecutionMode, ExtractionMethod, RetrievalMode
from foliotrace.parse import ParserChain
from foliotrace.ports import AnswerCache, Embedder, HashQuery, IndexWriter, TextGenerator
from foliotrace.query.retrieve.document_routing import DocumentIdentities, RoutedRetriever
from foliotrace.query.retrieve.hybrid import HybridRetriever
from foliotrace.query.retrieve.paths import RetrievalPath
from foliotrace.query.workflow import QueryServices, QueryWorkflow
from foliotrace.resilient import MeteredExtractor, ResilientRetriever
from foliotrace.settings import EXTRACTION_WINDOW_PAGES
from foliotrace_server.composing.guards import GuardFactory
from foliotrace_server.composing.plugged import plugged
from foliotrace_server.composing.shared import SharedStores
from foliotrace_server.identity import caller
from foliotrace_server.observing.audit import OpenedAuditLog, open_audit
from foliotrace_server.observing.telemetry import Observability, observe
from foliotrace_server.observing.trace_context import (
    current_trace_id,
    sampled_trace_id,
    sampled_traceparent,
)
from foliotrace_server.parts import Parts
from foliotrace_server.readiness import Readiness
from foliotrace_server.settings import Settings

if TYPE_CHECKING:
    from foliotrace.adapters.local.vectors.index import VectorIndex
    from foliotrace_server.composing.cloud import Cloud
    from foliotrace_server.composing.models import Models
    from foliotrace_server.engine import Engine

_CLOUD = ExecutionMode.CLOUD
_OWN = ("query", "ingest", "extract")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The adapters of one data folder that the journeys share."""

    library: SqliteLibrary
    jobs: SqliteJobs
    runs: SqliteRuns
    blobs: FolderBlobs
    keyword: KeywordIndex
    shared: SharedStores
    cache: AnswerCache | None
    stale: SqliteStaleAnswers
    workers: WorkerPool
    clock: SystemClock
    audit: OpenedAuditLog
    hash_query: HashQuery


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What the settings switch on beyond the data folder."""

    models: "Models | None"
    cloud: "Cloud | None"
    vectors: "VectorIndex | None"
    retriever: RetrievalPath | None

    @property
    def generators(self) -> Sequence[TextGenerator]:
        """Language models in their order."""
        return self.models.generators if self.models else ()


def compose(settings: Settings, *, serving: bool = False, draws: bool = False) -> "Engine":
    """Everything on `settings.data_dir`, not started; the caller holds the writer lease.

    `serving` and `draws` say what is observed: see `observe`.
    Raises Misconfigured, LibraryUnavailable, AuditUnavailable.
    """
    from foliotrace_server.engine import Engine  # brings llama-agents, which other hosts lack

    parts = compose_parts(settings, serving=serving, draws=draws)
    return Engine(settings, parts, settings.data_dir)


def compose_parts(settings: Settings, *, serving: bool = False, draws: bool = False) -> Parts:
    """The adapters and workflows alone, for another host than ours. See `compose`."""
    folder = settings.data_dir
    folder.mkdir(parents=True, exist_ok=True)
    own = hosted(settings.workflows)
    with ExitStack() as undo:
        observability = observe(settings.telemetry, serving=serving, draws=draws)
        undo.callback(observability.stop)
        stores = _stores(settings, folder, observability, undo)
        outside = _outside(settings, stores, folder)
        ingest = _ingest(settings, stores, outside)
        query = _query(settings, stores, outside)
        extract = _extract(settings, ingest, outside)
        undo.pop_all()  # from here on `closing` does it
    return Parts(
        ingest=ingest,
        runs=stores.runs,
        query=lambda: QueryWorkflow(query),
        durable={"ingest": IngestWorkflow(ingest), "extract": ExtractWorkflow(extract), **own},
        capabilities=Readiness(query),
        check_schema=resolve,
        check_extract_path=extract.rungs_on,
        background=(outside.cloud.run,) if outside.cloud else (),
        webhook=outside.cloud.webhook if outside.cloud and outside.cloud.hears else None,
        closing=(lambda: _close(stores, outside), observability.close),
        seal=lambda: _seal(stores, observability),
        observability=observability,
    )


async def _close(stores: Stores, outside: Outside) -> None:
    """Last what others write to."""
    await stores.workers.close()
    for opened in (outside.vectors, outside.cloud, outside.models, stores.stale, stores.runs):
        if opened is not None:
            await opened.close()
    await stores.shared.close()
    stores.keyword.close()
    stores.library.close()
    await stores.audit.close()


def _seal(stores: Stores, observability: Observability) -> None:
    """What must not be left open when the process ends; the rest bears that by design."""
    stores.audit.seal()
    observability.stop()


def hosted(named: Mapping[str, str]) -> dict[str, Workflow]:
    """The user's own workflows. Raises Misconfigured, naming the one that cannot be hosted."""
    found: dict[str, Workflow] = {}
    for name, place in named.items():
        if name in _OWN:
            raise Misconfigured(f"workflows.{name} is the name of a workflow of foliotrace")
        found[name] = plugged(f"workflows.{name}", place, Workflow)
    return found


def _stores(
    settings: Settings, folder: Path, observability: Observability, undo: ExitStack
) -> Stores:
    """What must be shut again if the rest cannot be composed goes onto `undo`."""
    library, clock = SqliteLibrary.open(folder), SystemClock()
    undo.callback(library.close)
    shared = SharedStores(settings, clock=clock)
    audit, hash_query = open_audit(settings, observability.telemetry, current_trace_id)
    undo.callback(audit.seal)
    return Stores(
        library=library,
        jobs=SqliteJobs(library),
        runs=SqliteRuns(library),
        blobs=FolderBlobs(folder, sniff),
        keyword=KeywordIndex(folder, library),
        shared=shared,
        cache=shared.answer_cache(),
        stale=SqliteStaleAnswers(folder),
        workers=WorkerPool(size=settings.ingest.parser_processes),
        clock=clock,
        audit=audit,
        hash_query=hash_query,
    )


def _outside(settings: Settings, stores: Stores, folder: Path) -> Outside:
    """Vendors' libraries are imported only when a setting names them."""
    guards = GuardFactory(settings.resilience, clock=stores.clock)
    models, cloud, vectors = None, None, None
    if settings.llm or settings.llm_fallbacks or settings.embedding:
        from foliotrace_server.composing.models import Models

        models = Models(settings, clock=stores.clock, guards=guards, ledger=stores.shared.ledger)
        if models.embedder is not None:
            from foliotrace.adapters.local.vectors.index import VectorIndex

            vectors = VectorIndex(folder, stores.library, models.embedder, clock=stores.clock)
    if settings.llamacloud.in_use:
        from foliotrace_server.composing.cloud import Around, Cloud

        around = Around(
            library=stores.library, blobs=stores.blobs, clock=stores.clock, guards=guards
        )
        cloud = Cloud(settings, around)
    retriever = _own_retriever(settings, stores.library, guards)
    return Outside(models=models, cloud=cloud, vectors=vectors, retriever=retriever)


def _own_retriever(
    settings: Settings, library: SqliteLibrary, guards: GuardFactory
) -> RetrievalPath | None:
    """The LlamaIndex retriever that the settings name, as the first path to passages."""
    place = settings.query.retriever
    if place is None:
        return None
    from llama_index.core.base.base_retriever import BaseRetriever

    from foliotrace.adapters.llamaindex.retriever import LlamaIndexRetriever

    own = plugged("query.retriever", place, BaseRetriever)  # type: ignore[type-abstract]
    path = LlamaIndexRetriever(own, library)
    limit_s = settings.query.retrieval_deadline_s
    guard = guards.make("retriever", limit_s=limit_s, has_lower_rung=True)
    return RetrievalPath(RetrievalMode.CUSTOM, ResilientRetriever(path, guard))


def _ingest(settings: Settings, stores: Stores, outside: Outside) -> IngestServices:
    given, cloud = settings.ingest, outside.cloud
    tessdata = str(given.tessdata) if given.tessdata else find_tessdata()
    local = local_parsers(stores.workers, stores.clock, options=ReadingOptions(tessdata=tessdata))
    orders = cloud.parser_chains(local) if cloud else {}
    indexes: list[IndexWriter] = [stores.keyword]
    answers: list[DocumentHook] = [stores.stale.forget_document]
    if stores.cache is not None:
        answers.append(stores.cache.forget_document)
    if outside.vectors is not None:
        indexes.append(outside.vectors)
    if cloud is not None:
        indexes += [cloud.following] if cloud.following else []
    return IngestServices(
        library=stores.library,
        blobs=stores.blobs,
        jobs=stores.jobs,
        parser=orders.get(settings.llamacloud.parsing, ParserChain(local)),
        parsers=orders,
        indexes=indexes,
        audit=stores.audit,
        clock=stores.clock,
        identify=caller,
        trace=sampled_trace_id,
        on_deleted=(cloud.forget,) if cloud is not None else (),
        evict_answers=answers,
        settings=given,
    )


def _query(settings: Settings, stores: Stores, outside: Outside) -> QueryServices:
    headers = DocumentIdentities(stores.library, stores.keyword)
    paths = [RetrievalPath(RetrievalMode.KEYWORD, RoutedRetriever(stores.keyword, headers))]
    if outside.vectors is not None:
        both = HybridRetriever(stores.keyword, outside.vectors)
        paths.insert(0, RetrievalPath(RetrievalMode.HYBRID, RoutedRetriever(both, headers)))
    own = () if outside.retriever is None else (outside.retriever,)
    orders = outside.cloud.path_orders(paths) if outside.cloud else {}
    by_mode = {path: (*own, *order) for path, order in orders.items() if path is not _CLOUD}
    if orders:
        by_mode[_CLOUD] = tuple(orders[_CLOUD])
    configured = orders.get(settings.llamacloud.index, paths)
    return QueryServices(
        library=stores.library,
        vocabulary=stores.keyword,
        paths=(*own, *configured),
        paths_by_mode=by_mode,
        generators=outside.generators,
        cache=stores.cache,
        embedder=_embedder_of_the_cache(settings, outside),
        stale=stores.stale,
        audit=stores.audit,
        runs=stores.runs,
        clock=stores.clock,
        identify=caller,
        hash_query=stores.hash_query,
        current_trace=sampled_trace_id,
        current_span=sampled_traceparent,
        settings=settings.query,
        budget=settings.budget,
        recording=settings.runs,
        code_version=_code_version(),
    )


def _embedder_of_the_cache(settings: Settings, outside: Outside) -> Embedder | None:
    """What the semantic cache compares vectors with; None when it is off. Raises Misconfigured."""
    if not settings.query.semantic_cache:
        return None
    embedder = outside.models.embedder if outside.models else None
    if embedder is None or not settings.query.cache_ttl_s:
        raise Misconfigured(
            "query.semantic_cache is on without an embedding model or without a cache",
            hint="Set embedding.provider and embedding.model, and query.cache_ttl_s above 0.",
        )
    return embedder


def _extract(settings: Settings, ingest: IngestServices, outside: Outside) -> ExtractServices:
    """On the same stores; the cloud first, then the language models, rules last."""
    rungs = [Rung(method=ExtractionMethod.RULES, extractor=RulesExtractor(ingest.clock))]
    if outside.generators:
        from foliotrace.adapters.llamaindex.extractor import LLMExtractor

        cap_usd = settings.budget.max_cost_per_query_usd
        by_llm = [
            MeteredExtractor(LLMExtractor(generator), cap_usd=cap_usd)
            for generator in outside.generators
        ]
        rungs = [*(Rung(method=ExtractionMethod.LLM, extractor=llm) for llm in by_llm), *rungs]
    window_pages, by_mode = EXTRACTION_WINDOW_PAGES, {}
    first = outside.cloud.extract_rung() if outside.cloud else None
    if outside.cloud is not None and first is not None:
        by_mode = {
            ExecutionMode.LOCAL: rungs,
            _CLOUD: [first],
            ExecutionMode.CLOUD_THEN_LOCAL: [first, *rungs],
        }
        rungs = by_mode[settings.llamacloud.extraction]
        window_pages = settings.llamacloud.extract_window_pages
    return ExtractServices(
        library=ingest.library,
        blobs=ingest.blobs,
        jobs=ingest.jobs,
        parser=ingest.parser,
        rungs=rungs,
        rungs_by_mode=by_mode,
        local_parser=ingest.parsers.get(ExecutionMode.LOCAL),
        audit=ingest.audit,
        clock=ingest.clock,
        identify=ingest.identify,
        trace=ingest.trace,
        window_pages=window_pages,
    )


def _code_version() -> str:
    """Of the installed package; a host that only has the sources on its path says so."""
    try:
        return version("foliotrace")
    except PackageNotFoundError:
        return "sources"
