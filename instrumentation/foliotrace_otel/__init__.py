"""OpenTelemetry for LlamaIndex programs: spans, events, metrics, logs, redaction.

from foliotrace_otel import configure

telemetry = configure(service_name="my-service", namespace="shop", instruments=SHOP_INSTRUMENTS)
...
telemetry.shutdown(timeout_s=5)

A program's own LlamaIndex events become span attributes and measurements by their shape alone: see
`HasSpanAttributes`, `HasMeasurements` and `InstrumentSpec`.
"""

from foliotrace_otel.export.log_events import LogEvents
from foliotrace_otel.export.span_redaction import Redactor
from foliotrace_otel.http import TracingMiddleware
from foliotrace_otel.metrics.instruments import InstrumentSpec
from foliotrace_otel.metrics.registry import Metrics, prometheus_text
from foliotrace_otel.setup.configure import Telemetry, configure
from foliotrace_otel.setup.environment import (
    OTelSettings,
    TelemetryError,
    TelemetrySettingInvalid,
    read_environment,
)
from foliotrace_otel.setup.logging import configure_logging
from foliotrace_otel.spans.carried_context import (
    entry_attributes,
    own_trace,
    separate_trace,
    traceparent,
)
from foliotrace_otel.spans.content import ContentCapture
from foliotrace_otel.spans.event_handler import HasMeasurements, HasSpanAttributes

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
    "TelemetryError",
    "TelemetrySettingInvalid",
    "TracingMiddleware",
    "configure",
    "configure_logging",
    "entry_attributes",
    "own_trace",
    "prometheus_text",
    "read_environment",
    "separate_trace",
    "traceparent",
]
