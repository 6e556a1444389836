"""Wrappers around span exporters and processors: they see redacted spans."""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from foliotrace_otel.export.span_redaction import SpanRedactor


class WrappedExporter(SpanExporter):
    """A span exporter around another; subclasses change `export`."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.exporter = exporter

    def shutdown(self) -> None:
        """Shut the inner exporter down."""
        self.exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the inner exporter."""
        return self.exporter.force_flush(timeout_millis)


class RedactingExporter(WrappedExporter):
    """Any span exporter, fed with redacted copies."""

    def __init__(self, exporter: SpanExporter, redactor: SpanRedactor) -> None:
        super().__init__(exporter)
        self._redactor = redactor

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export redacted copies of `spans`."""
        return self.exporter.export([self._redactor.span(span) for span in spans])


class RedactingProcessor(SpanProcessor):
    """Any span processor, fed with redacted copies when spans end."""

    def __init__(self, processor: SpanProcessor, redactor: SpanRedactor) -> None:
        self.processor = processor
        self._redactor = redactor

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Pass on: what is set at the start is redacted at the end."""
        self.processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Pass on a redacted copy."""
        context = span.get_span_context()
        if context is not None and context.trace_flags.sampled:
            self.processor.on_end(self._redactor.span(span))

    def shutdown(self) -> None:
        """Shut the inner processor down."""
        self.processor.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the inner processor."""
        return self.processor.force_flush(timeout_millis)
