"""What a question waits for beside its stages is a span: a disk it must reach, a shared store."""

from pathlib import Path
from typing import Any

import pytest
from tests.otel.recorded_spans import recording
from tests.server.observed_service import QUESTION, observed, tree

from foliotrace.adapters.local.answer_cache import InMemoryAnswerCache
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.model import Answer
from foliotrace.resilience import BreakerPolicy, RetryPolicy
from foliotrace.resilient import CircuitGuard, GuardPolicy, ResilientCache

pytestmark = pytest.mark.anyio
RUN = "invoke_workflow QueryWorkflow"


@pytest.mark.parametrize("durability", ["strict", "group"])
async def test_a_question_that_waits_for_the_audit_logs_disk_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    settings: dict[str, Any] = {"audit": {"durability": durability}}
    async with observed(tmp_path, monkeypatch, **settings) as service:
        await service.ingest()
        trace_id = (await service.ask(QUESTION)).headers["x-trace-id"]
    spans = [span for span in service.sink.spans if span.trace_id.hex() == trace_id]
    parents = tree(spans)
    assert parents["validate"] == RUN
    assert parents.get("audit") == (RUN if durability == "strict" else None)
    assert 6 <= len(spans) <= 10


async def test_putting_an_answer_into_a_shared_cache_is_a_span() -> None:
    clock = SystemClock()
    policy = GuardPolicy(
        retry=RetryPolicy(attempts=1, base_s=4, cap_s=60),
        breaker=BreakerPolicy(failures=1, rest_s=5, cap_s=120),
        limit_s=300,
        slots=1,
    )
    cache = ResilientCache(
        InMemoryAnswerCache(clock), CircuitGuard("answer_cache", policy, clock=clock)
    )
    with recording() as seen:
        await cache.store("t", "k", Answer(text="x", run_id="run_1"), ttl_s=60)
    assert [span.name for span in seen.spans] == ["keep"]
