"""OpenTelemetry for LlamaIndex programs: spans, events, metrics, logs, redaction.

from foliotrace_otel import configure

telemetry = configure(service_name="my-service")
...
telemetry.shutdown(timeout_s=5)
"""

from foliotrace_otel.asgi import TracingMiddleware
from foliotrace_otel.environment import TelemetrySettings, read_environment
from foliotrace_otel.errors import TelemetryError, TelemetrySettingInvalid
from foliotrace_otel.log_events import LogEvents
from foliotrace_otel.logging import configure_logging
from foliotrace_otel.metrics import Metrics, prometheus_text
from foliotrace_otel.propagation import entry_attributes, separate_trace, traceparent
from foliotrace_otel.redaction import Redactor
from foliotrace_otel.telemetry import Telemetry, configure

__all__ = [
    "LogEvents",
    "Metrics",
    "Redactor",
    "Telemetry",
    "TelemetryError",
    "TelemetrySettingInvalid",
    "TelemetrySettings",
    "TracingMiddleware",
    "configure",
    "configure_logging",
    "entry_attributes",
    "prometheus_text",
    "read_environment",
    "separate_trace",
    "traceparent",
]
