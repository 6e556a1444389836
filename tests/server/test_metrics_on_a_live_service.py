"""What rules and dashboard ask of the service is on its /metrics, under labels they select."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.promql import RULES, expressions, labels, metrics
from tests.server.observed_service import observed

from foliotrace.events import INSTRUMENTS, NAMESPACE
from foliotrace_otel import Metrics

pytestmark = pytest.mark.anyio
_SELECTED = re.compile(r'(\w+)\{[^}]*?workflow=~?"([\w|]+)"')
_OF_PROMETHEUS = {"instance", "job"}  # Prometheus adds them to what it scrapes


async def test_the_workflows_that_rules_select_are_the_ones_that_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [r for g in RULES["groups"] for r in g["rules"]]
    wanted = {
        (metric, workflow)
        for rule in rules
        for metric, workflows in _SELECTED.findall(rule["expr"])
        for workflow in workflows.split("|")
    }
    assert wanted
    async with observed(tmp_path, monkeypatch) as service:
        accepted = await service.ingest()
        await service.ask()
        await service.extract(accepted["document"]["id"])
        for metric, workflow in wanted:
            assert await service.metric(metric, workflow=workflow) > 0, (metric, workflow)


async def test_every_instrument_is_declared_on_the_scrape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch) as service:
        text = (await service.client.get("/metrics")).text
        modern = await service.client.get(
            "/metrics", headers={"accept": "application/openmetrics-text"}
        )
    declared = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert {
        i.prometheus_name for i in Metrics(INSTRUMENTS, namespace=NAMESPACE).instruments
    } <= declared
    assert {"llm_request_latency_seconds", "llm_request_errors_total"} <= declared
    assert "process_cpu_seconds_total" in declared
    assert modern.text.endswith("# EOF\n")


async def test_work_is_counted_by_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch) as service:
        accepted = await service.ingest()
        await service.ask()
        await service.ask("")
        broken = {"file": ("broken.pdf", b"%PDF-1.7 broken")}
        upload = await service.client.post("/v1/documents", files=broken)
        if upload.status_code == 202:
            await service.ended(upload.json()["accepted"][0]["job"]["id"])
        document = (await service.client.get(f"/v1/documents/{accepted['document']['id']}")).json()
        counted = service.metric
        assert await counted("foliotrace_ingest_documents_total", outcome="completed") == 1
        assert await counted("foliotrace_ingest_documents_total", outcome="failed") == 1
        assert await counted("foliotrace_ingest_failures_total") == 1
        assert await counted("foliotrace_ingest_pages_total") == 1
        assert await counted("foliotrace_ingest_chunks_total") == document["chunks"]
        assert await counted("foliotrace_cache_requests_total", result="miss") == 1
        assert await counted("foliotrace_audit_records_total", event="query_failed") == 1
        assert await counted("foliotrace_audit_sync_duration_seconds_count") >= 1
        assert await counted("foliotrace_stage_duration_seconds_count", stage="retrieve") == 1
        asked = {"http_route": "/v1/query", "http_response_status_code": "400"}
        assert await counted("http_server_request_duration_seconds_count", **asked) == 1
        assert await counted("foliotrace_queue_depth", queue="jobs") == 0


async def test_all_that_rules_and_dashboard_ask_for_is_on_the_scrape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch) as service:
        accepted = await service.ingest()
        await service.ask()
        await service.extract(accepted["document"]["id"])
        text = (await service.client.get("/metrics")).text
    families = list(text_string_to_metric_families(text))
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    declared = {f.name + end for f in families for end in suffixes.get(f.type, ("",))}
    seen: dict[str, set[str]] = {}
    for sample in (each for family in families for each in family.samples):
        seen.setdefault(sample.name, set()).update(sample.labels)
    asked = [(w, e) for w, e in expressions() if not metrics(e) & _collectors(metrics(e))]
    assert len(asked) > 30
    assert {(where, m) for where, e in asked for m in metrics(e) if m not in declared} == set()
    looked_at = [(w, e) for w, e in asked if metrics(e) and metrics(e) <= set(seen)]
    assert len(looked_at) > 15
    for where, expression in looked_at:
        known = set().union(*(seen[name] for name in metrics(expression)))
        assert labels(expression) <= known | _OF_PROMETHEUS, where


def _collectors(names: set[str]) -> set[str]:
    """Those that the collector serves; tests/collector/test_metric_names.py looks for them."""
    return {name for name in names if name.startswith(("otelcol", "traces"))}
