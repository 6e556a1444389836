"""A span of the SDK at half its CPU: what the SDK would decide again for each span is known.

Below a sampled local parent, a parent-based sampler always says yes, our attributes need no
cleaning, and most spans have no events and no links. `FastSpan` is the SDK's own `Span` class with
a shorter constructor, and it is handed to the processors itself instead of a copy.

Private: twelve fields of `Span`, `_span_limits`, `_instrumentation_scope` and `_tracer_metrics` of
`Tracer`, `_local_parent_sampled` and `_local_parent_not_sampled` of `ParentBased`, `_on_ending` of
`SpanProcessor`. `fast_tracer` returns None where they do not work as expected, and the handler then
starts spans the ordinary way; tests/otel/test_fast_span.py holds both ways equal.
"""

from collections.abc import Mapping
from functools import cache
from random import getrandbits
from threading import Lock
from time import time_ns
from typing import Final, TypeAlias

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import (
    Event,
    ReadableSpan,
    Span,
    SpanLimits,
    SpanProcessor,
    Tracer,
    TracerProvider,
)
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace import Tracer as AnyTracer
from opentelemetry.trace.span import DEFAULT_TRACE_STATE
from opentelemetry.util.types import AnyValue

from foliotrace_otel.sdk_internals import fall_back
from foliotrace_otel.semconv import Attribute

_new_tuple: Final = tuple.__new__
_UNSET: Final = Status(StatusCode.UNSET)
_USUAL_MOST_ATTRIBUTES: Final = 128


class FastSpan(Span):
    """A recording span. `attributes` are the caller's own, already of OTel's types."""

    _lock = Lock()  # shared: it is held for a few bytecodes
    _sampler = None
    _trace_config = None
    _instrumentation_info = None
    _record_exception = True
    _set_status_on_exception = True
    _record_end_metrics = None
    _end_time: int | None = None
    _status = _UNSET
    _events: list[Event] | tuple[Event, ...] = ()
    _links: list[Link] | tuple[Link, ...] = ()
    _attributes: dict[str, AnyValue]
    _context: SpanContext

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        kind: SpanKind,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: dict[str, AnyValue],
    ) -> None:
        self._name = name
        self._kind = kind
        self._parent = parent
        self._context = context
        self._attributes = attributes
        self._resource = tracer.resource
        self._limits = tracer._span_limits
        self._span_processor = tracer.span_processor
        self._instrumentation_scope = tracer._instrumentation_scope
        self._start_time = time_ns()

    def get_span_context(self) -> SpanContext:
        """The span's ids."""
        return self._context

    def update_attributes(self, attributes: Mapping[str, Attribute]) -> None:
        """`set_attributes` for values known to be of OTel's types."""
        if self._end_time is None:
            self._attributes.update(attributes)

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        """Set cleaned `attributes`, within the SDK's limits."""
        with self._lock:
            if self._end_time is not None:
                return
            merged = BoundedAttributes(
                self._limits.max_span_attributes,
                {**self._attributes, **attributes},
                immutable=False,
                max_value_len=self._limits.max_span_attribute_length,
            )
            self._attributes = dict(merged)

    def set_attribute(self, key: str, value: AnyValue) -> None:
        """Set one cleaned attribute."""
        self.set_attributes({key: value})

    def end(self, end_time: int | None = None) -> None:
        """End the span, once."""
        with self._lock:
            if self._end_time is not None:
                return
            self._end_time = end_time if end_time is not None else time_ns()
        processor = self._span_processor
        if getattr(processor, "has_near_end", True):
            processor._on_ending(self)
        processor.on_end(self)

    def _add_event(self, event: Event) -> None:
        with self._lock:
            most = self._limits.max_events
            if self._end_time is None and (most is None or len(self._events) < most):
                self._events = [*self._events, event]

    def _add_link(self, link: Link) -> None:
        with self._lock:
            most = self._limits.max_links
            if self._end_time is None and (most is None or len(self._links) < most):
                self._links = [*self._links, link]


PlainParts: TypeAlias = tuple[
    int, int, SpanContext | None, str, SpanKind, int, int, Mapping[str, AnyValue]
]
"""Trace id, span id, parent, name, kind, start and end in nanoseconds, attributes."""


def plain_parts(span: FastSpan) -> PlainParts | None:
    """What is exported of an ended span; None if it has events, links, a status or a trace state.

    Most spans have nothing but attributes.
    """
    trace_id, span_id, _, _, state, _ = span._context
    if span._status is not _UNSET or span._events or span._links:
        return None
    if state is not DEFAULT_TRACE_STATE and len(state):
        return None
    return (
        trace_id,
        span_id,
        span._parent,
        span._name,
        span._kind,
        span._start_time or 0,
        span._end_time or 0,
        span._attributes,
    )


def origin_of(span: FastSpan) -> tuple[Resource, InstrumentationScope | None]:
    """The resource and the scope of `span`."""
    return span._resource, span._instrumentation_scope


def fast_tracer(tracer: AnyTracer) -> Tracer | None:
    """`tracer`, if children of its sampled spans can be fast ones; else None."""
    if not isinstance(tracer, Tracer) or not follows_the_parent(tracer):
        return None
    if getattr(tracer.sampler, "_local_parent_sampled", None) is not ALWAYS_ON:
        return None
    if type(getattr(tracer, "_tracer_metrics", None)).__name__ != "NoOpTracerMetrics":
        return None  # the SDK counts spans itself: let it see them all
    if _limits_attributes(tracer):
        return None  # a fast span is started with all of its attributes
    return tracer if _is_the_sdks_equal() else None


def _limits_attributes(tracer: Tracer) -> bool:
    """Whether the standard variables limit the attributes of a span more than by default."""
    limits = getattr(tracer, "_span_limits", None)
    if limits is None:  # renamed: the comparison below finds that, and says so
        return False
    most, longest = limits.max_span_attributes, limits.max_span_attribute_length
    return longest is not None or (most is not None and most < _USUAL_MOST_ATTRIBUTES)


def follows_the_parent(tracer: AnyTracer) -> bool:
    """Whether nothing below an unsampled span can be sampled, so that it need not be looked at."""
    sampler = tracer.sampler if isinstance(tracer, Tracer) else None
    if not isinstance(sampler, ParentBased):
        return False
    return getattr(sampler, "_local_parent_not_sampled", None) is ALWAYS_OFF


class _Ended(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


@cache
def _is_the_sdks_equal() -> bool:
    """Make one span each way and compare what an exporter sees; 1 ms, once per process."""
    ended = _Ended()
    try:
        limits = SpanLimits(max_span_attributes=8, max_events=8, max_links=8)
        provider = TracerProvider(
            ParentBased(ALWAYS_ON), Resource({}), shutdown_on_exit=False, span_limits=limits
        )
        provider.add_span_processor(ended)
        tracer = provider.get_tracer("self-test")
        if not isinstance(tracer, Tracer):
            return False
        parent = tracer.start_span("parent")
        above, context = parent.get_span_context(), set_span_in_context(parent, Context())
        initial: dict[str, AnyValue] = {"a": 1}
        for span in (
            tracer.start_span("child", context, SpanKind.CLIENT, initial),
            start_fast_child(tracer, "child", SpanKind.CLIENT, above, {**initial}, context),
        ):
            span.set_attribute("b", "x")
            span.add_event("event", {"c": True})
            span.add_link(above)
            span.set_status(Status(StatusCode.ERROR, "d"))
            span.update_name("renamed")
            span.end()
        theirs, ours = (_as_exported(span) for span in ended.spans)
        equal = theirs == ours
    except Exception:  # noqa: BLE001 - whatever a changed SDK does here, spans must still be made
        equal = False
    if not equal:
        fall_back("span")
    return equal


def _as_exported(span: ReadableSpan) -> tuple[object, ...]:
    return (
        span.name,
        span.kind,
        span.parent,
        _parts_of(span.get_span_context()),
        dict(span.attributes or {}),
        [(event.name, dict(event.attributes or {})) for event in span.events],
        [link.context for link in span.links],
        (span.status.status_code, span.status.description),
        span.resource,
        span.instrumentation_scope,
        (span.dropped_attributes, span.dropped_events, span.dropped_links),
        (span.start_time or 0) > 0 and (span.end_time or 0) > 0,
    )


def _parts_of(context: SpanContext | None) -> tuple[object, ...]:
    if context is None:
        return ()
    fields = (context.trace_id, context.is_remote, context.trace_flags, context.trace_state)
    return (*fields, context.is_valid, len(context), context.span_id != 0)


def start_fast_child(
    tracer: Tracer,
    name: str,
    kind: SpanKind,
    parent: SpanContext,
    attributes: dict[str, AnyValue],
    context: Context,
) -> FastSpan:
    """Start a span below the sampled local `parent`."""
    trace_id, _, _, flags, state, _ = parent
    ids = tracer.id_generator
    # What the SDK's generator does, in two calls less; a new id of 0 is for it to avoid.
    own_id = getrandbits(64) if type(ids) is RandomIdGenerator else 0
    own_id = own_id or ids.generate_span_id()
    # Past its constructor, which checks what the parent and the generator have made right.
    own = _new_tuple(SpanContext, (trace_id, own_id, False, flags, state, True))
    span = FastSpan(tracer, name, kind, own, parent, attributes)
    tracer.span_processor.on_start(span, parent_context=context)
    return span


def start_fast_root(
    tracer: Tracer,
    name: str,
    kind: SpanKind,
    attributes: dict[str, AnyValue],
    context: Context,
) -> FastSpan | NonRecordingSpan:
    """Start a span without a local parent: the sampler decides, as in the SDK's `start_span`."""
    caller = get_current_span(context).get_span_context()
    ids = tracer.id_generator
    parent = caller if caller.is_valid else None
    trace_id = parent.trace_id if parent is not None else ids.generate_trace_id()
    decision = tracer.sampler.should_sample(context, trace_id, name, kind, attributes)
    random = parent.trace_flags.random_trace_id if parent is not None else ids.is_trace_id_random()
    sampled = decision.decision is Decision.RECORD_AND_SAMPLE
    flags = TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT
    own = SpanContext(
        trace_id,
        ids.generate_span_id(),
        False,
        TraceFlags(flags | TraceFlags.RANDOM_TRACE_ID if random else flags),
        decision.trace_state,
    )
    if decision.decision is Decision.DROP:
        return NonRecordingSpan(own)
    if decision.attributes:
        attributes.update(decision.attributes)
    span = FastSpan(tracer, name, kind, own, parent, attributes)
    tracer.span_processor.on_start(span, parent_context=context)
    return span
