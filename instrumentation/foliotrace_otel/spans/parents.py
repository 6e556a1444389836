"""Where a span belongs: below which span, in which trace, and what it has of its own."""

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span

from foliotrace_otel.sdk_internals import SPAN_KEY
from foliotrace_otel.semconv import Attribute
from foliotrace_otel.spans.carried_context import LINKS_KEY
from foliotrace_otel.spans.open_span import RECORD_KEY, OpenSpan


def below_unsampled(ambient: Context) -> bool:
    """Whether the current span is one of this process that is not sampled."""
    current = ambient.get(SPAN_KEY)
    if type(current) is not NonRecordingSpan:
        return False
    context = current.get_span_context()
    return context.is_valid and not context.trace_flags.sampled and not context.is_remote


def starts_separate_trace(ambient: Context) -> bool:
    """Whether this is inside `separate_trace()`, before its first span."""
    return LINKS_KEY in ambient and RECORD_KEY not in ambient


def same_call(record: OpenSpan) -> bool:
    """One model call that LlamaIndex shows as two (complete over chat on the same object)."""
    parent = record.parent
    return (
        parent is not None and record.instance_id != 0 and parent.instance_id == record.instance_id
    )


def parent_context(host: OpenSpan | None, ambient: Context) -> Context:
    """Under LlamaIndex's parent, keeping a live OTel span that was opened below it in between."""
    if host is None or host.span is None:
        return ambient
    if starts_separate_trace(ambient):
        return ambient
    current = ambient.get(SPAN_KEY)
    if current is host.span:
        return ambient
    if (
        isinstance(current, Span)
        and ambient.get(RECORD_KEY) is host
        and current.is_recording()
        and current.get_span_context().trace_id == host.span.get_span_context().trace_id
    ):
        return ambient
    if host.context is None:  # it has ended
        return Context({**ambient, SPAN_KEY: host.span, RECORD_KEY: host})
    return host.context


def new_tags(record: OpenSpan, hidden: frozenset[str]) -> dict[str, Attribute]:
    """The instrument tags that no span above has already, without content."""
    above = record.parent.tags if record.parent is not None else None
    return {
        key: value
        for key, value in record.tags.items()
        if key not in hidden
        and isinstance(value, str | int | float)
        and (above is None or above.get(key) != value)
    }
