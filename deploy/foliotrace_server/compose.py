"""The composition root: settings become the stack of a data folder, its workflows, an engine."""

import atexit
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
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
from foliotrace_server.loop.open_releases import OpenReleases, open_releases
from foliotrace_server.observing.audit import OpenedAuditLog, open_audit
from foliotrace_server.observing.telemetry import Observability, observe
from foliotrace_server.observing.trace_context import (
    current_trace_id,
    sampled_trace_id,
    sampled_traceparent,
)
from foliotrace_server.settings import Settings, load_settings

if TYPE_CHECKING:
    from foliotrace_server.engine import Engine

_OPEN_SPANS: Final = "open-spans.jsonl"
_BUILT_IN_WORKFLOWS: Final = ("query", "ingest", "extract")


def compose(
    settings: Settings, *, serving: bool = False, keep_recent_traces: bool = False
) -> "Engine":
    """Everything on `settings.data_dir`, not started; the caller holds the writer lease.

    `serving` and `keep_recent_traces` say what is observed: see `observe`.
    Raises Misconfigured, LibraryUnavailable, AuditUnavailable.
    """
    from foliotrace_server.engine import Engine  # brings llama-agents, which other hosts lack

    with naming_a_full_disk(settings.data_dir):
        assembly = assemble(settings, serving=serving, keep_recent_traces=keep_recent_traces)
        return Engine(settings, assembly, settings.data_dir)


def assemble_for_other_host(
    bound_to: str, *, serving: bool = False
) -> tuple[Assembly, WriterLease]:
    """The workflows for llamactl or llama-deploy: reads the settings, closes the log at exit.

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
    atexit.register(assembly.close_logs)  # such a host closes nothing that it hosts
    return assembly, lease


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """What was opened on one data folder, in this order."""

    settings: Settings
    observability: Observability
    folder: DataFolder
    audit: OpenedAuditLog
    stores: SharedStores
    quotas: Quotas
    own_parts: OwnParts
    prices: PriceTable
    stack: Stack
    loop_store: LoopStore
    releases: OpenReleases

    def readiness(self) -> Readiness:
        """What `/readyz` reports."""
        settings = self.settings
        models = (settings.llm, *settings.llm_fallbacks)
        paid = any(each is not None and not settings.costs_nothing(each) for each in models)
        ledger = partial(self.stores.spent_today, "default") if paid else None
        return Readiness(
            self.stack.query, self.own_parts, library=self.folder.library, ledger=ledger
        )

    def reload(self, changed: Settings) -> None:
        """Read the lexicon's files again, and take the prices of the changed settings."""
        load_lexicon.cache_clear()
        self.folder.keyword.use_lexicon(load_lexicon(self.settings.query.lexicon))
        self.prices.replace(changed.own_prices)

    def close_logs(self) -> None:
        """Sign the end of the audit log and export the last spans; blocks."""
        self.audit.close_blocking()
        self.observability.stop()

    async def close_loop_store(self) -> None:
        """Close the file of ratings and releases."""
        self.loop_store.close()


def assemble(
    settings: Settings, *, serving: bool = False, keep_recent_traces: bool = False
) -> Assembly:
    """The services and workflows alone, for another host than ours. See `compose`."""
    own = own_workflows(settings.workflows)
    with ExitStack() as undo:
        opened = _open(settings, undo, serving=serving, keep_recent_traces=keep_recent_traces)
        problems = FolderProblems.examine(settings, opened.folder) if serving else None
        undo.pop_all()
    stack, releases, runs = opened.stack, opened.releases, opened.folder.runs
    cloud = stack.external.cloud
    durable = {"ingest": IngestWorkflow(stack.ingest), "extract": ExtractWorkflow(stack.extract)}
    erasure = LoopErasure(runs, opened.loop_store, settings.loop.datasets)
    return Assembly(
        ingest=stack.ingest,
        runs=runs,
        query=lambda: QueryWorkflow(stack.query, releases=releases.router),
        durable={**durable, **own},
        capabilities=opened.readiness(),
        problems=problems or (lambda: ()),
        check_schema=resolve,
        check_extract_path=stack.extract.rungs_on,
        background=(
            stack.read_identities,
            *((cloud.run,) if cloud else ()),
            *releases.background,
            *(_langsmith_tasks(settings) if serving else ()),
        ),
        managed_index=cloud.index if cloud else None,
        webhook=cloud.webhook if cloud and cloud.expects_webhooks else None,
        audited=opened.audit,
        on_rated=releases.on_rated,
        erasers={**erasure.erasers, "runs": runs.erase},
        closing=(
            releases.close,
            opened.close_loop_store,
            stack.close,
            opened.audit.close,
            opened.observability.close,
            opened.stores.close,
            opened.quotas.close,
        ),
        close_logs=opened.close_logs,
        observability=opened.observability,
        quotas=opened.quotas,
        reload=opened.reload,
    )


def _open(
    settings: Settings, undo: ExitStack, *, serving: bool, keep_recent_traces: bool
) -> _Opened:
    """Open the stores of the data folder and build the journeys on them.

    `undo` learns what to close again if a later step fails.
    """
    observability = observe(
        settings.telemetry,
        serving=serving,
        keep_recent_traces=keep_recent_traces,
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
    undo.callback(audit.close_blocking)
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
    own_parts, prices = OwnParts(), PriceTable(settings.own_prices)
    stack = Stack(folder, settings, host, connect(settings, folder, own_parts, prices))
    loop_store = LoopStore(settings.data_dir / "loop.db")
    return _Opened(
        settings=settings,
        observability=observability,
        folder=folder,
        audit=audit,
        stores=stores,
        quotas=quotas,
        own_parts=own_parts,
        prices=prices,
        stack=stack,
        loop_store=loop_store,
        releases=open_releases(settings, stack, host, own_parts, prices, loop_store),
    )


def _langsmith_tasks(settings: Settings) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
    """The background task that copies runs to LangSmith; none without a key."""
    if settings.langsmith_api_key is None:
        return ()
    from foliotrace_server.loop.langsmith_copy import langsmith_copy  # brings urllib3

    copy = langsmith_copy(settings)
    return (copy.run,) if copy is not None else ()


def own_workflows(names: Mapping[str, str]) -> dict[str, Workflow]:
    """The user's workflows by name. Raises Misconfigured, naming the one that cannot be hosted."""
    own: dict[str, Workflow] = {}
    for name, reference in names.items():
        if name in _BUILT_IN_WORKFLOWS:
            raise Misconfigured(f"workflows.{name} is the name of a workflow of foliotrace")
        own[name] = load_object(f"workflows.{name}", reference, Workflow)
    return own
