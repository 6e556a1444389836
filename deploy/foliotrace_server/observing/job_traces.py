"""The trace of a durable job: begun when it is accepted, kept with its promise, its own.

A job outlives its request, and a batch holds many: each gets one trace, linked with the request's
both ways, which a run continues also in another process after a crash.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from foliotrace_otel import entry_attributes

_propagator = TraceContextTextMapPropagator()
_PARENT = "traceparent"
_STATE = "tracestate"


@contextmanager
def job_trace(tracer: Tracer | None, kind: str) -> Iterator[None]:
    """What is accepted inside belongs to a new trace; its root says when it was accepted.

    `kind` is "ingest" or "extract". Without a tracer nothing happens.
    """
    if tracer is None:
        yield
        return
    request = trace.get_current_span()
    came_from = request.get_span_context()
    span = tracer.start_span(
        f"accept {kind}",
        context=Context(),
        kind=SpanKind.PRODUCER,
        links=(Link(came_from),) if came_from.is_valid else (),
        attributes=entry_attributes(Context()),
    )
    request.add_link(span.get_span_context())
    token = otel_context.attach(trace.set_span_in_context(span, Context()))
    try:
        yield
    finally:
        otel_context.detach(token)
        span.end()


def captured() -> str:
    """The running span as a W3C traceparent, to be stored; "" where nothing is traced.

    The caller's tracestate follows it after a space, if there is one.
    """
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return " ".join(carrier[key] for key in (_PARENT, _STATE) if carrier.get(key))


@contextmanager
def continued(stored: str) -> Iterator[None]:
    """What starts inside goes on in the `captured` trace; in none of this process for ""."""
    parent, _, state = stored.partition(" ")
    context = _propagator.extract({_PARENT: parent, _STATE: state}, Context())
    token = otel_context.attach(context)
    try:
        yield
    finally:
        otel_context.detach(token)
