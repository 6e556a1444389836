"""ASGI middleware: one SERVER span, one duration and the trace headers per HTTP request.

Plain ASGI, so that it costs little and fits any framework. The span ends with the last byte of the
response, streams included.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from inspect import isroutine
from time import perf_counter
from typing import Any, Final, TypeAlias

from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    TracerProvider,
)

from foliotrace_otel import semconv
from foliotrace_otel.metrics.registry import Metrics
from foliotrace_otel.semconv import span_names
from foliotrace_otel.spans.carried_context import (
    BAGGAGE_ALLOWED,
    entry_attributes,
    parse_traceparent,
    traceparent,
)
from foliotrace_otel.spans.failures import error_type, mark_failed, outcome_of

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

UNTRACED: Final = frozenset({"/healthz", "/readyz", "/metrics"})
# Any other method is recorded as `_OTHER`: callers must not be able to make up label values.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SERVER_ERROR: Final = 500


class TracingMiddleware:
    """Wraps an ASGI application; put it outermost.

    Continues a caller's `traceparent` and allow-listed baggage, names the span by method and route
    (`POST /v1/query`, never the path itself), and answers with `X-Trace-Id` and `traceresponse`.
    Paths of `UNTRACED` are measured but get no span.
    """

    def __init__(
        self,
        app: App,
        provider: TracerProvider,
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._tracer: Tracer = provider.get_tracer("foliotrace_otel")
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] in UNTRACED:
            await self._measured(scope, receive, send, None)
        else:
            await self._traced(scope, receive, send)

    async def _traced(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = _method(scope)
        caller = self._caller(scope)
        span = self._tracer.start_span(
            method,
            context=caller,
            kind=SpanKind.SERVER,
            attributes={
                semconv.HTTP_METHOD: method,
                semconv.LANGSMITH_KIND: "chain",
                **entry_attributes(caller, self._metrics.namespace),
            },
        )
        token = otel_context.attach(trace.set_span_in_context(span, caller))
        try:
            await self._measured(scope, receive, send, span)
        except BaseException as error:
            if outcome := outcome_of(error):
                span.set_attribute(span_names(self._metrics.namespace).outcome, outcome)
            else:
                mark_failed(span, error)
            raise
        finally:
            otel_context.detach(token)
            span.end()

    async def _measured(
        self, scope: Scope, receive: Receive, send: Send, span: Span | None
    ) -> None:
        status = 0
        began = perf_counter()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if span is not None:
                    message["headers"] = [*message.get("headers", ()), *_headers(span)]
            await send(message)

        failure = ""
        try:
            await self._app(scope, receive, answer)
        except BaseException as error:
            failure = error_type(error)
            raise
        finally:
            self._describe(scope, span, status, perf_counter() - began, failed=bool(failure))

    def _describe(
        self, scope: Scope, span: Span | None, status: int, seconds: float, *, failed: bool
    ) -> None:
        method, route = _method(scope), route_of(scope)
        code = str(status or (_SERVER_ERROR if failed else ""))
        labels = {
            semconv.HTTP_METHOD: method,
            semconv.HTTP_ROUTE: route,
            semconv.HTTP_STATUS: code,
        }
        self._metrics.record("http.server.request.duration", seconds, labels)
        if span is None or not span.is_recording():
            return
        if route:
            span.update_name(f"{method} {route}")
            span.set_attribute(semconv.HTTP_ROUTE, route)
        if status:
            span.set_attribute(semconv.HTTP_STATUS, status)
        if status >= _SERVER_ERROR:
            span.set_attribute(semconv.ERROR_TYPE, str(status))
            span.set_status(Status(StatusCode.ERROR))

    def _caller(self, scope: Scope) -> Context:
        """The caller's trace and allowed baggage; an empty context when it sent none."""
        context = Context()
        headers: dict[bytes, bytes] = dict(scope.get("headers", ()))
        remote = parse_traceparent(headers.get(b"traceparent", b"").decode("latin-1"))
        if remote is not None:
            context = trace.set_span_in_context(NonRecordingSpan(remote), context)
        if b"baggage" in headers:
            carrier = {"baggage": headers[b"baggage"].decode("latin-1")}
            sent = baggage.get_all(W3CBaggagePropagator().extract(carrier, Context()))
            for name in BAGGAGE_ALLOWED:
                if name in sent:
                    context = baggage.set_baggage(name, sent[name], context)
        return context


def route_of(scope: Scope) -> str:
    """The route's form, `/v1/jobs/{job_id}`; "" when no route matched, so names stay few.

    Read from what Starlette leaves in the scope: the endpoint, and the parameters it took out. A
    mounted application is no route: what it could not match may be any path.
    """
    endpoint = scope.get("endpoint")
    if not (isroutine(endpoint) or isinstance(endpoint, type | partial)):
        return ""
    parts = str(scope["path"]).split("/")
    names = {str(value): name for name, value in scope.get("path_params", {}).items() if value}
    return "/".join(f"{{{names[part]}}}" if part in names else part for part in parts)


def _method(scope: Scope) -> str:
    method = str(scope["method"])
    return method if method in _METHODS else "_OTHER"


def _headers(span: Span) -> list[tuple[bytes, bytes]]:
    context = span.get_span_context()
    if not context.is_valid:
        return []
    return [
        (b"x-trace-id", f"{context.trace_id:032x}".encode()),
        (b"traceresponse", traceparent(context).encode()),
    ]
