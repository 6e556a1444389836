"""Every metric this product emits: name, kind, unit, labels, meaning. One table, in order of use.

OTel names have dots and no unit; `prometheus_name` follows OpenTelemetry's rules for Prometheus
(dots become underscores, the unit and `_total` are appended). Labels are closed sets of words:
never a user, a tenant, a query or a document.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)
_UNIT_SUFFIX: Final = {"s": "seconds", "By": "bytes"}


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric. `name` as in OTel; `exact` is a Prometheus name that must be kept as it is."""

    name: str
    kind: Kind
    unit: str
    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = SECONDS
    exact: bool = False

    @property
    def prometheus_name(self) -> str:
        """The name on /metrics; counters end with `_total`."""
        flat = self.name.replace(".", "_")
        suffix = _UNIT_SUFFIX.get(self.unit, "")
        if not self.exact and suffix and not flat.endswith(suffix):
            flat = f"{flat}_{suffix}"
        return f"{flat}_total" if self.kind == "counter" and not flat.endswith("_total") else flat

    @property
    def prometheus_labels(self) -> tuple[str, ...]:
        """The labels with underscores for dots."""
        return tuple(label.replace(".", "_") for label in self.labels)


def _counter(name: str, description: str, *labels: str, unit: str = "1") -> Instrument:
    return Instrument(name, "counter", unit, description, labels)


def _gauge(name: str, description: str, *labels: str, unit: str = "{item}") -> Instrument:
    # Not "1": for a gauge the translation to Prometheus takes that as a share, and adds `_ratio`.
    return Instrument(name, "gauge", unit, description, labels)


def _seconds(name: str, description: str, *labels: str) -> Instrument:
    return Instrument(name, "histogram", "s", description, labels)


_MODEL_LABELS: Final = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model")

INSTRUMENTS: Final[tuple[Instrument, ...]] = (
    _seconds(
        "http.server.request.duration",
        "Duration of HTTP requests.",
        "http.request.method",
        "http.route",
        "http.response.status_code",
    ),
    _counter("foliotrace.requests", "Runs of a workflow, by outcome.", "workflow", "outcome"),
    _seconds("foliotrace.request.duration", "Duration of a run.", "workflow", "outcome"),
    _seconds("foliotrace.stage.duration", "Duration of a stage.", "stage", "error.type"),
    _seconds(
        "gen_ai.client.operation.duration",
        "Duration of a model call.",
        *_MODEL_LABELS,
        "error.type",
    ),
    Instrument(
        "gen_ai.client.token.usage",
        "histogram",
        "{token}",
        "Tokens of a model call.",
        (*_MODEL_LABELS, "gen_ai.token.type"),
        TOKENS,
    ),
    _seconds(
        "gen_ai.client.operation.time_to_first_chunk",
        "Time to the first chunk of a streamed answer.",
        *_MODEL_LABELS,
    ),
    Instrument(
        "llm_request_latency_seconds",
        "histogram",
        "s",
        "Duration of a model call, under the name dashboards know.",
        ("model",),
        exact=True,
    ),
    Instrument(
        "llm_request_errors_total",
        "counter",
        "1",
        "Model calls that failed, under the name dashboards know.",
        ("model", "error_type"),
        exact=True,
    ),
    _counter("foliotrace.cost.usd", "Money spent on models.", "model", unit="{USD}"),
    _counter("foliotrace.budget.refused", "Calls refused by a budget.", "reason"),
    _counter("foliotrace.cache.requests", "Look-ups in a cache.", "cache", "result"),
    _counter(
        "foliotrace.degraded_answers",
        "Answers below the best configured path.",
        "level",
        "reason",
    ),
    _counter("foliotrace.fallbacks", "Moves to the next rung.", "from", "to"),
    _counter("foliotrace.retries", "Calls repeated.", "dependency", "reason"),
    _gauge("foliotrace.breaker.open", "1 while a breaker is open.", "dependency"),
    _counter("foliotrace.breaker.transitions", "State changes of a breaker.", "dependency", "to"),
    _gauge("foliotrace.queue.depth", "Work waiting.", "queue"),
    _counter("foliotrace.queue.refused", "Work refused because a queue was full.", "queue"),
    _counter("foliotrace.ingest.documents", "Documents finished.", "outcome"),
    _counter("foliotrace.ingest.pages", "Pages parsed.", "parser"),
    _counter("foliotrace.ingest.chunks", "Chunks written."),
    _counter("foliotrace.ingest.failures", "Documents or pages that failed.", "code"),
    _counter("foliotrace.extract.records", "Records extracted.", "outcome"),
    _counter("foliotrace.audit.records", "Audit records written.", "event"),
    _counter("foliotrace.audit.failures", "Audit records that could not be written.", "reason"),
    _seconds("foliotrace.audit.sync.duration", "Time to make audit records durable."),
    _counter("foliotrace.telemetry.handler_errors", "Faults of the telemetry handlers."),
    _counter("foliotrace.telemetry.spans_dropped", "Spans that reached no back end.", "reason"),
    _counter("foliotrace.telemetry.spans_exported", "Spans a back end took."),
    _counter(
        "foliotrace.telemetry.log_events_dropped",
        "Log events, such as audit checkpoints, that reached no back end.",
        "reason",
    ),
    _counter("foliotrace.telemetry.log_events_exported", "Log events a back end took."),
)

BY_NAME: Final = {instrument.name: instrument for instrument in INSTRUMENTS}
