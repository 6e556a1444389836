"""One application around the engine: the REST API and the llama-agents protocol."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.routing import Route, Router

from foliotrace_server.engine import Engine
from foliotrace_server.host.in_memory_host import InMemoryHost
from foliotrace_server.host.protocol_app import ProtocolApp
from foliotrace_server.http_guard import ConcurrencyLimit, HttpGuard, is_loopback
from foliotrace_server.observing.requests import RequestTelemetry
from foliotrace_server.openapi import openapi
from foliotrace_server.openapi.docs_page import docs_page
from foliotrace_server.routes.documents import Documents
from foliotrace_server.routes.jobs import JobRoutes
from foliotrace_server.routes.operations import Operations
from foliotrace_server.routes.queries import Queries
from foliotrace_server.routes.webhooks import Webhooks

WEBHOOK = "/v1/webhooks/llamacloud"


def build_app(engine: Engine) -> HttpGuard | RequestTelemetry:
    """The application; its lifespan starts and stops `engine`."""
    server = engine.settings.server
    queries = ConcurrencyLimit(
        server.max_concurrent_queries, waiting=server.max_waiting_queries, retry_after_s=1.0
    )
    hot = InMemoryHost(
        hosted={"query": engine.parts.query()},
        direct={"query": engine.query},
        max_running=server.max_concurrent_queries + server.max_waiting_queries,
    )
    front = ProtocolApp(hot, engine.durable, queries=queries, max_body_bytes=server.max_body_bytes)

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        async with hot.server.contextmanager():
            await engine.start()
            try:
                yield
            finally:
                await engine.stop()

    router = Router(
        _routes(engine, queries, hot), redirect_slashes=False, default=front, lifespan=lifespan
    )
    local_only = is_loopback(server.host) and not server.allow_remote
    edge = HttpGuard(
        router,
        cors_origins=server.cors_origins,
        local_only=local_only,
        slow_body_s=server.slow_body_s,
        lifespan=lifespan,
    )
    observing = engine.parts.observing
    return edge if observing is None else RequestTelemetry(edge, observing, lifespan)


def _routes(engine: Engine, queries: ConcurrencyLimit, hot: InMemoryHost) -> list[Route]:
    ask = Queries(engine, queries)
    documents, jobs = Documents(engine), JobRoutes(engine)
    operations = Operations(
        engine,
        openapi=lambda: openapi({**hot.workflows, **engine.durable.workflows}),
        docs_page=docs_page,
    )
    hear = engine.parts.webhook
    heard = [Route(WEBHOOK, Webhooks(hear).llamacloud, methods=["POST"])] if hear else []
    return [
        *heard,
        Route("/v1/query", ask.ask, methods=["POST"]),
        Route("/v1/documents", documents.upload, methods=["POST"]),
        Route("/v1/documents", documents.listing, methods=["GET"]),
        Route("/v1/documents/{id}", documents.one, methods=["GET"]),
        Route("/v1/documents/{id}", documents.delete, methods=["DELETE"]),
        Route("/v1/documents/{id}/pages/{number}", documents.page, methods=["GET"]),
        Route("/v1/extractions", jobs.extract, methods=["POST"]),
        Route("/v1/extractions/{id}", jobs.extraction, methods=["GET"]),
        Route("/v1/jobs", jobs.listing, methods=["GET"]),
        Route("/v1/jobs/{id}", jobs.one, methods=["GET"]),
        Route("/v1/jobs/{id}/events", jobs.events, methods=["GET"]),
        Route("/v1/jobs/{id}/cancel", jobs.cancel, methods=["POST"]),
        Route("/v1/runs/{id}", jobs.run, methods=["GET"]),
        Route("/healthz", operations.healthz, methods=["GET"]),
        Route("/readyz", operations.readyz, methods=["GET"]),
        Route("/metrics", operations.metrics, methods=["GET"]),
        Route("/openapi.json", operations.openapi, methods=["GET"]),
        Route("/docs", operations.docs, methods=["GET"]),
    ]
