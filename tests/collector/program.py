"""A program under the real OpenTelemetry SDK that exports to a collector."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource  # noqa: TID251 - stands for any sender
from opentelemetry.sdk.trace import TracerProvider  # noqa: TID251 - stands for any sender
from opentelemetry.sdk.trace.export import (  # noqa: TID251 - stands for any sender
    BatchSpanProcessor,
    SpanExporter,
)
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue
from tests.collector.processes import Collector

Attributes = Mapping[str, AttributeValue]
Protocol = Literal["grpc", "http"]


class Program:
    """Sends the spans a query of foliotrace has, in a smaller shape."""

    def __init__(
        self, collector: Collector, protocol: Protocol, resource: Attributes | None = None
    ):
        exporter: SpanExporter
        if protocol == "grpc":
            exporter = GrpcExporter(endpoint=collector.grpc, insecure=True)
        else:
            exporter = HttpExporter(endpoint=f"http://{collector.http}/v1/traces")
        self.provider = TracerProvider(
            resource=Resource.create({"service.name": "foliotrace-test", **(resource or {})}),
            shutdown_on_exit=False,
        )
        self.provider.add_span_processor(
            BatchSpanProcessor(exporter, max_queue_size=32_768, schedule_delay_millis=200)
        )
        self.tracer: Tracer = self.provider.get_tracer("tests.collector")

    def query(
        self,
        attributes: Attributes | None = None,
        *,
        root: Attributes | None = None,
        context: Context | None = None,
        error: str | None = None,
    ) -> str:
        """Send one trace: a server span over a stage over a model call; gives the trace id.

        `attributes` go on the model call, `root` on the server span.
        """
        tracer = self.tracer
        with (
            tracer.start_as_current_span(
                "POST /v1/query", context, kind=SpanKind.SERVER, attributes=root
            ) as server,
            tracer.start_as_current_span("synthesize"),
            tracer.start_as_current_span(
                "chat small", kind=SpanKind.CLIENT, attributes=attributes
            ) as call,
        ):
            if error is not None:
                call.add_event("exception", {"exception.message": error})
                call.set_status(Status(StatusCode.ERROR, error))
        return trace_id(server)

    def flush(self) -> None:
        assert self.provider.force_flush(20_000)


def trace_id(span: Span) -> str:
    return format(span.get_span_context().trace_id, "032x")


@contextmanager
def program(
    collector: Collector, protocol: Protocol = "grpc", resource: Attributes | None = None
) -> Iterator[Program]:
    """A running program; what it still holds is flushed at the end."""
    sender = Program(collector, protocol, resource)
    try:
        yield sender
        sender.flush()
    finally:
        sender.provider.shutdown()
