"""The composition root: settings become adapters, adapters become workflows, both an engine."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from workflows import Workflow

from foliotrace.adapters.local.blobs import FolderBlobs
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.filetype import sniff
from foliotrace.adapters.local.jobs import SqliteJobs
from foliotrace.adapters.local.keyword import KeywordIndex
from foliotrace.adapters.local.library import SqliteLibrary
from foliotrace.adapters.local.parsers import local_parsers
from foliotrace.adapters.local.readers.contract import ReadingOptions
from foliotrace.adapters.local.runs import SqliteRuns
from foliotrace.adapters.local.tessdata import find_tessdata
from foliotrace.adapters.local.workers import Workers
from foliotrace.errors import Misconfigured
from foliotrace.ingest.services import IngestLimits, IngestServices
from foliotrace.ingest.workflow import IngestWorkflow
from foliotrace.model import RetrievalMode
from foliotrace.parse import ParseOrder
from foliotrace.ports import AuditLog, HashQuery
from foliotrace.query import retrieve
from foliotrace.query.routing import Headers, RoutedRetriever
from foliotrace.query.workflow import QueryServices, QuerySettings, QueryWorkflow
from foliotrace_server.auditing import ChainedAudit, NoAudit, open_audit, open_hashing
from foliotrace_server.engine import Engine, Parts
from foliotrace_server.identity import caller
from foliotrace_server.readiness import Readiness
from foliotrace_server.settings import Settings
from foliotrace_server.tracing import current_trace

AUDIT_FOLDER = "audit"
KEYS_FOLDER = "audit-keys"
_OWN = ("query", "ingest", "extract")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The adapters of one data folder that both journeys use."""

    library: SqliteLibrary
    jobs: SqliteJobs
    runs: SqliteRuns
    blobs: FolderBlobs
    keyword: KeywordIndex
    workers: Workers
    clock: SystemClock


def compose(settings: Settings) -> Engine:
    """Everything on `settings.data_dir`, not started; the caller holds the writer lease.

    Raises Misconfigured, LibraryUnavailable, AuditUnavailable.
    """
    folder = settings.data_dir
    folder.mkdir(parents=True, exist_ok=True)
    own = hosted(settings.workflows)
    stores = _stores(settings, folder)
    audit, hash_query = _audit(settings, folder)
    ingest = _ingest(settings, stores, audit)
    query = _query(settings, stores, audit, hash_query)

    async def close() -> None:
        await stores.workers.close()
        await stores.runs.close()
        stores.keyword.close()
        stores.library.close()
        if isinstance(audit, ChainedAudit):
            await audit.close()

    parts = Parts(
        ingest=ingest,
        runs=stores.runs,
        query=lambda: QueryWorkflow(query),
        durable={"ingest": IngestWorkflow(ingest), **own},
        capabilities=Readiness(query),
        check_schema=lambda schema: None,
        closing=(close,),
    )
    return Engine(settings, parts, folder)


def hosted(named: Mapping[str, str]) -> dict[str, Workflow]:
    """The user's own workflows. Raises Misconfigured, naming the one that cannot be hosted."""
    found: dict[str, Workflow] = {}
    for name, place in named.items():
        if name in _OWN:
            raise Misconfigured(f"workflows.{name} is the name of a workflow of foliotrace")
        found[name] = imported(f"workflows.{name}", place)
    return found


def imported(setting: str, place: str) -> Workflow:
    """The object `pkg.mod:object`. Raises Misconfigured."""
    module, _, name = place.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        value = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise Misconfigured(
            f"{setting} names {place}, which cannot be imported", hint="Use pkg.mod:object."
        ) from error
    if not isinstance(value, Workflow):
        raise Misconfigured(f"{setting} names {place}, which is no Workflow object")
    return value


def _stores(settings: Settings, folder: Path) -> Stores:
    library = SqliteLibrary.open(folder)
    return Stores(
        library=library,
        jobs=SqliteJobs(library),
        runs=SqliteRuns(library),
        blobs=FolderBlobs(folder, sniff),
        keyword=KeywordIndex(folder, library),
        workers=Workers(size=settings.ingest.parser_processes),
        clock=SystemClock(),
    )


def _audit(settings: Settings, folder: Path) -> tuple[AuditLog, HashQuery]:
    """The audit log, and the keyed hash that queries are named by with or without it."""
    keys = folder / KEYS_FOLDER
    if not settings.audit.enabled:
        return NoAudit(), open_hashing(keys)
    return open_audit(
        settings.audit.folder or folder / AUDIT_FOLDER,
        keys,
        fail_closed=settings.audit.fail_closed,
        current_trace=current_trace,
    )


def _ingest(settings: Settings, stores: Stores, audit: AuditLog) -> IngestServices:
    given = settings.ingest
    tessdata = str(given.tessdata) if given.tessdata else find_tessdata()
    parsers = local_parsers(stores.workers, stores.clock, options=ReadingOptions(tessdata=tessdata))
    return IngestServices(
        library=stores.library,
        blobs=stores.blobs,
        jobs=stores.jobs,
        parser=ParseOrder(parsers),
        indexes=(stores.keyword,),
        audit=audit,
        clock=stores.clock,
        identify=caller,
        trace=current_trace,
        limits=IngestLimits(
            upload_bytes=given.max_file_bytes,
            window_pages=given.window_pages,
            window_s=given.parse_deadline_s,
        ),
    )


def _query(
    settings: Settings, stores: Stores, audit: AuditLog, hash_query: HashQuery
) -> QueryServices:
    given = settings.query
    routed = RoutedRetriever(stores.keyword, Headers(stores.library, stores.keyword))
    return QueryServices(
        library=stores.library,
        vocabulary=stores.keyword,
        paths=(retrieve.Path(RetrievalMode.KEYWORD, routed),),
        audit=audit,
        runs=stores.runs,
        clock=stores.clock,
        identify=caller,
        hash_query=hash_query,
        current_trace=current_trace,
        settings=QuerySettings(
            deadline_s=given.deadline_s,
            retrieve_s=given.retrieval_deadline_s,
            cache_ttl_s=given.cache_ttl_s,
            keep_content=settings.runs.keep_content,
            code_version=version("foliotrace"),
        ),
    )
