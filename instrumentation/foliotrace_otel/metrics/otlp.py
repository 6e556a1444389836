"""Sending the metrics store over OTLP, every interval, in its own thread."""

import logging
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
    OTLPMetricExporter as GrpcExporter,
)
from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
    OTLPMetricExporter as HttpExporter,
)
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Exemplar as KeptExemplar
from prometheus_client.samples import Sample

from foliotrace_otel.export.span_redaction import SpanRedactor
from foliotrace_otel.metrics.instruments import MetricDefinition
from foliotrace_otel.metrics.registry import Metrics
from foliotrace_otel.setup.environment import OTelSettings

_SCOPE: Final = InstrumentationScope("foliotrace_otel")
_log = logging.getLogger(__name__)
_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE


class MetricsSender:
    """Sends a snapshot of the store; `stop` sends a last one."""

    def __init__(
        self,
        metrics: Metrics,
        exporter: MetricExporter,
        interval_s: float,
        resource: Resource | None = None,
    ) -> None:
        self._metrics = metrics
        self._exporter = exporter
        self._interval_s = interval_s
        self._started_ns = time.time_ns()
        self._stopping = threading.Event()
        self._resource = resource or Resource({})
        self._thread = threading.Thread(target=self._run, name="otel-metrics", daemon=True)

    def start(self) -> "MetricsSender":
        """Begin sending."""
        self._thread.start()
        return self

    def send(self) -> None:
        """Send one snapshot now."""
        self._exporter.export(snapshot(self._metrics, self._resource, self._started_ns))

    def stop(self, timeout_s: float) -> None:
        """Send the last snapshot and stop, waiting at most `timeout_s`."""
        self._stopping.set()
        self._thread.join(timeout_s)
        self._exporter.shutdown()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self._try_to_send()
        self._try_to_send()

    def _try_to_send(self) -> None:
        try:
            self.send()
        except Exception:  # noqa: BLE001 - an exporter's own fault must not end the thread
            _log.warning("telemetry.metrics_not_sent", exc_info=True)


def metrics_sender(
    metrics: Metrics, resource: Resource, settings: OTelSettings, redactor: SpanRedactor
) -> MetricsSender:
    """A sender to the endpoint the environment names, not yet started."""
    exporter = GrpcExporter() if settings.metrics_protocol == "grpc" else HttpExporter()
    about = redactor.resource(resource)
    return MetricsSender(metrics, exporter, settings.metrics_interval_ms / 1e3, about)


def snapshot(metrics: Metrics, resource: Resource, started_ns: int) -> MetricsData:
    """The store as OTLP metrics under their OTel names, cumulative since `started_ns`."""
    # prometheus_client reports a counter's family without the suffix of its samples.
    by_flat = {i.prometheus_name.removesuffix("_total"): i for i in metrics.instruments}
    now_ns = time.time_ns()
    exported = [
        _metric(by_flat[family.name], family, started_ns, now_ns)
        for family in metrics.registry.collect()
        if family.name in by_flat and family.samples
    ]
    scope = ScopeMetrics(scope=_SCOPE, metrics=exported, schema_url="")
    return MetricsData([ResourceMetrics(resource=resource, scope_metrics=[scope], schema_url="")])


def _metric(instrument: MetricDefinition, family: Family, started_ns: int, now_ns: int) -> Metric:
    shaped: Sum | Gauge | Histogram
    if instrument.kind == "histogram":
        shaped = Histogram(
            list(_histogram_points(instrument, family, started_ns, now_ns)), _CUMULATIVE
        )
    else:
        points = [
            NumberDataPoint(_attributes(instrument, sample), started_ns, now_ns, sample.value)
            for sample in family.samples
            if not sample.name.endswith("_created")
        ]
        is_sum = instrument.kind == "counter"
        shaped = Sum(points, _CUMULATIVE, is_monotonic=True) if is_sum else Gauge(points)
    return Metric(instrument.name, instrument.description, instrument.unit, shaped)


def _histogram_points(
    instrument: MetricDefinition, family: Family, started_ns: int, now_ns: int
) -> Iterator[HistogramDataPoint]:
    grouped: dict[tuple[tuple[str, str], ...], dict[str, list[float]]] = {}
    exemplars: dict[tuple[tuple[str, str], ...], list[Exemplar]] = {}
    for sample in family.samples:
        labels = {k: v for k, v in sample.labels.items() if k != "le"}
        kind = sample.name.rpartition("_")[2]
        grouped.setdefault(tuple(labels.items()), {}).setdefault(kind, []).append(sample.value)
        if sample.exemplar is not None:
            exemplars.setdefault(tuple(labels.items()), []).append(_exemplar(sample.exemplar))
    for key, kinds in grouped.items():
        cumulative = [0.0, *kinds["bucket"]]
        counts = [int(b - a) for a, b in pairwise(cumulative)]
        yield HistogramDataPoint(
            attributes=_named(instrument, dict(key)),
            start_time_unix_nano=started_ns,
            time_unix_nano=now_ns,
            count=int(kinds["count"][0]),
            sum=kinds["sum"][0],
            bucket_counts=counts,
            explicit_bounds=list(instrument.buckets),
            # prometheus_client keeps neither smallest nor largest value; both are optional in OTLP
            min=None,  # type: ignore[arg-type] # the SDK's own type does not know that
            max=None,  # type: ignore[arg-type] # likewise
            exemplars=exemplars.get(key, []),
        )


def _exemplar(kept: KeptExemplar) -> Exemplar:
    return Exemplar(
        filtered_attributes={},
        value=kept.value,
        time_unix_nano=int(float(kept.timestamp or 0) * 1e9),
        span_id=int(kept.labels["span_id"], 16),
        trace_id=int(kept.labels["trace_id"], 16),
    )


def _attributes(instrument: MetricDefinition, sample: Sample) -> dict[str, str]:
    return _named(instrument, sample.labels)


def _named(instrument: MetricDefinition, labels: dict[str, str]) -> dict[str, str]:
    back = dict(zip(instrument.prometheus_labels, instrument.labels, strict=True))
    return {back[k]: v for k, v in labels.items() if v}
