"""The real service on a socket over the fakes: what each answer says in all five places."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from tests.audit.log_reading import audit_records
from tests.fakes.llamacloud import FakeLlamaCloud
from tests.fakes.openai import FakeOpenAI
from tests.otel.recorded_spans import RecordedSpans, recording
from tests.server.small_service import serving

from foliotrace.settings import BudgetSettings, IngestSettings, QuerySettings, ResilienceSettings
from foliotrace_server.compose import compose
from foliotrace_server.engine import Engine
from foliotrace_server.sections import (
    EmbeddingSettings,
    LlamaCloudSection,
    LLMSettings,
    RedisSettings,
)
from foliotrace_server.settings import Settings

FUEL = "Unleaded costs 2.31 EUR per litre at the pump. Members pay within 28 days."
RUNWAY = "Runway 08/26 is 780 metres long and made of asphalt."
QUICK = ResilienceSettings(
    first_wait_s=0.05, longest_wait_s=0.2, breaker_failures=3, breaker_rest_s=0.4
)
_DEGRADED = "foliotrace_degraded_answers_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The level of one answer in each place that must say it."""

    body: int
    header: int
    span: int | None
    audit: int | None
    counted: float  # how many degraded answers the metric counted for it

    @property
    def complete(self) -> bool:
        """All five agree; the metric counts degraded answers alone, once for each reason."""
        agree = {self.body, self.header, self.span, self.audit} == {self.body}
        return agree and (self.counted > 0) == (self.body > 0)


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer and its marks."""

    status: int
    body: dict[str, Any]
    marks: Marks | None
    looked_s: float = 0.0  # what looking for the marks took, after the answer had come

    @property
    def level(self) -> int:
        return int(self.body["degradation"]["level"])

    @property
    def path(self) -> tuple[str, str]:
        mark = self.body["degradation"]
        return mark["retrieval"], mark["answer"]

    @property
    def reasons(self) -> list[str]:
        return list(self.body["degradation"]["reasons"])


@dataclass
class Service:
    """A running service and its observers."""

    engine: Engine
    client: httpx.AsyncClient
    seen: RecordedSpans
    folder: Path

    async def put(self, name: str, content: str | bytes) -> dict[str, Any]:
        """Upload a file and wait for its job."""
        raw = content.encode() if isinstance(content, str) else content
        sent = await self.client.post("/v1/documents", files={"file": (name, raw)})
        assert sent.status_code == 202, sent.text
        return await self.finished(sent.json()["accepted"][0]["job"]["id"])

    async def finished(self, job_id: str) -> dict[str, Any]:
        async with asyncio.timeout(100):
            while True:
                job = (await self.client.get(f"/v1/jobs/{job_id}")).json()
                if job["status"] in ("completed", "failed", "cancelled"):
                    return dict(job)
                await asyncio.sleep(0.02)

    async def ask(self, question: str, **more: Any) -> Asked:
        """Ask, and look in all five places."""
        before = self.degraded_answers()
        sent = await self.client.post("/v1/query", json={"query": question, **more})
        answered_s = time.perf_counter()
        body = sent.json()
        if sent.status_code != 200:
            return Asked(sent.status_code, body, None)
        marks = Marks(
            body=body["degradation"]["level"],
            header=int(sent.headers["x-degradation-level"]),
            span=self._span_level(body["run_id"]),
            audit=await self._audit_level(body["run_id"]),
            counted=self.degraded_answers() - before,
        )
        return Asked(200, body, marks, time.perf_counter() - answered_s)

    async def until(self, path: tuple[str, str], question: str, **more: Any) -> Asked:
        """Ask until the ladder stands on this rung again."""
        async with asyncio.timeout(40):
            while True:
                asked = await self.ask(question, **more)
                if asked.path == path:
                    return asked
                await asyncio.sleep(0.1)

    async def indexed(self) -> None:
        """Wait until the managed index answers."""
        await self.until(("managed", "extractive"), "How long is the runway?", bypass_cache=True)

    def _span_level(self, run_id: str) -> int | None:
        for span in self.seen.spans:
            if (span.attributes or {}).get("foliotrace.run_id") == run_id:
                return int(str((span.attributes or {})["foliotrace.degradation.level"]))
        return None

    async def _audit_level(self, run_id: str) -> int | None:
        """Records of questions are written in batches, a moment after their answers."""
        for _ in range(100):
            for record in audit_records(self.folder / "audit"):
                if record.get("run_id") == run_id and record["event"] == "query_completed":
                    return int(record["degradation"]["level"])
            await asyncio.sleep(0.02)
        return None

    def degraded_answers(self) -> float:
        """What the metric counts."""
        return sum(
            sample.value
            for family in self.seen.metrics.registry.collect()
            for sample in family.samples
            if sample.name == _DEGRADED
        )


def llm(fake: FakeOpenAI, model: str = "gpt-4o-mini", **given: Any) -> LLMSettings:
    """An LLM at the fake; its key tells it from others there."""
    options = {"timeout_s": 3.0, **given}
    return LLMSettings(
        provider="openai",
        model=model,
        api_base=fake.url,
        api_key=SecretStr(f"sk-fake-{model}"),
        **options,
    )


def embedding(fake: FakeOpenAI) -> EmbeddingSettings:
    return EmbeddingSettings(
        provider="openai",
        model="text-embedding-3-small",
        api_base=fake.url,
        api_key=SecretStr("sk-fake-embed"),
        timeout_s=1.0,
    )


def cloud(fake: FakeLlamaCloud, **given: Any) -> LlamaCloudSection:
    return LlamaCloudSection(
        api_key=SecretStr(fake.api_key),
        where=fake.url,
        timeout_s=5,
        parse_tier="fast",
        **given,
    )


def settings_for(folder: Path, **given: Any) -> Settings:
    """Quick guards and short stages; the rest as an operator would leave it."""
    options: dict[str, Any] = {
        "resilience": QUICK,
        "query": QuerySettings(deadline_s=8.0, retrieval_deadline_s=1.0, cache_ttl_s=0),
        "ingest": IngestSettings(parser_processes=1, parse_deadline_s=20.0),
        "budget": BudgetSettings(max_cost_per_query_usd=Decimal("0.10")),
        "redis": RedisSettings(),
        **given,
    }
    return Settings(data_dir=folder, **options)


@asynccontextmanager
async def service(folder: Path, **given: Any) -> AsyncIterator[Service]:
    """The service over a data folder, watched, for the length of the block."""
    with recording() as seen:
        engine = compose(settings_for(folder, **given))
        async with serving(engine) as client:
            yield Service(engine, client, seen, folder)
