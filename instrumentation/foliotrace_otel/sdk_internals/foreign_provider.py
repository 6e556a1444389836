"""Redacting what a tracer provider exports that the program made before us.

Private: `_active_span_processor` of `TracerProvider` and its `_span_processors`. Where they are
not as expected, nothing is wrapped, and `redact_provider` says so: content is then not captured.
"""

from typing import Any

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import TracerProvider

from foliotrace_otel.export.redacting import RedactingProcessor
from foliotrace_otel.export.span_redaction import SpanRedactor
from foliotrace_otel.sdk_internals import fall_back


def redact_provider(provider: TracerProvider, redactor: SpanRedactor) -> bool:
    """Let each processor of `provider`, present and to come, see redacted spans; whether it does.

    In place, because tracers that were already handed out keep the list of processors.
    """
    active: Any = getattr(provider, "_active_span_processor", None)
    present = getattr(active, "_span_processors", None)
    if not isinstance(present, tuple) or not hasattr(active, "add_span_processor"):
        fall_back("redaction of the program's own tracer provider")
        return False

    def redacting(processor: SpanProcessor) -> SpanProcessor:
        wrapped = isinstance(processor, RedactingProcessor)
        return processor if wrapped else RedactingProcessor(processor, redactor)

    add = active.add_span_processor
    active._span_processors = tuple(redacting(each) for each in present)
    if not getattr(active, "foliotrace_redacts", False):
        active.add_span_processor = lambda processor: add(redacting(processor))
        active.foliotrace_redacts = True
    return True
