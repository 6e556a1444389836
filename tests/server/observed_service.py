"""A composed service on a real socket whose spans go to a real OTLP sink, for looking at it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.audit.log_reading import audit_records
from tests.otlp_sink import OtlpSink, attributes_of
from tests.server.small_service import serving

from foliotrace_server.compose import compose
from foliotrace_server.engine import Engine
from foliotrace_server.settings import load_settings

REFUNDS = b"Refunds are paid within 30 days of the return. The customer pays for shipping."
SCHEMA = {"type": "object", "properties": {"window": {"type": "string"}}}
QUESTION = "Within how many days are refunds paid?"
JAEGER = "http://jaeger.test/trace/{trace_id}"


@dataclass
class Observed:
    engine: Engine
    client: httpx.AsyncClient
    sink: OtlpSink

    async def ingest(self, content: bytes = REFUNDS, name: str = "refunds.txt") -> dict[str, Any]:
        """Upload one file and wait until it is served; the answer's first entry."""
        answer = await self.client.post("/v1/documents", files={"file": (name, content)})
        assert answer.status_code == 202, answer.text
        accepted: dict[str, Any] = answer.json()["accepted"][0]
        await self.ended(accepted["job"]["id"])
        return accepted

    async def ended(self, job_id: str) -> dict[str, Any]:
        async with self.client.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
            async for _ in stream.aiter_lines():
                pass
        job: dict[str, Any] = (await self.client.get(f"/v1/jobs/{job_id}")).json()
        return job

    async def ask(self, query: str = QUESTION, **more: Any) -> httpx.Response:
        return await self.client.post("/v1/query", json={"query": query, **more})

    async def extract(self, document_id: str) -> None:
        """Extract a record of one field from the document; waits for the job's end."""
        wanted = {"document_id": document_id, "schema": SCHEMA}
        started = await self.client.post("/v1/extractions", json=wanted)
        await self.ended(started.json()["id"])

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels on /metrics."""
        text = (await self.client.get("/metrics")).text
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.partition("{")[0].partition(" ")[0] == name and all(w in line for w in wanted)
        )

    def trace(self, trace_id: str, spans: int = 1, *, ends_with: str = "") -> list[Any]:
        """The spans of a trace, once `spans` of them and one named `ends_with` have arrived."""
        wanted = bytes.fromhex(trace_id)

        def here() -> list[Any]:
            return [span for span in self.sink.spans if span.trace_id == wanted]

        def complete(_: OtlpSink) -> bool:
            names = [span.name for span in here()]
            return len(names) >= spans and (not ends_with or ends_with in names)

        assert self.sink.wait_for(complete), [span.name for span in here()]
        return here()

    async def job_trace(self, trace_id: str, *, ends_with: str) -> list[Any]:
        """As `trace`, for a run that may still be ending in this loop when its job is completed."""
        return await asyncio.to_thread(self.trace, trace_id, ends_with=ends_with)

    def records(self) -> list[dict[str, Any]]:
        return audit_records(self.engine.settings.data_dir / "audit")


def tree(spans: list[Any]) -> dict[str, str | None]:
    """Span name -> its parent's name (None: not among them)."""
    names = {span.span_id: span.name for span in spans}
    return {span.name: names.get(span.parent_span_id) for span in spans}


def attributes_named(spans: list[Any], name: str) -> dict[str, Any]:
    return next(attributes_of(span) for span in spans if span.name == name)


@contextmanager
def exporting(monkeypatch: pytest.MonkeyPatch, **env: str) -> Iterator[OtlpSink]:
    """A sink that this process's telemetry is set to."""
    with OtlpSink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.grpc_endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_INSECURE", "true")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        yield sink


@asynccontextmanager
async def observed(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    env: dict[str, str] | None = None,
    **settings: Any,
) -> AsyncIterator[Observed]:
    settings.setdefault("telemetry", {"jaeger_url": JAEGER})
    with exporting(monkeypatch, **(env or {})) as sink:
        engine = compose(load_settings(None, data_dir=folder, **settings))
        async with serving(engine) as client:
            yield Observed(engine, client, sink)
