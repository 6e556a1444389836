"""Spans at which work enters the program from elsewhere, such as those of requests."""

from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Tracer

from foliotrace_otel.sdk_internals.fast_span import FastSpan, fast_tracer, start_fast_root
from foliotrace_otel.semconv import Attribute


class RootSpans:
    """Starts the spans at which work enters the program, the fast way where `tracer` allows it."""

    __slots__ = ("_fast", "_tracer")

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._fast = fast_tracer(tracer)

    def start(
        self, name: str, kind: SpanKind, attributes: dict[str, Attribute], context: Context
    ) -> Span:
        """Start a span in `context`, which holds no span of this process."""
        if self._fast is None:
            return self._tracer.start_span(name, context, kind, attributes)
        return start_fast_root(self._fast, name, kind, {**attributes}, context)


def set_known_attributes(span: Span, attributes: Mapping[str, Attribute]) -> None:
    """Set attributes of OTel's types on `span`."""
    if type(span) is FastSpan:
        span.update_attributes(attributes)
    else:
        span.set_attributes(attributes)
