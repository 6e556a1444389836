"""The composition root: settings become the stack of a data folder, its workflows, an engine."""

import atexit
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from workflows import Workflow

from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace.adapters.local.files.left_behind import refuse_lost_library
from foliotrace.adapters.local.prices import PriceTable
from foliotrace.errors import Misconfigured
from foliotrace.extract.schema import resolve
from foliotrace.extract.workflow import ExtractWorkflow
from foliotrace.ingest.workflow import IngestWorkflow
from foliotrace.lexicon import load_lexicon
from foliotrace.query.workflow import QueryWorkflow
from foliotrace.stack import DataFolder, Host, Stack
from foliotrace_loop.store import LoopStore
from foliotrace_server.assembly import Assembly, Readiness
from foliotrace_server.external.own_parts import OwnParts, load_object
from foliotrace_server.external.services import SharedStores, connect
from foliotrace_server.folder.problems import (
    MADE_AFTER_THE_LIBRARY,
    FolderProblems,
    naming_a_full_disk,
)
from foliotrace_server.http.access_audit import CallerAudit
from foliotrace_server.http.http_guard import is_loopback
from foliotrace_server.http.identity import caller
from foliotrace_server.http.quotas import Quotas
from foliotrace_server.loop.erasure import LoopErasure
from foliotrace_server.loop.open_releases import open_releases
from foliotrace_server.observing.audit import open_audit
from foliotrace_server.observing.telemetry import observe
from foliotrace_server.observing.trace_context import (
    current_trace_id,
    sampled_trace_id,
    sampled_traceparent,
)
from foliotrace_server.settings import Settings, load_settings

if TYPE_CHECKING:
    from foliotrace_server.engine import Engine

_OPEN_SPANS: Final = "open-spans.jsonl"
_JOURNEYS: Final = ("query", "ingest", "extract")


def compose(settings: Settings, *, serving: bool = False, draws: bool = False) -> "Engine":
    """Everything on `settings.data_dir`, not started; the caller holds the writer lease.

    `serving` and `draws` say what is observed: see `observe`.
    Raises Misconfigured, LibraryUnavailable, AuditUnavailable.
    """
    from foliotrace_server.engine import Engine  # brings llama-agents, which other hosts lack

    with naming_a_full_disk(settings.data_dir):
        return Engine(settings, assemble(settings, serving=serving, draws=draws), settings.data_dir)


def assemble_elsewhere(bound_to: str, *, serving: bool = False) -> tuple[Assembly, WriterLease]:
    """What another host than ours needs: the settings are read here, the end is at exit.

    Such a host checks no API key, so an address that others reach (`bound_to`) has to be allowed.
    Raises Misconfigured, Conflict `data_folder_locked`, LibraryUnavailable, AuditUnavailable.
    """
    settings = load_settings()
    if not (is_loopback(bound_to) or settings.server.allow_remote):
        raise Misconfigured(
            f"{bound_to} is reachable from other machines, and this host checks no API key",
            hint="Bind 127.0.0.1, use `foliotrace serve`, or set FOLIOTRACE_SERVER__ALLOW_REMOTE="
            "true behind a proxy that authenticates.",
        )
    lease = WriterLease.acquire(settings.data_dir)
    assembly = assemble(settings, serving=serving)
    atexit.register(assembly.seal)  # such a host closes nothing that it hosts
    return assembly, lease


def assemble(settings: Settings, *, serving: bool = False, draws: bool = False) -> Assembly:
    """The stack and its workflows alone, for another host than ours. See `compose`."""
    own = own_workflows(settings.workflows)
    with ExitStack() as undo:  # what must be closed again if a later line raises
        observability = observe(
            settings.telemetry,
            serving=serving,
            draws=draws,
            any_sixteen_digits=settings.query.redaction.any_sixteen_digits,
            journal=settings.data_dir / _OPEN_SPANS if serving else None,
        )
        undo.callback(observability.stop)
        refuse_lost_library(settings.data_dir, also=MADE_AFTER_THE_LIBRARY)
        folder = DataFolder.open(
            settings.data_dir, settings.ingest, settings.runs, lexicon=settings.query.lexicon
        )
        undo.callback(folder.library.close)
        audit, hash_query = open_audit(settings, observability.telemetry, current_trace_id)
        undo.callback(audit.seal)
        observability.share_tokens(settings.telemetry, hash_query)
        stores = SharedStores(settings, clock=folder.clock)
        quotas = Quotas.of(settings, spent_today=stores.spent_today)
        host = Host(
            audit=CallerAudit(audit, quotas),
            identify=caller,
            hash_query=hash_query,
            current_trace=sampled_trace_id,
            current_span=sampled_traceparent,
        )
        parts = OwnParts()
        prices = PriceTable(settings.own_prices)
        stack = Stack(folder, settings, host, connect(settings, folder, parts, prices))
        query, ingest, extract = stack.query, stack.ingest, stack.extract
        loop_store = LoopStore(settings.data_dir / "loop.db")
        releases = open_releases(settings, stack, host, parts, prices, loop_store)
        problems = FolderProblems.examine(settings, folder) if serving else None
        undo.pop_all()

    def reload(changed: Settings) -> None:
        load_lexicon.cache_clear()
        folder.keyword.use_lexicon(load_lexicon(settings.query.lexicon))
        prices.replace(changed.own_prices)

    def seal() -> None:
        audit.seal()
        observability.stop()

    cloud = stack.external.cloud
    models = (settings.llm, *settings.llm_fallbacks)
    paid = any(each is not None and not settings.costs_nothing(each) for each in models)
    ledger = partial(stores.spent_today, "default") if paid else None
    erasure = LoopErasure(folder.runs, loop_store, settings.loop.datasets)

    async def close_loop_store() -> None:
        loop_store.close()

    return Assembly(
        ingest=ingest,
        runs=folder.runs,
        query=lambda: QueryWorkflow(query, releases=releases.router),
        durable={"ingest": IngestWorkflow(ingest), "extract": ExtractWorkflow(extract), **own},
        capabilities=Readiness(query, parts, library=folder.library, ledger=ledger),
        problems=problems or (lambda: ()),
        check_schema=resolve,
        check_extract_path=extract.rungs_on,
        background=(
            stack.read_identities,
            *((cloud.run,) if cloud else ()),
            *releases.background,
            *(_copying(settings) if serving else ()),
        ),
        managed_index=cloud.index if cloud else None,
        webhook=cloud.webhook if cloud and cloud.expects_webhooks else None,
        audited=audit,
        on_rated=releases.on_rated,
        erasers={**erasure.erasers, "runs": folder.runs.erase},
        closing=(
            releases.close,
            close_loop_store,
            stack.close,
            audit.close,
            observability.close,
            stores.close,
            quotas.close,
        ),
        seal=seal,
        observability=observability,
        quotas=quotas,
        reload=reload,
    )


def _copying(settings: Settings) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
    """What copies to LangSmith; nothing without a key."""
    if settings.langsmith_api_key is None:
        return ()
    from foliotrace_server.loop.langsmith_copy import langsmith_copy  # brings urllib3

    copy = langsmith_copy(settings)
    return (copy.run,) if copy is not None else ()


def own_workflows(names: Mapping[str, str]) -> dict[str, Workflow]:
    """The user's workflows by name. Raises Misconfigured, naming the one that cannot be hosted."""
    own: dict[str, Workflow] = {}
    for name, reference in names.items():
        if name in _JOURNEYS:
            raise Misconfigured(f"workflows.{name} is the name of a workflow of foliotrace")
        own[name] = load_object(f"workflows.{name}", reference, Workflow)
    return own
