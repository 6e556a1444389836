"""Every answer says in body and header whether it was kept."""

from pathlib import Path

import pytest
from tests.audit.log_reading import audit_records
from tests.cloud.service import FUEL, service
from tests.lazy_sdk import lazy
from tests.query.questions import MINIMAL_EDITS

from foliotrace.errors import Misconfigured
from foliotrace.settings import QuerySettings
from foliotrace_server.compose import compose
from foliotrace_server.sections import EmbeddingSettings
from foliotrace_server.settings import load_settings

fitted = lazy("tests.journeys.fitted_embedding")
PLACE = "tests.journeys.fitted_embedding:EMBEDDING"
pytestmark = pytest.mark.anyio


async def test_the_header_says_miss_exact_and_bypass(tmp_path: Path) -> None:
    question = {"query": "What does unleaded cost per litre?"}
    async with service(tmp_path, query=QuerySettings(cache_ttl_s=60)) as running:
        await running.put("fuel.txt", FUEL)
        states = []
        for more in ({}, {}, {"bypass_cache": True}):
            sent = await running.client.post("/v1/query", json={**question, **more})
            states.append((sent.headers["x-cache"], sent.json()["cache"]))
    assert states == [("miss", "miss"), ("exact", "exact"), ("bypass", "bypass")]


async def test_a_question_that_asks_the_same_says_semantic_everywhere(tmp_path: Path) -> None:
    fitted.EMBEDDING.reset()
    settings = {
        "embedding": EmbeddingSettings(provider="import", model=PLACE, free=True),
        "query": QuerySettings(cache_ttl_s=60, semantic_cache=True),
    }
    first = "What does unleaded cost per litre?"
    again = "Could you tell me what unleaded costs per litre, please?"
    same = "Please tell me: what does unleaded cost per litre?"
    async with service(tmp_path, **settings) as running:
        await running.put("fuel.txt", FUEL)
        await running.until(("hybrid", "extractive"), first, bypass_cache=True)
        states, traces = [], []
        for question in (first, same, again):
            sent = await running.client.post("/v1/query", json={"query": question})
            states.append((sent.headers["x-cache"], sent.json()["cache"]))
            traces.append(int(sent.json()["trace_id"], 16))
        links = {link.context.trace_id for span in running.seen.spans for link in span.links}
        assert traces[0] in links, (
            "an answer served from the cache is linked to the run that made it"
        )
        assert states == [("miss", "miss"), ("semantic", "semantic"), ("miss", "miss")]
        spans = [dict(span.attributes or {}) for span in running.seen.spans]
        assert [s for s in spans if s.get("foliotrace.cache.state") == "semantic"]
        counted = running.seen.metrics.registry.get_sample_value(
            "foliotrace_cache_requests_total", {"cache": "answer", "result": "semantic"}
        )
        assert counted == 1
        kept, edited = MINIMAL_EDITS[0]
        for question in (kept, edited):
            sent = await running.client.post("/v1/query", json={"query": question})
            assert sent.json()["cache"] == "miss"
    asked = [r for r in audit_records(tmp_path / "audit") if r["event"] == "query_completed"]
    assert len({record["query_hash"] for record in asked}) == 5


def test_the_semantic_cache_needs_an_embedding_model(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="semantic_cache is on without an embedding"):
        compose(load_settings(None, data_dir=tmp_path, query={"semantic_cache": True}))
