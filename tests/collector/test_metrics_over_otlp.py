"""A metric has one name, whether Prometheus scrapes the service or the collector."""

import re
from collections.abc import Callable

import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from tests.collector.processes import Collector, eventually

from foliotrace.events import INSTRUMENTS, NAMESPACE
from foliotrace_otel.metrics.otlp import MetricsSender
from foliotrace_otel.metrics.registry import Metrics, prometheus_text

pytestmark = pytest.mark.real_servers


def sample_names(text: str) -> set[str]:
    names = re.findall(r"^(\w+)\{?", text, re.MULTILINE)
    return {name for name in names if not name.endswith("_created") and name != "target_info"}


def test_every_instrument_keeps_its_name_through_the_collector(
    run_collector: Callable[..., Collector],
) -> None:
    collector = run_collector()
    metrics = Metrics(INSTRUMENTS, namespace=NAMESPACE)
    for instrument in metrics.instruments:
        metrics.record(instrument.name, 1.0, dict.fromkeys(instrument.labels, "word"))
    exporter = OTLPMetricExporter(endpoint=collector.grpc, insecure=True)
    MetricsSender(metrics, exporter, interval_s=3600).send()
    exporter.shutdown()
    scraped = eventually(collector.span_metrics)
    at_the_service = sample_names(prometheus_text(metrics)[0].decode())
    assert len(at_the_service) >= len(metrics.instruments)
    assert at_the_service - sample_names(scraped) == set()
