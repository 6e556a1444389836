"""Metrics keep their names and bounds and go out both ways; log lines are one redacted format."""

import io
import json
import logging
import re
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import structlog
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from prometheus_client.parser import text_string_to_metric_families
from tests.otel.recorded_spans import recording
from tests.otlp_sink import OtlpSink

from foliotrace import events
from foliotrace.events import INSTRUMENTS, NAMESPACE
from foliotrace_otel import Metrics, Redactor, configure_logging, prometheus_text
from foliotrace_otel.metrics.otlp import MetricsSender, snapshot
from foliotrace_otel.metrics.registry import MOST_SERIES
from foliotrace_otel.setup.configure import configure


def test_every_instrument_is_on_the_page_under_its_prometheus_name() -> None:
    body, content_type = prometheus_text(Metrics(INSTRUMENTS, namespace=NAMESPACE))
    families = {f.name: f for f in text_string_to_metric_families(body.decode())}
    for instrument in Metrics(INSTRUMENTS, namespace=NAMESPACE).instruments:
        name = instrument.prometheus_name.removesuffix("_total")
        assert name in families
        assert families[name].documentation == instrument.description
    assert content_type.startswith("text/plain")
    assert {"llm_request_latency_seconds", "llm_request_errors"} <= set(families)


def test_openmetrics_is_served_to_who_asks_for_it() -> None:
    body, content_type = prometheus_text(
        Metrics(INSTRUMENTS, namespace=NAMESPACE), accept="application/openmetrics-text"
    )
    assert body.endswith(b"# EOF\n")
    assert content_type.startswith("application/openmetrics-text")


def test_a_slow_measurement_names_its_trace_on_the_page_and_over_otlp() -> None:
    metrics = Metrics(INSTRUMENTS, namespace=NAMESPACE)
    labels = {"http.route": "/v1/query"}
    with recording() as seen, seen.tree.tracer.start_as_current_span("POST /v1/query") as span:
        trace_id = f"{span.get_span_context().trace_id:032x}"
        metrics.record("http.server.request.duration", 0.01, labels)
        metrics.record("http.server.request.duration", 3.0, labels)
    page = prometheus_text(metrics, accept="application/openmetrics-text")[0].decode()
    (line,) = [line for line in page.splitlines() if trace_id in line]
    assert 'le="5.0"' in line
    sent = snapshot(metrics, Resource({}), 0).resource_metrics[0].scope_metrics[0].metrics
    (durations,) = [m for m in sent if m.name == "http.server.request.duration"]
    (exemplar,) = durations.data.data_points[0].exemplars
    assert f"{exemplar.trace_id:032x}" == trace_id
    assert exemplar.value == 3.0


def test_no_label_grows_without_bound() -> None:
    metrics = Metrics(INSTRUMENTS, namespace=NAMESPACE)
    for number in range(MOST_SERIES * 4):
        metrics.count("foliotrace.retries", 1, {"dependency": f"d{number}", "reason": "x" * 500})
    page = prometheus_text(metrics)[0].decode()
    lines = re.findall(r"^foliotrace_retries_total\{.*$", page, flags=re.MULTILINE)
    assert len(lines) == MOST_SERIES + 1
    assert 'dependency="other"' in page
    assert max(map(len, lines)) < 200


def test_an_unknown_name_is_said_once_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(INSTRUMENTS, namespace=NAMESPACE)
    with caplog.at_level(logging.WARNING, logger="foliotrace_otel.metrics.registry"):
        for _ in range(3):
            metrics.count("foliotrace.no_such_thing")
    assert [r.message for r in caplog.records] == ["telemetry.unknown_instrument"]


def test_no_instrument_has_a_label_that_names_a_person_or_a_document() -> None:
    forbidden = re.compile(r"user|tenant|session|query|document_id|run|trace")
    assert not [
        i.name
        for i in Metrics(INSTRUMENTS).instruments
        if any(forbidden.search(x) for x in i.labels)
    ]


@pytest.mark.parametrize("sampled", [True, False])
def test_domain_events_move_the_metrics(sampled: bool) -> None:
    sampler = None if sampled else ParentBased(ALWAYS_OFF)
    with recording(sampler=sampler) as seen, events.stage("synthesize"):
        events.emit(
            events.QueryAnswered(
                run_id="run_1",
                level=2,
                reasons=("index_timeout", "llm_down"),
                retrieval_mode="keyword",
                answer_mode="extractive",
                citations=0,
                cache="miss",
            )
        )
        paid = Decimal("0.25")
        events.emit(
            events.ModelCallPaid(model="m", prompt_tokens=1, completion_tokens=1, cost_usd=paid)
        )
        events.emit(events.BreakerChanged(dependency="index", status="open"))
    value = seen.metrics.registry.get_sample_value
    degraded = {"level": "2", "reason": "index_timeout"}
    assert value("foliotrace_degraded_answers_total", degraded) == 1
    second = {"level": "2", "reason": "llm_down"}  # one answer counts once, for a share's sake
    assert value("foliotrace_degraded_answers_total", second) is None
    assert value("foliotrace_cost_usd_total", {"model": "m"}) == 0.25
    assert value("foliotrace_breaker_open", {"dependency": "index"}) == 1
    assert value("foliotrace_cache_requests_total", {"cache": "answer", "result": "miss"}) == 1
    assert seen.tree.faults == 0


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_metrics_go_out_over_otlp_under_their_otel_names(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OtlpSink() as sink:
        grpc = protocol == "grpc"
        endpoint = sink.grpc_endpoint if grpc else sink.http_endpoint
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "otlp")
        telemetry = configure(instruments=INSTRUMENTS, namespace=NAMESPACE, set_global=False)
        telemetry.metrics.count("foliotrace.degraded_answers", 3, {"level": "2", "reason": "r"})
        telemetry.metrics.record("foliotrace.stage.duration", 0.02, {"stage": "retrieve"})
        assert telemetry.shutdown(5)
        (sent,) = sink.of("metrics")
    exported = {m.name: m for m in sent.message.resource_metrics[0].scope_metrics[0].metrics}
    (point,) = exported["foliotrace.degraded_answers"].sum.data_points
    assert point.as_double == 3
    assert {a.key: a.value.string_value for a in point.attributes} == {"level": "2", "reason": "r"}
    (histogram,) = exported["foliotrace.stage.duration"].histogram.data_points
    assert (histogram.count, sum(histogram.bucket_counts)) == (1, 1)
    assert not histogram.HasField("min")  # unknown, not 0
    assert not histogram.HasField("max")
    assert len(histogram.bucket_counts) == len(histogram.explicit_bounds) + 1


def test_sending_metrics_goes_on_after_the_exporter_broke() -> None:
    tries: list[int] = []

    class Dead:
        def export(self, data: Any, **kwargs: Any) -> None:
            tries.append(1)
            raise ConnectionError

        def shutdown(self, **kwargs: Any) -> None: ...

    sender = MetricsSender(
        Metrics(),
        Dead(),  # type: ignore[arg-type] # a stand-in
        0.001,
    ).start()
    while len(tries) < 3:
        time.sleep(0.001)
    sender.stop(1)


@pytest.fixture
def lines() -> Iterator[Any]:
    stream = io.StringIO()
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    configure_logging(Redactor(b"k"), stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers, root.level = before[0], before[1]
    structlog.reset_defaults()


def test_structlog_and_the_standard_library_share_one_redacted_format(lines: Any) -> None:
    with (
        recording() as seen,
        seen.provider.get_tracer("t").start_as_current_span("x") as span,
    ):
        structlog.get_logger("a").info("query.answered", who="jane@example.org", level_reached=2)
        logging.getLogger("b").warning("lost %s", "jane@example.org", extra={"api_key": "hunter2"})
    ours, theirs = lines()
    context = span.get_span_context()
    for line in (ours, theirs):
        assert line["trace_id"] == f"{context.trace_id:032x}"
        assert line["span_id"] == f"{context.span_id:016x}"
        assert "jane@" not in json.dumps(line)
        assert line["timestamp"].endswith("Z")
    assert (ours["event"], ours["level"], ours["level_reached"]) == ("query.answered", "info", 2)
    assert theirs["event"].startswith("lost <EMAIL:")
    assert theirs["api_key"].startswith("<SECRET:")


def test_an_exception_is_structured_and_redacted(lines: Any) -> None:
    try:
        raise ValueError("card 4111 1111 1111 1111")
    except ValueError:
        logging.getLogger("b").exception("failed")
    (line,) = lines()
    assert "4111 1111" not in json.dumps(line)
    assert line["exception"][0]["exc_type"] == "ValueError"


def test_http_clients_are_quiet_and_lines_outside_a_span_have_no_ids(lines: Any) -> None:
    logging.getLogger("httpx").info("HTTP Request: GET http://x/?q=secret")
    logging.getLogger("mine").info("ready")
    (line,) = lines()
    assert line["event"] == "ready"
    assert "trace_id" not in line
