"""A span and a duration for each HTTP request, named by its route."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import structlog
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

from foliotrace.events import NAMESPACE
from foliotrace.events.instruments import QUEUE_REFUSALS
from foliotrace_otel import entry_attributes, traceparent
from foliotrace_otel.sdk_internals.root_spans import RootSpans, set_known_attributes
from foliotrace_server.http.identity import caller
from foliotrace_server.http.problems import PROBLEM
from foliotrace_server.observing.telemetry import Observability

_NOT_TRACED: Final = ("/healthz", "/readyz", "/metrics", "/health", "/openapi.json", "/docs")
_METHODS: Final = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS"})
_PROTOCOL: Final[Mapping[tuple[str, int], str]] = {
    ("workflows", 1): "/workflows",
    ("handlers", 1): "/handlers",
    ("handlers", 2): "/handlers/{id}",
    ("handlers", 3): "/handlers/{id}/cancel",
    ("events", 2): "/events/{id}",
    ("results", 2): "/results/{id}",
}
_ACTIONS: Final = frozenset({"run", "run-nowait", "schema", "events", "representation"})
_propagator = TraceContextTextMapPropagator()
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class ResponseRecord:
    """The status of a response once it has started, and the headers that name its trace."""

    status: int = 500
    headers: tuple[tuple[bytes, bytes], ...] = ()
    trace_id: str | None = None


class RequestTelemetry:
    """Traces and measures requests; probes and metric scrapes are measured but not traced."""

    def __init__(self, observability: Observability) -> None:
        tracer = observability.tracer
        self._roots = RootSpans(tracer) if tracer is not None else None
        self._metrics = observability.metrics
        self._content = observability.telemetry.content

    @contextmanager
    def request(self, scope: Scope) -> Iterator[ResponseRecord]:
        """Serve one request inside, in a span that continues the caller's trace.

        The caller sets `status`, and adds `headers` to the response.
        """
        started_s = perf_counter()
        response = ResponseRecord()
        traced = scope["path"] not in _NOT_TRACED
        if self._roots is None or not traced:
            yield response
            self._measure(scope, response, perf_counter() - started_s)
        else:
            context = _caller_context(scope)
            name = f"{_method(scope)} {_early_route(scope['path'])}"
            attributes = entry_attributes(context, NAMESPACE)
            span = self._roots.start(name, SpanKind.SERVER, attributes, context)
            token = otel_context.attach(trace.set_span_in_context(span, context))
            try:
                response.headers = _headers_of(span)
                yield response
                response.trace_id = f"{span.get_span_context().trace_id:032x}"
                # while its span is open: a slow one names its trace
                self._measure(scope, response, perf_counter() - started_s)
            finally:
                if span.is_recording():
                    _describe(span, scope, response)
                    self._show(span, scope, response)
                span.end()
                otel_context.detach(token)
        if traced:
            _log_access(scope, response, perf_counter() - started_s)

    def _show(self, span: Span, scope: Scope, response: ResponseRecord) -> None:
        """Input and output of a request where no run and no job has set them; with content only."""
        if self._content is None:
            return
        principal = caller()
        described = {"tenant": principal.tenant, "user": principal.subject}
        problem = {"problem": scope[PROBLEM]} if scope.get(PROBLEM) is not None else {}
        self._content.show(
            span,
            described,
            inputs={"request": f"{_method(scope)} {route_of(scope)}"},
            outputs={"status": response.status, **problem},
        )

    def _measure(self, scope: Scope, response: ResponseRecord, seconds: float) -> None:
        route = route_of(scope)
        labels = {
            "http.request.method": _method(scope),
            "http.route": route,
            "http.response.status_code": str(response.status),
        }
        self._metrics.record("http.server.request.duration", seconds, labels)
        if response.status == 429:
            self._metrics.record_all((QUEUE_REFUSALS.measured(1, route),))


def route_of(scope: Scope) -> str:
    """The route template, or "unknown"; never the path, which the caller chooses."""
    route = scope.get("route")
    path = getattr(route, "path", None)
    return path if isinstance(path, str) else _protocol_route(scope["path"])


def _protocol_route(path: str) -> str:
    parts = path.strip("/").split("/")
    if parts[0] == "workflows" and len(parts) == 3 and parts[2] in _ACTIONS:
        return f"/workflows/{{name}}/{parts[2]}"
    return _PROTOCOL.get((parts[0], len(parts)), path if path in _NOT_TRACED else "unknown")


def _early_route(path: str) -> str:
    """The route for the span's first name, which samplers see; `_describe` sets the real one."""
    return path if path == "/v1/query" else "/"


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else "_OTHER"


def _caller_context(scope: Scope) -> Context:
    """The caller's trace context, without its baggage, which could claim any user or tenant."""
    carrier = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
        if name in (b"traceparent", b"tracestate")
    }
    return _propagator.extract(carrier, Context()) if carrier else Context()


def _headers_of(span: Span) -> tuple[tuple[bytes, bytes], ...]:
    """`X-Trace-Id` and W3C `traceresponse`, if the trace is sampled."""
    context = span.get_span_context()
    if not (context.is_valid and context.trace_flags.sampled):
        return ()
    return (
        (b"x-trace-id", b"%032x" % context.trace_id),
        (b"traceresponse", traceparent(context).encode()),
    )


def _describe(span: Span, scope: Scope, response: ResponseRecord) -> None:
    method, route = _method(scope), route_of(scope)
    problem = scope.get(PROBLEM)
    span.update_name(f"{method} {route}")
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": response.status,
    }
    if problem is not None:
        attributes[f"{NAMESPACE}.problem"] = problem
    if response.status >= 500:
        attributes["error.type"] = problem or str(response.status)
        span.set_status(Status(StatusCode.ERROR))
    set_known_attributes(span, attributes)


def _log_access(scope: Scope, response: ResponseRecord, elapsed_s: float) -> None:
    """One line for each request: route, status, time, and the code of a refusal or failure."""
    log = _log.warning if response.status >= 500 else _log.info
    reported = {"problem": scope[PROBLEM]} if scope.get(PROBLEM) is not None else {}
    if response.trace_id is not None:
        reported["trace_id"] = response.trace_id
    log(
        "http.request",
        method=_method(scope),
        route=route_of(scope),
        status=int(response.status),
        elapsed_ms=round(elapsed_s * 1e3, 1),
        **reported,
    )
