"""Builds the ASGI application: REST API and llama-agents protocol around an engine."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.routing import Route, Router

from foliotrace_server.engine import Engine
from foliotrace_server.host.in_memory_host import InMemoryHost
from foliotrace_server.host.protocol.app import ProtocolApp
from foliotrace_server.http.access_audit import RefusalAudit
from foliotrace_server.http.http_guard import HttpGuard, is_loopback
from foliotrace_server.http.identity import Authentication
from foliotrace_server.http.overload import ConcurrencyLimit
from foliotrace_server.observing.requests import RequestTelemetry
from foliotrace_server.openapi.document import openapi_document
from foliotrace_server.routes.documents import Documents
from foliotrace_server.routes.endpoint import routes
from foliotrace_server.routes.erasures import Erasures
from foliotrace_server.routes.jobs import Jobs
from foliotrace_server.routes.managed_index import ManagedIndexes
from foliotrace_server.routes.operations import Operations, Webhooks
from foliotrace_server.routes.queries import Queries
from foliotrace_server.routes.queues import AnnotationQueues
from foliotrace_server.routes.runs import RunRoutes

WEBHOOK = "/v1/webhooks/llamacloud"


def build_app(engine: Engine, authentication: Authentication | None = None) -> HttpGuard:
    """Build the application; its lifespan starts and stops `engine`.

    `authentication` defaults to what the settings and the keys in the data folder ask for.
    """
    authentication = authentication or Authentication.of(engine.settings)
    server = engine.settings.server
    queries = ConcurrencyLimit(
        server.max_concurrent_queries,
        waiting=server.max_waiting_queries,
        retry_after_s=1.0,
        max_wait_s=server.max_query_wait_s,
    )
    in_memory = InMemoryHost(
        hosted={"query": engine.assembly.query()},
        direct={"query": engine.query},
        max_running=server.max_concurrent_queries + server.max_waiting_queries,
    )
    protocol = ProtocolApp(
        in_memory,
        engine.durable,
        jobs=engine.jobs,
        queries=queries,
        uploads=ConcurrencyLimit(
            server.max_concurrent_uploads, waiting=server.max_waiting_queries, retry_after_s=2.0
        ),
        max_body_bytes=server.max_body_bytes,
        max_upload_bytes=server.max_body_bytes + 4 * engine.settings.ingest.max_inline_bytes // 3,
    )

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        async with in_memory.server.contextmanager():
            await engine.start()
            try:
                yield
            finally:
                await engine.stop()

    router = Router(
        _routes(engine, queries, in_memory, authentication),
        redirect_slashes=False,
        default=protocol,
        lifespan=lifespan,
    )
    observability = engine.assembly.observability
    return HttpGuard(
        router,
        cors_origins=server.cors_origins,
        local_only=is_loopback(server.host) and not server.allow_remote,
        authentication=authentication,
        quotas=engine.quotas,
        refusals=RefusalAudit(engine.assembly.ingest.audit, reads=engine.settings.audit.reads),
        slow_body_s=server.slow_body_s,
        telemetry=RequestTelemetry(observability) if observability is not None else None,
        lifespan=lifespan,
    )


def _routes(
    engine: Engine,
    queries: ConcurrencyLimit,
    in_memory: InMemoryHost,
    authentication: Authentication,
) -> list[Route]:
    def openapi() -> Mapping[str, Any]:
        workflows = (*in_memory.workflows, *engine.durable.workflows)
        return openapi_document(workflows, keys_required=authentication.required)

    declared = routes(
        Queries(engine, queries),
        Documents(engine),
        Jobs(engine),
        RunRoutes(engine),
        AnnotationQueues(engine),
        Erasures(engine),
        ManagedIndexes(engine),
        Operations(engine, openapi),
    )
    receive = engine.assembly.webhook
    webhooks = [Route(WEBHOOK, Webhooks(receive).llamacloud, methods=["POST"])] if receive else []
    return [*webhooks, *declared]
