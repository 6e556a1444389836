"""The composed service with a real vector index: answers before and after embedding."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.cloud.service import FUEL, RUNWAY, Service, service
from tests.lazy_sdk import lazy

from foliotrace_server.sections import EmbeddingSettings

fitted = lazy("tests.journeys.fitted_embedding")
PLACE = "tests.journeys.fitted_embedding:EMBEDDING"
pytestmark = pytest.mark.anyio
QUESTION = "What does unleaded cost per litre?"
HYBRID = ("hybrid", "extractive")
KEYWORD = ("keyword", "extractive")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Service]:
    fitted.EMBEDDING.reset()
    embedding = EmbeddingSettings(provider="import", model=PLACE)
    async with service(tmp_path, embedding=embedding) as made:
        yield made
        fitted.EMBEDDING.open_gate()


async def documents(running: Service) -> tuple[str, str]:
    await running.put("fuel.txt", FUEL)
    await running.put("runway.txt", RUNWAY)
    found = (await running.client.get("/v1/documents")).json()["documents"]
    ids = {each["name"]: each["id"] for each in found}
    return ids["fuel.txt"], ids["runway.txt"]


async def test_keywords_answer_marked_until_all_is_embedded_and_hybrid_from_then_on(
    running: Service,
) -> None:
    fitted.EMBEDDING.close_gate()
    fuel, runway = await documents(running)
    early = await running.ask(QUESTION)
    assert (early.level, early.path, early.reasons) == (2, KEYWORD, ["embedding_pending"])
    assert "2.31" in early.body["answer"]
    assert early.marks is not None
    assert early.marks.complete, early.marks
    filtered = await running.ask(QUESTION, filters={"document_ids": [fuel]})
    assert {c["document_id"] for c in filtered.body["citations"]} == {fuel}
    fitted.EMBEDDING.open_gate()
    late = await running.until(HYBRID, QUESTION)
    assert (late.level, late.reasons) == (0, [])
    assert "2.31" in late.body["answer"]
    assert late.marks is not None
    assert late.marks.complete, late.marks
    for wanted in ({"document_ids": [fuel]}, {"name": "fuel.txt"}):
        asked = await running.ask(QUESTION, filters=wanted)
        assert (asked.path, asked.level) == (HYBRID, 0)
        assert {c["document_id"] for c in asked.body["citations"]} == {fuel}
    elsewhere = await running.ask(QUESTION, filters={"document_ids": [runway]})
    assert fuel not in {c["document_id"] for c in elsewhere.body["citations"]}


async def test_a_dead_embedder_leaves_keywords_marked_and_its_return_brings_hybrid_back(
    running: Service,
) -> None:
    await documents(running)
    await running.until(HYBRID, QUESTION)
    fitted.EMBEDDING.die()
    for place in ("here", "there", "now", "today"):  # a known question's vector is kept
        asked = await running.ask(f"What does unleaded cost per litre {place}?")
        assert (asked.level, asked.path) == (2, KEYWORD)
        assert asked.reasons != []
        assert "2.31" in asked.body["answer"]
        assert asked.marks is not None
        assert asked.marks.complete, asked.marks
    fitted.EMBEDDING.revive()
    assert (await running.until(HYBRID, QUESTION)).level == 0
