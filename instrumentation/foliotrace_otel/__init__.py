"""OpenTelemetry for LlamaIndex programs: spans, events, metrics, logs, redaction.

from foliotrace_otel import configure

telemetry = configure(service_name="my-service", namespace="shop", instruments=SHOP_INSTRUMENTS)
...
telemetry.shutdown(timeout_s=5)

A program's own LlamaIndex events become span attributes and measurements by their shape alone: see
`HasSpanAttributes`, `HasMeasurements` and `InstrumentSpec`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from foliotrace_otel.content.capture import ContentCapture
    from foliotrace_otel.export.log_events import LogEvents
    from foliotrace_otel.export.span_redaction import Redactor
    from foliotrace_otel.http import TracingMiddleware
    from foliotrace_otel.metrics.instruments import InstrumentSpec
    from foliotrace_otel.metrics.registry import Metrics, prometheus_text
    from foliotrace_otel.setup.configure import Telemetry, configure
    from foliotrace_otel.setup.environment import OTelSettings, read_environment
    from foliotrace_otel.setup.logging import configure_logging
    from foliotrace_otel.spans.carried_context import (
        entry_attributes,
        own_trace,
        separate_trace,
        traceparent,
    )
    from foliotrace_otel.spans.event_handler import HasMeasurements, HasSpanAttributes
    from foliotrace_otel.spans.run_attributes import using_attributes

_WHERE: Final = {
    "ContentCapture": "foliotrace_otel.content.capture",
    "HasMeasurements": "foliotrace_otel.spans.event_handler",
    "HasSpanAttributes": "foliotrace_otel.spans.event_handler",
    "InstrumentSpec": "foliotrace_otel.metrics.instruments",
    "LogEvents": "foliotrace_otel.export.log_events",
    "Metrics": "foliotrace_otel.metrics.registry",
    "OTelSettings": "foliotrace_otel.setup.environment",
    "Redactor": "foliotrace_otel.export.span_redaction",
    "Telemetry": "foliotrace_otel.setup.configure",
    "TracingMiddleware": "foliotrace_otel.http",
    "configure": "foliotrace_otel.setup.configure",
    "configure_logging": "foliotrace_otel.setup.logging",
    "entry_attributes": "foliotrace_otel.spans.carried_context",
    "own_trace": "foliotrace_otel.spans.carried_context",
    "prometheus_text": "foliotrace_otel.metrics.registry",
    "read_environment": "foliotrace_otel.setup.environment",
    "separate_trace": "foliotrace_otel.spans.carried_context",
    "traceparent": "foliotrace_otel.spans.carried_context",
    "using_attributes": "foliotrace_otel.spans.run_attributes",
}
"""Imported when first used: the SDK and its exporters take a third of a second."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    where = _WHERE.get(name)
    if where is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(where), name)
    return found


__all__ = [
    "ContentCapture",
    "HasMeasurements",
    "HasSpanAttributes",
    "InstrumentSpec",
    "LogEvents",
    "Metrics",
    "OTelSettings",
    "Redactor",
    "Telemetry",
    "TracingMiddleware",
    "configure",
    "configure_logging",
    "entry_attributes",
    "own_trace",
    "prometheus_text",
    "read_environment",
    "separate_trace",
    "traceparent",
    "using_attributes",
]
