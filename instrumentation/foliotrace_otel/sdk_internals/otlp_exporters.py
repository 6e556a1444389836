"""The two OTLP span exporters: redacted and encoded by us, in the export thread.

They keep the SDK's transport (endpoints, TLS, headers, compression, retries, the
`OTEL_EXPORTER_OTLP_*` variables) and replace only the encoder. What the SDK's exporter is handed
is not spans but bytes that it cannot encode itself: should it no longer ask for our encoding, it
fails, and nothing leaves unredacted. Then redacted copies go through the SDK's encoder.

Imported when there is something to export: gRPC takes 0.25 s.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpExporter,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from foliotrace_otel.export.redacting import RedactingExporter
from foliotrace_otel.export.span_encoding import SpanEncoder
from foliotrace_otel.sdk_internals import fall_back


class EncodedBatch:
    """Encoded spans in place of a sequence of spans; only `_translate_data` below can read them."""

    def __init__(self, payload: bytes, spans: int) -> None:
        self.payload = payload
        self._spans = spans

    def __len__(self) -> int:
        return self._spans


class _EncodedGrpcExporter(GrpcExporter):
    """Private: `_translate_data`, which turns what was handed over into the request."""

    def _translate_data(self, data: Any) -> ExportTraceServiceRequest:  # noqa: ANN401 - see class
        request: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(data.payload)
        return request

    def send(self, batch: EncodedBatch) -> SpanExportResult:
        handed: Any = batch
        return self.export(handed)


class _EncodedHttpExporter(HttpExporter):
    """Private: `_shutdown`, and `_client`, which compresses, sends and retries."""

    def send(self, batch: EncodedBatch) -> SpanExportResult:
        if self._shutdown:
            return SpanExportResult.FAILURE
        sent = self._client.export(batch.payload)
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE


class RedactedOtlpExporter(SpanExporter):
    """OTLP over gRPC or HTTP. `endpoint` is for HTTP the whole URL, with `/v1/traces`."""

    def __init__(
        self,
        encoder: SpanEncoder,
        *,
        grpc: bool,
        endpoint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        kind = _EncodedGrpcExporter if grpc else _EncodedHttpExporter
        named = dict(headers) if headers else None
        self._encoder = encoder
        self._exporter: _EncodedGrpcExporter | _EncodedHttpExporter
        self._exporter = kind(endpoint=endpoint, headers=named)
        self._sdk: RedactingExporter | None = None
        self._make_sdk: Callable[[], SpanExporter] = lambda: (
            GrpcExporter if grpc else HttpExporter
        )(endpoint=endpoint, headers=named)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send `spans`."""
        if self._sdk is not None:
            return self._sdk.export(spans)
        batch = EncodedBatch(self._encoder.request(spans), len(spans))
        try:
            return self._exporter.send(batch)
        except (AttributeError, TypeError):  # a private name is gone, or used in another way
            fall_back("OTLP exporter")
            self._sdk = RedactingExporter(self._make_sdk(), self._encoder.redactor)
            return self._sdk.export(spans)

    def shutdown(self) -> None:
        """Shut down what was made; gives up what is being sent."""
        self._exporter.shutdown()
        if self._sdk is not None:
            self._sdk.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is buffered here."""
        return True
