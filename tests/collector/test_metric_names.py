"""Alert rules and dashboard ask for metrics that exist: ours by the table, others by a scrape."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields

import pytest
from tests.collector.backends import as_jaeger, as_langsmith
from tests.collector.processes import ROOT, Collector, eventually, http_get
from tests.collector.program import program
from tests.otlp_sink import Failure, OtlpSink
from tests.promql import expressions, labels, metrics

from foliotrace.events import INSTRUMENTS, NAMESPACE, DomainEvent
from foliotrace.model import CacheState
from foliotrace_audit import CHECKPOINT_EVENT
from foliotrace_otel import Metrics, semconv


def test_the_dashboard_is_what_its_script_writes() -> None:
    checked = subprocess.run([sys.executable, ROOT / "deploy/grafana/generate", "--check"])
    assert checked.returncode == 0


@pytest.mark.parametrize(("where", "expression"), [*expressions()])
def test_our_metrics_and_labels_exist(where: str, expression: str) -> None:
    named = {name for name in metrics(expression) if not name.startswith(("otelcol", "traces"))}
    if not named:
        return
    series = {
        instrument.prometheus_name + suffix: set(instrument.prometheus_labels)
        for instrument in Metrics(INSTRUMENTS, namespace=NAMESPACE).instruments
        for suffix in (("_bucket", "_count", "_sum") if instrument.kind == "histogram" else ("",))
    }
    assert named <= set(series), where
    known = {"le", "instance"}.union(*(series[name] for name in named))
    assert labels(expression) <= known, where


def test_a_cache_hit_is_selected_by_the_states_that_are_recorded() -> None:
    selected = {
        state
        for _, expression in expressions()
        for values in re.findall(r'foliotrace_cache_requests_total\{result=~?"([^"]+)"', expression)
        for state in values.split("|")
    }
    assert selected == {CacheState.EXACT, CacheState.SEMANTIC}


def test_the_span_attributes_that_the_collector_reads_exist() -> None:
    text = re.sub(r"#.*", "", (ROOT / "otel-collector.yaml").read_text())
    read = set(re.findall(r"\b(?:foliotrace|gen_ai|http)\.[a-z_.]*[a-z]", text))
    events = {
        semconv.CONCEPTS.get(name, name)
        for event in DomainEvent.__subclasses__()
        for name in event.span_attributes.values()
    }
    own = {getattr(semconv.span_names(NAMESPACE), f.name) for f in fields(semconv.SpanNames)}
    conventions = {value for value in vars(semconv).values() if isinstance(value, str)}
    logged = {CHECKPOINT_EVENT}  # an attribute of a log event
    assert {"foliotrace.degraded", "foliotrace.entry"} <= read
    assert read - events - own - conventions - logged == set()


@pytest.mark.real_servers
def test_the_collectors_metrics_are_in_a_live_scrape(
    run_collector: Callable[..., Collector], jaeger_stand_in: OtlpSink, langsmith: OtlpSink
) -> None:
    collector = run_collector(
        **as_jaeger(jaeger_stand_in),
        **as_langsmith(langsmith),
        LANGSMITH_QUEUE_SPANS="3",  # one trace has room and is refused for good, twenty have none
        OTELCOL_SPAN_METRICS_EVERY="300ms",
    )
    langsmith.fail(Failure(http_status=401))
    wanted = {
        name
        for _, expression in expressions()
        for name in metrics(expression)
        if name.startswith(("otelcol", "traces"))
    }
    assert len(wanted) >= 6
    for traces in (1, 20):
        with program(collector) as sender:
            for _ in range(traces):
                sender.query()
        eventually(lambda: langsmith.refused == 1)

    def missing() -> set[str]:
        scraped = http_get(f"http://127.0.0.1:{collector.telemetry_port}/metrics")[1].decode()
        scraped += collector.span_metrics()
        return wanted - set(re.findall(r"^(\w+)", scraped, re.MULTILINE))

    eventually(lambda: not missing(), what="every metric has appeared")
