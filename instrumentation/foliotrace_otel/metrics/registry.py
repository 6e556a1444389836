"""The registry of metrics: recording them, and exposing them to Prometheus.

Measured (bench/tracing.py prints it): recording into prometheus_client with the label set looked up
once costs about a fifth of the OpenTelemetry SDK's, so there is one store, in prometheus_client;
otlp.py sends the same store over OTLP.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Any, Final, TypeAlias

from opentelemetry import trace
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from foliotrace_otel.metrics.histogram import Histogram
from foliotrace_otel.metrics.instruments import (
    InstrumentSpec,
    Measurement,
    MetricDefinition,
    OwnInstruments,
    instruments_of,
    own_instruments,
)
from foliotrace_otel.semconv import NAMESPACE

MOST_SERIES: Final = 256  # label sets per instrument; what comes later is counted as "other"
SLOW_S: Final = 0.1  # from here on a duration carries its trace as an exemplar
_MOST_LABEL_CHARS: Final = 80
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_log = logging.getLogger(__name__)

Family: TypeAlias = Counter | Gauge | Histogram
Labels: TypeAlias = Mapping[str, str]


class Series:
    """One instrument: `record` adds to a counter, sets a gauge, observes into a histogram."""

    __slots__ = ("_children", "_family", "_labels", "_redact", "instrument")

    def __init__(
        self,
        instrument: MetricDefinition,
        registry: CollectorRegistry,
        redact: Callable[[str], str] = str,
    ) -> None:
        self.instrument = instrument
        self._labels = instrument.labels
        self._redact = redact
        self._family = _family(instrument, registry)
        self._children: dict[tuple[str, ...], Callable[[float], None]] = {}

    def record(self, value: float, values: tuple[str, ...]) -> None:
        """Record `value` under label `values`, in the instrument's order."""
        try:
            self._children[values](value)
        except KeyError:
            self._first(values)(value)

    def watch(self, read: Callable[[], float], values: tuple[str, ...]) -> None:
        """Read the gauge's value from `read`. Raises TypeError for another kind."""
        child = self._family.labels(*values)
        if not isinstance(child, Gauge):
            raise TypeError(f"{self.instrument.name} is no gauge")
        child.set_function(read)

    def ordered(self, labels: Labels) -> tuple[str, ...]:
        """The values of `labels` in the instrument's order, "" where one is missing."""
        return tuple([labels.get(label, "") for label in self._labels])

    def _first(self, values: tuple[str, ...]) -> Callable[[float], None]:
        if len(values) != len(self._labels):
            msg = f"{self.instrument.name} has labels {self._labels}, got {len(values)} values"
            raise ValueError(msg)
        cut = tuple(self._redact(str(value))[:_MOST_LABEL_CHARS] for value in values)
        if len(self._children) >= MOST_SERIES:
            return _recording(self._family, self.instrument, tuple("other" for _ in values))
        # Under the values as passed, not as cut: the next record finds them without cutting again.
        self._children[values] = child = _recording(self._family, self.instrument, cut)
        return child


class Metrics:
    """All instruments, in one registry. Recording takes one to two microseconds.

    `instruments`: the program's own. `namespace`: goes before the names of what this package
    measures itself (`<namespace>.stage.duration`). `redact`: applied to each new label value.
    """

    def __init__(
        self,
        instruments: Iterable[InstrumentSpec] = (),
        *,
        namespace: str = NAMESPACE,
        redact: Callable[[str], str] = str,
    ) -> None:
        self.registry = CollectorRegistry()
        self.namespace = namespace
        self.own: OwnInstruments = own_instruments(namespace)
        self.instruments = instruments_of(self.own, instruments)
        self.series: dict[str, Series] = {
            i.name: Series(i, self.registry, redact) for i in self.instruments
        }
        self._lock = Lock()
        self._unknown: set[str] = set()

    def count(self, name: str, amount: float = 1, /, labels: Labels | None = None) -> None:
        """Add `amount` to counter `name`."""
        self.record(name, amount, labels)

    def record(self, name: str, value: float, /, labels: Labels | None = None) -> None:
        """Record under instrument `name`; a name not in the table is logged once, not raised."""
        series = self.series.get(name)
        if series is None:
            self._note_unknown(name)
            return
        series.record(value, series.ordered(labels) if labels else _blank(series.instrument))

    def record_all(self, measurements: Iterable[Measurement]) -> None:
        """Record what an event measured; a name not in the table is logged once, not raised."""
        for name, value, labels in measurements:
            series = self.series.get(name)
            if series is None:
                self._note_unknown(name)
            else:
                series.record(value, labels)

    def watch(self, name: str, read: Callable[[], float], /, labels: Labels) -> None:
        """Let each scrape or export call `read` for gauge `name`; any thread may do so."""
        series = self.series[name]
        series.watch(read, series.ordered(labels))

    def model_call(self, duration_s: float, labels: Labels) -> None:
        """A model call that succeeded."""
        self.record("gen_ai.client.operation.duration", duration_s, labels)
        self.record("llm_request_latency_seconds", duration_s, _model(labels))

    def model_failure(self, duration_s: float, labels: Labels, error_type: str) -> None:
        """A model call that failed."""
        failed = {**labels, "error.type": error_type}
        self.record("gen_ai.client.operation.duration", duration_s, failed)
        self.record("llm_request_latency_seconds", duration_s, _model(labels))
        self.count("llm_request_errors_total", 1, {**_model(labels), "error_type": error_type})

    def tokens(self, input_tokens: int, output_tokens: int, labels: Labels) -> None:
        """Tokens of one model call."""
        name = "gen_ai.client.token.usage"
        self.record(name, input_tokens, {**labels, "gen_ai.token.type": "input"})
        self.record(name, output_tokens, {**labels, "gen_ai.token.type": "output"})

    def first_chunk(self, seconds: float, labels: Labels) -> None:
        """Time to the first chunk of a stream."""
        self.record("gen_ai.client.operation.time_to_first_chunk", seconds, labels)

    def _note_unknown(self, name: str) -> None:
        with self._lock:
            if name in self._unknown or len(self._unknown) >= MOST_SERIES:
                return
            self._unknown.add(name)
        _log.warning("telemetry.unknown_instrument", extra={"instrument": name})


def prometheus_text(metrics: Metrics, *, accept: str = "") -> tuple[bytes, str]:
    """The body and content type for `/metrics`: OpenMetrics if `accept` asks, else classic text."""
    if "application/openmetrics-text" in accept:
        body: bytes = generate_openmetrics(metrics.registry)  # type: ignore[no-untyped-call] # no types
        return body, OPENMETRICS
    return generate_latest(metrics.registry), _TEXT


def _model(labels: Labels) -> dict[str, str]:
    return {"model": labels.get("gen_ai.request.model", "")}


def _blank(instrument: MetricDefinition) -> tuple[str, ...]:
    return ("",) * len(instrument.labels)


def _family(instrument: MetricDefinition, registry: CollectorRegistry) -> Family:
    common: dict[str, Any] = {
        "name": instrument.prometheus_name,
        "documentation": instrument.description,
        "labelnames": instrument.prometheus_labels,
        "registry": registry,
    }
    if instrument.kind == "counter":
        return Counter(**common)
    if instrument.kind == "gauge":
        return Gauge(**common)
    if instrument.unit != "s":
        return Histogram(**common, buckets=instrument.buckets)
    return Histogram(**common, buckets=instrument.buckets, slow=SLOW_S, exemplar=_exemplar)


def _recording(
    family: Family, instrument: MetricDefinition, values: tuple[str, ...]
) -> Callable[[float], None]:
    if isinstance(family, Histogram):
        return family.labels(*values).observe
    child = family.labels(*values) if values else family
    return child.inc if isinstance(child, Counter) else child.set


def _exemplar() -> dict[str, str] | None:
    """The trace that a slow measurement belongs to, if it is sampled."""
    context = trace.get_current_span().get_span_context()
    if not context.trace_flags.sampled:
        return None
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
