"""`/healthz`, `/readyz`, `/metrics`, `/openapi.json`, `/docs` and the webhook of LlamaCloud."""

from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from foliotrace.adapters.llamacloud.webhooks import SIGNATURE_HEADER
from foliotrace.model import RetrievalMode
from foliotrace_otel import prometheus_text
from foliotrace_server.bodies import HealthBody, ReadyBody, to_json
from foliotrace_server.engine import Engine
from foliotrace_server.http.request_body import read_body
from foliotrace_server.openapi.docs_page import docs_page
from foliotrace_server.routes.endpoint import endpoint

_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_MAX_WEBHOOK_BYTES = 64 * 1024


class Operations:
    """Health, metrics and the API's description."""

    def __init__(self, engine: Engine, openapi: Callable[[], Mapping[str, Any]]) -> None:
        self._engine = engine
        self._openapi = openapi
        self._version = version("foliotrace")

    @endpoint("GET", "/healthz", tag="operations")
    async def health(self, request: Request) -> HealthBody:
        """Check that the process answers."""
        return HealthBody(status="healthy", version=self._version)

    @endpoint(
        "GET",
        "/readyz",
        tag="operations",
        response=ReadyBody,
        also={503: "The server is starting or stopping, or can answer no question."},
    )
    async def readiness(self, request: Request) -> Response:
        """Check which requests can be served, and at which degradation level."""
        assembly = self._engine.assembly
        capabilities = await assembly.capabilities()
        answers = all(each.reachable != RetrievalMode.NONE for each in capabilities.values())
        ready = self._engine.ready and answers
        body = ReadyBody(
            ready=ready, capabilities=capabilities, problems=tuple(assembly.problems())
        )
        return Response(
            to_json(ReadyBody, body),
            status_code=200 if ready else 503,
            media_type="application/json",
        )

    @endpoint("GET", "/metrics", tag="operations", media_type="text/plain")
    async def metrics(self, request: Request) -> Response:
        """Read the metrics in Prometheus text format."""
        accept = request.headers.get("accept", "")
        body, media_type = prometheus_text(self._engine.metrics, accept=accept)
        return Response(body, headers={"Content-Type": media_type})

    @endpoint("GET", "/openapi.json", tag="operations", response=dict[str, Any])
    async def openapi(self, request: Request) -> Response:
        """Get the OpenAPI document."""
        return Response(orjson.dumps(self._openapi()), media_type="application/json")

    @endpoint("GET", "/docs", tag="operations", media_type="text/html")
    async def docs(self, request: Request) -> Response:
        """Read the OpenAPI document as a page of HTML that loads nothing."""
        page = docs_page(self._openapi())
        return HTMLResponse(page, headers={"Content-Security-Policy": _CSP})


class Webhooks:
    """Receives the notifications of LlamaCloud; served only where a signing secret is set."""

    def __init__(self, receive: Callable[[bytes, str | None], Awaitable[object]]) -> None:
        self._receive = receive

    async def llamacloud(self, request: Request) -> Response:
        """204; 403 for a wrong signature, 413 for a body beyond 64 KiB."""
        # The signature covers the raw bytes, so the body is not decoded before it is checked.
        body = await read_body(request, _MAX_WEBHOOK_BYTES)
        await self._receive(body, request.headers.get(SIGNATURE_HEADER))
        return Response(status_code=204)
