"""The metrics: the conventions' own, this package's, and those that the program hands over.

OTel names have dots and no unit; `prometheus_name` follows OpenTelemetry's rules for Prometheus
(dots become underscores, the unit and `_total` are appended). Labels are closed sets of words:
never a user, a tenant, a query or a document.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Final, Literal, Protocol, TypeAlias

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)
_UNIT_SUFFIX: Final = {"s": "seconds", "By": "bytes"}


class InstrumentSpec(Protocol):
    """A metric of the program, for `configure(instruments=...)`; any object of this shape."""

    @property
    def name(self) -> str:
        """With dots and without a unit: "shop.orders"."""
        ...

    @property
    def kind(self) -> Kind:
        """Added to, set, or observed into."""
        ...

    @property
    def unit(self) -> str:
        """In UCUM: "s", "By", "1", "{item}"."""
        ...

    @property
    def description(self) -> str:
        """One sentence."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels; measurements give the values in this order."""
        ...

    @property
    def buckets(self) -> tuple[float, ...]:
        """Upper bounds of a histogram."""
        ...


Measurement: TypeAlias = tuple[str, float, tuple[str, ...]]
"""MetricDefinition name, value, label values in the instrument's order."""


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One metric. `name` as in OTel; `exact`: `name` is the Prometheus name as well."""

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


def _counter(name: str, description: str, *labels: str, unit: str = "1") -> MetricDefinition:
    return MetricDefinition(name, "counter", unit, description, labels)


def _gauge(name: str, description: str, *labels: str, unit: str = "{item}") -> MetricDefinition:
    # Not "1": for a gauge the translation to Prometheus takes that as a share, and adds `_ratio`.
    return MetricDefinition(name, "gauge", unit, description, labels)


def _seconds(name: str, description: str, *labels: str) -> MetricDefinition:
    return MetricDefinition(name, "histogram", "s", description, labels)


_MODEL_LABELS: Final = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model")

CONVENTIONAL: Final = (
    _seconds(
        "http.server.request.duration",
        "Duration of HTTP requests.",
        "http.request.method",
        "http.route",
        "http.response.status_code",
    ),
    _seconds(
        "gen_ai.client.operation.duration",
        "Duration of a model call.",
        *_MODEL_LABELS,
        "error.type",
    ),
    MetricDefinition(
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
    MetricDefinition(
        "llm_request_latency_seconds",
        "histogram",
        "s",
        "Duration of a model call, under the name dashboards know.",
        ("model",),
        exact=True,
    ),
    MetricDefinition(
        "llm_request_errors_total",
        "counter",
        "1",
        "Model calls that failed, under the name dashboards know.",
        ("model", "error_type"),
        exact=True,
    ),
)


@dataclass(frozen=True, slots=True)
class OwnInstruments:
    """What this package measures under the namespace of the product it serves."""

    requests: MetricDefinition
    request_duration: MetricDefinition
    stage_duration: MetricDefinition
    queue_depth: MetricDefinition
    handler_errors: MetricDefinition
    spans_dropped: MetricDefinition
    spans_exported: MetricDefinition
    log_events_dropped: MetricDefinition
    log_events_exported: MetricDefinition


def own_instruments(namespace: str) -> OwnInstruments:
    """The instruments with `namespace` before their names."""
    ours = f"{namespace}.telemetry"
    return OwnInstruments(
        requests=_counter(
            f"{namespace}.requests", "Runs of a workflow, by outcome.", "workflow", "outcome"
        ),
        request_duration=MetricDefinition(
            f"{namespace}.request.duration",
            "histogram",
            "s",
            "Duration of a run; of a job, until it has ended.",
            ("workflow", "outcome"),
            (*SECONDS, 120, 300, 900, 3600),
        ),
        stage_duration=_seconds(
            f"{namespace}.stage.duration", "Duration of a stage.", "stage", "error.type"
        ),
        queue_depth=_gauge(f"{namespace}.queue.depth", "Work waiting.", "queue"),
        handler_errors=_counter(f"{ours}.handler_errors", "Faults of the telemetry handlers."),
        spans_dropped=_counter(
            f"{ours}.spans_dropped", "Spans that reached no back end.", "reason"
        ),
        spans_exported=_counter(f"{ours}.spans_exported", "Spans a back end took."),
        log_events_dropped=_counter(
            f"{ours}.log_events_dropped",
            "Log events, such as audit checkpoints, that reached no back end.",
            "reason",
        ),
        log_events_exported=_counter(f"{ours}.log_events_exported", "Log events a back end took."),
    )


def instruments_of(
    own: OwnInstruments, more: Iterable[InstrumentSpec]
) -> tuple[MetricDefinition, ...]:
    """The metrics of the conventions, of this package and of the program."""
    named = (getattr(own, field.name) for field in fields(own))
    of_program = (
        MetricDefinition(i.name, i.kind, i.unit, i.description, i.labels, i.buckets) for i in more
    )
    return (*CONVENTIONAL, *named, *of_program)
