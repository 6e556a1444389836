"""The two OTLP exporters: redacted and encoded by us, in the export thread. Imported when needed.

They keep the SDK's transport (endpoints, TLS, headers, compression, retries, the
`OTEL_EXPORTER_OTLP_*` variables) and replace only the encoder. Both touch a private method of the
SDK, which tests/otel/test_telemetry_setup.py holds to the installed version.
"""

from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpExporter,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from foliotrace_otel.export.span_encoding import SpanEncoder


class RedactedGrpcExporter(GrpcExporter):
    """OTLP over gRPC with our encoder."""

    def __init__(
        self,
        encoder: SpanEncoder,
        *,
        endpoint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(endpoint=endpoint, headers=dict(headers) if headers else None)
        self._encoder = encoder

    def _translate_data(self, data: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
        request: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(
            self._encoder.request(data)
        )
        return request


class RedactedHttpExporter(HttpExporter):
    """OTLP over HTTP with our encoder. `endpoint` is the whole URL, with `/v1/traces`."""

    def __init__(
        self,
        encoder: SpanEncoder,
        *,
        endpoint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(endpoint=endpoint, headers=dict(headers) if headers else None)
        self._encoder = encoder

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send `spans`; the SDK's client compresses and retries."""
        if self._shutdown:
            return SpanExportResult.FAILURE
        sent = self._client.export(self._encoder.request(spans))
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE
