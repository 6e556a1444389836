"""What the service asks of tracing: which span is running. The SDK is set up elsewhere."""

from opentelemetry import trace

from foliotrace_otel import traceparent


def current_trace() -> str | None:
    """32 hex digits, or None when nothing is traced; for the log and the audit log."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def kept_trace() -> str | None:
    """As `current_trace`, but None for a trace that is not sampled: there is nothing to open."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.trace_flags.sampled else None


def kept_span() -> str | None:
    """The running span as a W3C traceparent; None where `kept_trace` is."""
    context = trace.get_current_span().get_span_context()
    return traceparent(context) if context.trace_flags.sampled else None
