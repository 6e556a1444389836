"""Trace ids and trace propagation: the running span, a job's own trace, outgoing calls, links."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from foliotrace.events import NAMESPACE
from foliotrace_otel import entry_attributes, own_trace, traceparent

if TYPE_CHECKING:
    import httpx

    from foliotrace.model import Document, Principal
    from foliotrace_otel import ContentCapture
    from foliotrace_server.sections import TracingSettings

RequestHook: TypeAlias = "Callable[[httpx.Request], Awaitable[None]]"
_PARENT: Final = "traceparent"
_STATE: Final = "tracestate"
_propagator = TraceContextTextMapPropagator()


def current_trace_id() -> str | None:
    """The running trace as 32 hex digits, or None outside a trace. For the log and the audit log.

    It is given for unsampled traces too, so that records of one request can be joined.
    """
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def sampled_trace_id() -> str | None:
    """The running trace as 32 hex digits, or None if it is not sampled: nothing could be opened."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.trace_flags.sampled else None


def sampled_traceparent() -> str | None:
    """The running span as a W3C traceparent, or None if its trace is not sampled."""
    context = trace.get_current_span().get_span_context()
    return traceparent(context) if context.trace_flags.sampled else None


@dataclass(slots=True)
class JobRoot:
    """What the root span of a job shows. `inputs` and `outputs` only where content is captured."""

    inputs: Mapping[str, object]
    outputs: object = None
    document: "Document | None" = None

    def attributes(self) -> dict[str, str | int]:
        """Id, type and size of the document; never its name."""
        document = self.document
        if document is None:
            return {}
        return {
            f"{NAMESPACE}.document.id": document.id,
            f"{NAMESPACE}.document.type": document.media_type,
            f"{NAMESPACE}.document.size_bytes": document.size_bytes,
        }


@contextmanager
def job_trace(
    tracer: Tracer | None,
    kind: str,
    principal: "Principal",
    content: "ContentCapture | None",
    **inputs: object,
) -> Iterator[JobRoot]:
    """Start a trace for a job; its root span covers the acceptance of the job.

    A job outlives its request, and one request may submit several jobs. So each job has a trace of
    its own, and the spans of request and job link to each other. `kind` is "ingest" or "extract".
    Does nothing without a tracer.
    """
    root = JobRoot(inputs)
    if tracer is None:
        yield root
        return
    request = trace.get_current_span()
    request_context = request.get_span_context()
    span = tracer.start_span(
        f"accept {kind}",
        context=Context(),
        kind=SpanKind.PRODUCER,
        links=(Link(request_context),) if request_context.is_valid else (),
        attributes=entry_attributes(Context(), NAMESPACE),
    )
    request.add_link(span.get_span_context())
    token = otel_context.attach(trace.set_span_in_context(span, Context()))
    try:
        yield root
    finally:
        otel_context.detach(token)
        span.set_attributes(root.attributes())
        if content is not None:
            described = {"tenant": principal.tenant, "user": principal.subject}
            for shown in (span, request):
                content.show(shown, described, inputs=root.inputs, outputs=root.outputs)
        span.end()


def capture_trace() -> str:
    """The running span as a W3C traceparent, for storage; "" outside a trace.

    The caller's tracestate, if any, follows after a space.
    """
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return " ".join(carrier[key] for key in (_PARENT, _STATE) if carrier.get(key))


@contextmanager
def continue_trace(stored: str) -> Iterator[None]:
    """Make spans inside children of a captured trace; for "" they start a trace of their own."""
    with inside(stored_context(stored)):
        yield


def stored_context(stored: str) -> Context:
    """The context of a captured trace, for `inside`."""
    parent, _, state = stored.partition(" ")
    context = _propagator.extract({_PARENT: parent, _STATE: state}, Context())
    return own_trace(context) if stored else context


@contextmanager
def inside(context: Context) -> Iterator[None]:
    """Make spans inside children of the span in `context`."""
    token = otel_context.attach(context)
    try:
        yield
    finally:
        otel_context.detach(token)


async def add_traceparent(request: "httpx.Request") -> None:
    """An httpx request hook that adds `traceparent`, so that a model server's spans join the trace.

    `tracestate` and baggage are not sent: they may hold the caller's data.
    """
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        request.headers[_PARENT] = traceparent(context)


def add_traceparent_for(url: str) -> RequestHook:
    """Like `add_traceparent`, for the host of `url` only; a redirect elsewhere loses the header."""
    host = urlsplit(url).hostname

    async def hook(request: "httpx.Request") -> None:
        if request.url.host == host:
            await add_traceparent(request)
        else:
            request.headers.pop(_PARENT, None)

    return hook


@dataclass(frozen=True, slots=True)
class TraceLinks:
    """Makes links to a trace in Jaeger or LangSmith from URL templates, by backend name."""

    templates: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_settings(cls, settings: "TracingSettings") -> "TraceLinks":
        """The templates that are set."""
        named = {"jaeger": settings.jaeger_url, "langsmith": settings.langsmith_url}
        return cls({name: template for name, template in named.items() if template})

    def of(self, trace_id: str | None) -> dict[str, str]:
        """URLs of a trace (32 hex digits) by backend name; empty for None."""
        if trace_id is None or not self.templates:
            return {}
        as_uuid = str(UUID(trace_id))
        return {
            name: template.replace("{trace_id}", trace_id).replace("{trace_uuid}", as_uuid)
            for name, template in self.templates.items()
        }
