"""Trace context as text: parsed, captured for a later resume, restored; separate traces."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, TraceFlags, TraceState

from foliotrace_otel.sdk_internals import SPAN_KEY
from foliotrace_otel.semconv import Attribute, span_names

CARRIER: Final = "foliotrace_otel"
BAGGAGE_ALLOWED: Final = ("user.id", "session.id", "tenant.id", "gen_ai.conversation.id")
LINKS_KEY: Final = otel_context.create_key("foliotrace_otel-links")
OWN_TRACE_KEY: Final = otel_context.create_key("foliotrace_otel-own-trace")
_MOST_BAGGAGE_CHARS: Final = 128  # the caller chooses these values
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def links_in(context: Context) -> tuple[Link, ...]:
    """The links that `separate_trace` left for the root span below it."""
    links = context.get(LINKS_KEY)
    return links if isinstance(links, tuple) else ()


def traceparent(context: SpanContext) -> str:
    """`context` in the W3C form `00-<trace>-<span>-<flags>`."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags) & 1:02x}"


def parse_traceparent(text: object) -> SpanContext | None:
    """The remote span context of a W3C traceparent, or None for anything else."""
    match = _TRACEPARENT.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[1] == "ff":
        return None
    remote = SpanContext(
        trace_id=int(match[2], 16),
        span_id=int(match[3], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(match[4], 16) & 1),
    )
    return remote if remote.is_valid else None


def capture() -> dict[str, Any]:
    """The current span and the allowed baggage as plain text, for `restore` in any process."""
    context = otel_context.get_current()
    carrier: dict[str, Any] = {}
    current = trace.get_current_span(context).get_span_context()
    if current.is_valid:
        carrier["traceparent"] = traceparent(current)
        if current.trace_state:
            carrier["tracestate"] = current.trace_state.to_header()
        if not current.is_remote or context.get(OWN_TRACE_KEY):
            carrier["own"] = True
    links = links_in(context)
    if links and not current.is_valid:  # inside separate_trace(), before its first span
        carrier["links"] = [traceparent(link.context) for link in links]
    entries = allowed_baggage(context)
    if entries:
        carrier["baggage"] = entries
    return {CARRIER: carrier} if carrier else {}


def restore(captured: Mapping[str, Any]) -> None:
    """Make the captured span the parent of what follows, unless it is current already.

    For the start of a run's own task (its context dies with it), so nothing is detached.
    """
    carrier = captured.get(CARRIER)
    if not isinstance(carrier, Mapping):
        return
    context = otel_context.get_current()
    remote = parse_traceparent(carrier.get("traceparent"))
    current = trace.get_current_span(context).get_span_context()
    if remote is not None and (current.trace_id, current.span_id) == (
        remote.trace_id,
        remote.span_id,
    ):
        return
    if remote is not None:
        context = Context({SPAN_KEY: NonRecordingSpan(_with_state(remote, carrier))})
        if carrier.get("own"):
            context = own_trace(context)
    elif links := [parse_traceparent(text) for text in carrier.get("links", ())]:
        context = Context({LINKS_KEY: tuple(Link(linked) for linked in links if linked)})
    for key, value in dict(carrier.get("baggage", {})).items():
        context = baggage.set_baggage(key, value, context)
    otel_context.attach(context)


def own_trace(context: Context) -> Context:
    """`context`, whose remote parent is a span that this service has made and exports itself.

    What continues below it, such as a job after a restart, is no entry of the service.
    """
    return Context({**context, OWN_TRACE_KEY: True})


def _with_state(remote: SpanContext, carrier: Mapping[str, Any]) -> SpanContext:
    state = carrier.get("tracestate")
    if not isinstance(state, str):
        return remote
    return SpanContext(
        remote.trace_id,
        remote.span_id,
        is_remote=True,
        trace_flags=remote.trace_flags,
        trace_state=TraceState.from_header([state]),
    )


def allowed_baggage(context: Context) -> dict[str, Attribute]:
    """The allow-listed baggage of `context`, cut to a length."""
    present = baggage.get_all(context)
    if not present:
        return {}
    return {
        key: str(present[key])[:_MOST_BAGGAGE_CHARS]
        for key in BAGGAGE_ALLOWED
        if present.get(key) is not None
    }


def entry_attributes(context: Context, namespace: str) -> dict[str, Attribute]:
    """`<namespace>.entry` and the allowed baggage, for a span that starts in `context`.

    Empty unless that span is the first of this service in its trace.
    """
    if context:
        parent = trace.get_current_span(context).get_span_context()
        if parent.is_valid and not parent.is_remote:
            return {}
        if context.get(OWN_TRACE_KEY):
            return allowed_baggage(context)
        return {span_names(namespace).entry: True, **allowed_baggage(context)}
    return {span_names(namespace).entry: True}


@contextmanager
def separate_trace() -> Iterator[None]:
    """What starts inside is the root of its own trace, linked to the span around this block.

    For a batch: each document gets one readable trace instead of all sharing a giant one.
    """
    current = trace.get_current_span().get_span_context()
    links = (Link(current),) if current.is_valid else ()
    entries = baggage.get_all()
    context = Context({LINKS_KEY: links})
    for key, value in entries.items():
        context = baggage.set_baggage(key, value, context)
    token = otel_context.attach(context)
    try:
        yield
    finally:
        otel_context.detach(token)
