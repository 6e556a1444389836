"""Events as OTLP log records, redacted where they leave. Imported when there is one to send.

The SDK's logs interface still moves (its modules begin with an underscore); this is the one place
that knows it. Endpoints, TLS, headers, time-outs and compression are the `OTEL_EXPORTER_OTLP_*` and
`OTEL_EXPORTER_OTLP_LOGS_*` variables, read by the SDK's exporters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from opentelemetry import _logs, trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    ConsoleLogRecordExporter,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan

from foliotrace_otel.export.log_events import LogBackend, LogEvent
from foliotrace_otel.export.span_redaction import SpanRedactor
from foliotrace_otel.setup.environment import OTelSettings

SCOPE: Final = "foliotrace_otel"


@dataclass(frozen=True, slots=True)
class ExportedEvents:
    """A `LogBackend` over an exporter of ours."""

    exporter: LogRecordExporter
    resource: Resource
    redactor: SpanRedactor

    def send(self, events: Sequence[LogEvent]) -> bool:
        """See `LogBackend.send`."""
        resource = self.redactor.resource(self.resource)
        scope = InstrumentationScope(SCOPE)
        records = [
            ReadableLogRecord(_record(event, self.redactor), resource, scope) for event in events
        ]
        return self.exporter.export(records) is LogRecordExportResult.SUCCESS

    def close(self) -> None:
        """See `LogBackend.close`."""
        self.exporter.shutdown()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class ProgramsProvider:
    """A `LogBackend` over the logger provider of the program we are in; never shut down by us."""

    provider: LoggerProvider
    redactor: SpanRedactor

    def send(self, events: Sequence[LogEvent]) -> bool:
        """See `LogBackend.send`; sending is the provider's business from here on."""
        logger = self.provider.get_logger(SCOPE)
        for event in events:
            logger.emit(_record(event, self.redactor))
        return True

    def close(self) -> None:
        """It is not ours."""


def log_backend(settings: OTelSettings, resource: Resource, redactor: SpanRedactor) -> LogBackend:
    """The program's own logger provider if it has set one, else as the environment says."""
    provider = _logs.get_logger_provider()
    if isinstance(provider, LoggerProvider):
        return ProgramsProvider(provider, redactor)
    return ExportedEvents(_exporter(settings), resource, redactor)


def _exporter(settings: OTelSettings) -> LogRecordExporter:
    if settings.logs_exporter == "console":
        return ConsoleLogRecordExporter()
    if settings.logs_protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import (
            OTLPLogExporter as GrpcExporter,
        )

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http._log_exporter import (
        OTLPLogExporter as HttpExporter,
    )

    return HttpExporter()


def _record(event: LogEvent, redactor: SpanRedactor) -> LogRecord:
    attributes = {**redactor.attributes(event.attributes), **event.proofs}
    return LogRecord(
        timestamp=event.time_ns,
        observed_timestamp=event.time_ns,
        context=trace.set_span_in_context(NonRecordingSpan(event.span), Context()),
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        body=redactor.text(event.body),
        attributes=attributes,
        event_name=event.name,
    )
