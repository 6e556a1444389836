"""What the service asks of tracing: the id of the running trace. The SDK is set up elsewhere."""

from opentelemetry import trace


def current_trace() -> str | None:
    """32 hex digits, or None when nothing is traced; the `CurrentTrace` port."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None
