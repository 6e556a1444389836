"""The outermost layer of HTTP: checks, limits and traces requests; errors become problems."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import lru_cache
from ipaddress import ip_address

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foliotrace.catalog import ErrorCode
from foliotrace.errors import InvalidRequest, NotAllowed
from foliotrace_server.http.access_audit import RefusalAudit
from foliotrace_server.http.identity import (
    NOBODY,
    Authentication,
    Caller,
    set_caller,
    set_sender,
    set_source,
)
from foliotrace_server.http.overload import ARRIVAL, set_arrival
from foliotrace_server.http.problems import PROBLEM, Problem, problem_of
from foliotrace_server.http.quotas import Allowance, Quotas
from foliotrace_server.http.request_body import with_body_timeout
from foliotrace_server.observing.requests import RequestTelemetry, ResponseRecord

_log = structlog.get_logger(__name__)
_SAFE = ("GET", "HEAD", "OPTIONS")
_EXPOSED_HEADERS = (
    b"X-Run-Id, X-Trace-Id, X-Release, X-Degradation-Level, X-Cache, "
    b"RateLimit, RateLimit-Policy, Retry-After"
)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"x-frame-options", b"DENY"),
)


_OVER_TLS = ((b"strict-transport-security", b"max-age=31536000"),)


class HttpGuard:
    """ASGI middleware around the routes.

    With `local_only`, only loopback host names are served while no API key is required.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        cors_origins: tuple[str, ...],
        local_only: bool,
        authentication: Authentication,
        quotas: Quotas,
        refusals: RefusalAudit,
        slow_body_s: float,
        telemetry: RequestTelemetry | None,
        lifespan: Callable[[object], AbstractAsyncContextManager[None]],
    ) -> None:
        self._app = app
        self.lifespan = lifespan  # for callers without an ASGI server: the embedded CLI and tests
        self._origins = frozenset(cors_origins)
        self._local_only = local_only
        self.authentication = authentication
        self._quotas = quotas
        self._refusals = refusals
        self._slow_body_s = slow_body_s
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; an error becomes a problem, unless the response has started."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        proxies = self.authentication.proxies
        peer = proxies.peer(scope)
        if peer.is_trusted:
            scope = proxies.as_forwarded(scope)
        set_caller(Caller(NOBODY, frozenset()))
        set_arrival(scope.get(ARRIVAL))
        set_source(scope["client"][0] if scope.get("client") else None)
        telemetry = self._telemetry
        with telemetry.request(scope) if telemetry else nullcontext(ResponseRecord()) as response:
            started = False
            allowance = Allowance()

            async def respond(message: Message) -> None:
                nonlocal started
                if message["type"] == "http.response.start":
                    started = True
                    response.status = message["status"]
                    message["headers"] = [
                        *message.get("headers", ()),
                        *_HEADERS,
                        *self._cors(scope),
                        *response.headers,
                        *allowance.headers,
                        *(_OVER_TLS if scope.get("scheme") == "https" else ()),
                    ]
                await send(message)

            try:
                self._check_host_and_origin(scope)
                scope["app"] = self  # makes the router raise instead of answering in plain text
                if scope["method"] == "OPTIONS":  # browsers send no key with it
                    await self._preflight(scope)(scope, receive, respond)
                else:
                    caller = await self.authentication.admit(HTTPConnection(scope), peer)
                    set_caller(caller)
                    set_sender(HTTPConnection(scope))
                    if not caller.is_public:
                        allowance = await self._quotas.admit(
                            caller.principal, scope["method"], scope["path"]
                        )
                    if allowance.refusal is not None:
                        raise allowance.refusal
                    await self._app(scope, with_body_timeout(receive, self._slow_body_s), respond)
                    await self._refusals.read(HTTPConnection(scope), response.status)
            except HTTPException as error:  # the router's: wrong method
                await _wrong_method(error)(scope, receive, respond)
            except Exception as error:  # noqa: BLE001 - the outermost layer
                problem = problem_of(error)
                scope[PROBLEM] = problem.code
                connection = HTTPConnection(scope)
                key_id = self.authentication.claimed_key_id(connection)
                await self._refusals.record(connection, problem.status, problem.code, key_id)
                if started:  # the server closes the connection of an incomplete response
                    _log.warning("response.interrupted", code=problem.code)
                else:
                    await problem.response()(scope, receive, respond)

    def _check_host_and_origin(self, scope: Scope) -> None:
        """Refuse pages of other sites in a local browser: DNS rebinding and cross-site requests."""
        names = [name for name, _ in scope["headers"]]
        if names.count(b"host") > 1 or names.count(b"origin") > 1:
            raise InvalidRequest("`Host` and `Origin` may each be sent once")
        if b"host" not in names and scope.get("http_version") == "1.1":
            raise InvalidRequest("HTTP/1.1 requires `Host`")
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        is_open = self._local_only and not self.authentication.required
        if is_open and not is_loopback(_without_port(host)):
            raise NotAllowed(code=ErrorCode.HOST_NOT_ALLOWED)
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not origin or scope["method"] in _SAFE or origin in self._origins:
            return
        if origin.partition("://")[2] != host:
            raise NotAllowed(code=ErrorCode.ORIGIN_NOT_ALLOWED)

    def _cors(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        origin = dict(scope["headers"]).get(b"origin", b"") if self._origins else b""
        if origin.decode("latin-1") not in self._origins:
            return []
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED_HEADERS),
            (b"vary", b"Origin"),
        ]

    def _preflight(self, scope: Scope) -> ASGIApp:
        if not self._cors(scope):
            raise NotAllowed(code=ErrorCode.ORIGIN_NOT_ALLOWED)
        allowed = {
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, "
            "Last-Event-ID, traceparent, tracestate",
            "Access-Control-Max-Age": "600",
        }
        return Response(status_code=204, headers=allowed)


def _wrong_method(error: HTTPException) -> Response:
    code = ErrorCode.METHOD_NOT_ALLOWED
    response = Problem(code=code, title=code.message, status=error.status_code).response()
    response.headers.update(error.headers or {})
    return response


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether a host name or address always means this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
