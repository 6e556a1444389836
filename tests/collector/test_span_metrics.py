"""Requests, errors, durations from the spans, as Prometheus and Jaeger's Monitor read them."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.collector.processes import Collector, Jaeger, Server, eventually, http_get
from tests.collector.program import program
from tests.free_ports import free_port

pytestmark = pytest.mark.real_servers


@pytest.fixture
def run_prometheus(prometheus: str, tmp_path: Path) -> Iterator[Callable[[Collector], str]]:
    running: list[Server] = []

    def run(collector: Collector) -> str:
        folder = tmp_path / "prometheus"
        folder.mkdir()
        job = {
            "job_name": "span-metrics",
            "honor_labels": True,
            "static_configs": [{"targets": [collector.prometheus]}],
        }
        config = {"global": {"scrape_interval": "500ms"}, "scrape_configs": [job]}
        (folder / "prometheus.yaml").write_text(json.dumps(config))  # JSON is YAML
        address = f"127.0.0.1:{free_port()}"
        command = [prometheus, "--config.file=prometheus.yaml", "--storage.tsdb.path=tsdb"]
        command.append(f"--web.listen-address={address}")
        server = Server(command, {}, folder, f"http://{address}/-/ready")
        running.append(server)
        server.start()
        return f"http://{address}"

    yield run
    for server in running:
        server.stop()


def test_calls_errors_and_durations_are_counted_by_operation(
    run_collector: Callable[..., Collector],
) -> None:
    collector = run_collector(OTELCOL_SPAN_METRICS_EVERY="300ms")
    with program(collector, resource={"service.name": "red"}) as sender:
        for number in range(12):
            sender.query(
                {"gen_ai.request.model": "small", "foliotrace.degraded": True},
                error="refused" if number < 4 else None,
            )

    def calls(span: str, status: str) -> float:
        return sum(
            float(line.partition(" # ")[0].rsplit(" ", 1)[1])
            for line in collector.span_metrics().splitlines()
            if line.startswith("traces_span_metrics_calls_total{")
            and f'span_name="{span}"' in line
            and f'status_code="STATUS_CODE_{status}"' in line
        )

    eventually(lambda: calls("chat small", "UNSET") == 8)
    assert calls("chat small", "ERROR") == 4
    assert calls("POST /v1/query", "UNSET") == 12
    text = collector.span_metrics()
    assert 'gen_ai_request_model="small"' in text
    assert 'foliotrace_degraded="true"' in text
    assert "traces_span_metrics_duration_seconds_bucket{" in text


def test_jaegers_monitor_shows_the_service_through_prometheus(
    run_collector: Callable[..., Collector],
    run_prometheus: Callable[[Collector], str],
    jaeger_binary: str,
    tmp_path: Path,
) -> None:
    collector = run_collector(OTELCOL_SPAN_METRICS_EVERY="300ms")
    jaeger = Jaeger(jaeger_binary, tmp_path / "jaeger", PROMETHEUS_URL=run_prometheus(collector))
    jaeger.start()
    try:
        end = time.monotonic() + 30
        with program(collector, resource={"service.name": "red"}) as sender:
            while not _points(jaeger, "calls") or not _points(jaeger, "latencies"):
                assert time.monotonic() < end, "Jaeger shows no service performance"
                sender.query()
                time.sleep(0.2)
    finally:
        jaeger.stop(how=signal.SIGKILL)


def _points(jaeger: Jaeger, metric: str) -> list[object]:
    """What the Monitor tab would draw for the service, without the gaps."""
    wanted = "service=red&spanKind=server&lookback=60000&step=1000&ratePer=10000"
    wanted += "&quantile=0.95" if metric == "latencies" else ""
    status, body = http_get(f"http://{jaeger.query}/api/metrics/{metric}?{wanted}")
    assert status == 200, body
    return [
        point
        for series in json.loads(body)["metrics"]
        for point in series["metricPoints"]
        if point["gaugeValue"].get("doubleValue") not in (None, "NaN", 0)
    ]
