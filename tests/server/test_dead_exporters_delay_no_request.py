"""A tracing back end that is dead, or takes requests and never answers, holds up no request."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.otlp_sink import Failure, OtlpSink
from tests.server.observed_service import observed
from tests.server.small_service import serving

from foliotrace_server.compose import compose
from foliotrace_server.settings import load_settings

pytestmark = pytest.mark.anyio
QUERIES = 40


async def asked(client: httpx.AsyncClient) -> list[str]:
    """The trace ids of questions that were all answered."""
    traces = []
    for number in range(QUERIES):
        answer = await client.post("/v1/query", json={"query": f"When are refunds paid? {number}"})
        assert answer.status_code == 200, answer.text
        traces.append(answer.headers["x-trace-id"])
    return traces


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_while_the_sink_answers_nothing_every_question_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: threading.Event, protocol: str
) -> None:
    small = {
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "60",
    }
    with OtlpSink() as held:
        if protocol != "grpc":
            small["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{held.http_endpoint}/v1/traces"
        async with observed(tmp_path, monkeypatch, env=small) as service:
            sink = held if protocol != "grpc" else service.sink
            await service.ingest()
            sink.fail(Failure(until=gate))
            before = len(sink.spans)
            traces = await asked(service.client)
            assert not gate.is_set()
            assert len(sink.spans) <= before + 8  # a batch may have been under way
            gate.set()
            sink.heal()
            ids = {bytes.fromhex(trace) for trace in traces}
            assert sink.wait_for(
                lambda sink: ids <= {s.trace_id for s in sink.spans if not s.parent_span_id},
                timeout_s=60,
            )


async def test_with_no_sink_at_all_every_question_is_answered_and_the_loss_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OtlpSink() as gone:
        endpoint = gone.grpc_endpoint
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_INSECURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    engine = compose(load_settings(None, data_dir=tmp_path, telemetry={"shutdown_s": 1.0}))
    async with serving(engine) as client:
        assert len(await asked(client)) == QUERIES
        lost = await _dropped(client)
    assert lost > 0


async def _dropped(client: httpx.AsyncClient) -> float:
    text = (await client.get("/metrics")).text
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("foliotrace_telemetry_spans_dropped_total")
    )
