"""The exporters of spans that the settings name."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult

from foliotrace_otel.export.batch import DeferredExporter, collector_listens, quiet_exporters
from foliotrace_otel.export.redacting import RedactingExporter
from foliotrace_otel.export.span_encoding import SpanEncoder
from foliotrace_otel.export.span_redaction import Redactor, SpanRedactor
from foliotrace_otel.setup.environment import LangSmith, OTelSettings, set_aside_unusable


def span_exporters(settings: OTelSettings, redactor: Redactor) -> list[SpanExporter]:
    """One for each place the spans go to, with redaction; none where tracing is disabled."""
    if settings.disabled:
        return []
    # A collector forwards to LangSmith itself: send there only if none is named.
    langsmith = None if settings.endpoint_named else settings.langsmith
    spans = SpanRedactor(redactor, content=settings.capture_content)
    exporters: list[SpanExporter] = []
    if settings.exporter == "console" or settings.also_console:
        exporters.append(RedactingExporter(ConsoleSpanExporter(), spans))
    if settings.exporter == "otlp" and langsmith is None:
        make = partial(otlp_exporter, settings, SpanEncoder(spans))
        listens = partial(collector_listens, settings.protocol)
        named = settings.endpoint_named
        exporters.append(make() if named else DeferredExporter(make, reachable=listens))
    if langsmith is not None:
        exporters.append(_to_langsmith(langsmith, SpanEncoder(spans)))
    return exporters


def otlp_exporter(settings: OTelSettings, encoder: SpanEncoder) -> SpanExporter:
    """Over gRPC or HTTP to where the environment says; loads the SDK's exporter."""
    from foliotrace_otel.sdk_internals.otlp_exporters import RedactedOtlpExporter

    return RedactedOtlpExporter(encoder, grpc=settings.protocol == "grpc")


def _to_langsmith(langsmith: LangSmith, encoder: SpanEncoder) -> SpanExporter:
    from foliotrace_otel.sdk_internals.otlp_exporters import RedactedOtlpExporter

    return RedactedOtlpExporter(
        encoder,
        grpc=False,
        endpoint=f"{langsmith.endpoint}/otel/v1/traces",
        headers={"x-api-key": langsmith.api_key, "Langsmith-Project": langsmith.project},
    )


def collector_answers(settings: OTelSettings, *, timeout_s: float) -> bool:
    """Whether the collector takes one empty export within `timeout_s`."""
    quiet_exporters()
    set_aside_unusable()
    exporter = otlp_exporter(settings, SpanEncoder(SpanRedactor(Redactor(None), content=False)))
    results: list[SpanExportResult] = []
    in_time = all_within(timeout_s, [lambda: results.append(exporter.export(()))])
    exporter.shutdown()
    return in_time and results == [SpanExportResult.SUCCESS]


def all_within(timeout_s: float, work: Sequence[Callable[[], object]]) -> bool:
    """Run `work` side by side; whether all of it ended in time.

    In daemon threads, so that an exporter that hangs cannot keep the process from ending.
    """
    threads = [threading.Thread(target=one, daemon=True) for one in work]
    deadline_s = time.monotonic() + timeout_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)
