"""`/healthz`, `/readyz`, `/metrics`, `/openapi.json` and `/docs`."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from foliotrace_otel import prometheus_text
from foliotrace_server.engine import Engine
from foliotrace_server.wire import dumps

_NO_STORE = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
_CSP = _NO_STORE + "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"


class Operations:
    """What operators and tools ask."""

    def __init__(
        self,
        engine: Engine,
        *,
        openapi: Callable[[], Mapping[str, Any]],
        docs_page: Callable[[Mapping[str, Any]], str],
    ) -> None:
        self._engine = engine
        self._openapi, self._docs_page = openapi, docs_page
        self._version = version("foliotrace")

    async def healthz(self, request: Request) -> Response:
        """The process answers."""
        body = {"status": "healthy", "version": self._version}
        return Response(dumps(body), media_type="application/json")

    async def readyz(self, request: Request) -> Response:
        """503 until work is taken; and the level each capability reaches now."""
        shown = {
            name: capability.model_dump()
            for name, capability in self._engine.parts.capabilities().items()
        }
        body = {"ready": self._engine.ready, "capabilities": shown}
        status = 200 if self._engine.ready else 503
        return Response(dumps(body), status_code=status, media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        """Prometheus text format."""
        accept = request.headers.get("accept", "")
        body, kind = prometheus_text(self._engine.metrics, accept=accept)
        return Response(body, headers={"Content-Type": kind})

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        return Response(dumps(self._openapi()), media_type="application/json")

    async def docs(self, request: Request) -> Response:
        """The same for people: one page that loads nothing from anywhere."""
        page = self._docs_page(self._openapi())
        return HTMLResponse(page, headers={"Content-Security-Policy": _CSP})
