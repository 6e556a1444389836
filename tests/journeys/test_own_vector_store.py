"""A vector store that the settings name, behind the composed service: filled, asked, emptied."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.cloud.service import FUEL, RUNWAY, Service, service, settings_for
from tests.lazy_sdk import lazy

from foliotrace.errors import Misconfigured
from foliotrace.settings import IndexSettings
from foliotrace_server.compose import compose
from foliotrace_server.doctor.registry import examine, run_probes
from foliotrace_server.sections import EmbeddingSettings

pytestmark = pytest.mark.anyio

stores = lazy("tests.adapters.vector_stores")
QUESTION = "What does unleaded cost per litre?"
SOURCE = """
from tests.adapters.vector_stores import made, without_deletion
from tests.journeys.fitted_embedding import _made

store, embedding, unusable = made("{kind}"), _made(), without_deletion()
"""


@pytest.fixture(params=["own", "qdrant", "chroma"])
def module(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    stores.made(request.param)  # skips here what is not installed
    name = f"stored_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(SOURCE.format(kind=request.param))
    monkeypatch.syspath_prepend(tmp_path)
    return name


def settings(module: str, store: str = "store") -> dict[str, Any]:
    return {
        "index": IndexSettings(vector_store=f"{module}:{store}"),
        "embedding": EmbeddingSettings(provider="import", model=f"{module}:embedding", free=True),
    }


@pytest.fixture
async def stored(tmp_path: Path, module: str) -> AsyncIterator[Service]:
    async with service(tmp_path / "data", **settings(module)) as running:
        yield running


async def test_an_upload_fills_the_store_and_its_answer_is_cited(stored: Service) -> None:
    await stored.put("fuel.txt", FUEL)
    await stored.put("runway.txt", RUNWAY)
    asked = await stored.until(("hybrid", "extractive"), QUESTION, bypass_cache=True)
    assert asked.level == 0
    citation = asked.body["citations"][0]
    assert (citation["document_name"], citation["anchor"]["exact"]) == ("fuel.txt", True)
    assert "2.31" in asked.body["answer"]


async def test_a_deleted_document_leaves_the_store(stored: Service, module: str) -> None:
    job = await stored.put("fuel.txt", FUEL)
    await stored.put("runway.txt", RUNWAY)
    await stored.until(("hybrid", "extractive"), QUESTION, bypass_cache=True)
    done = await stored.client.delete(f"/v1/documents/{job['document_id']}")
    assert done.is_success, done.text
    asked = await stored.ask(QUESTION, bypass_cache=True)
    assert "2.31" not in asked.body["answer"]
    store = __import__(module).store
    async with asyncio.timeout(20):
        while any("2.31" in text for text in stores.texts_in(store, 4)):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("module", ["own"], indirect=True)
async def test_while_the_store_is_down_keywords_answer_and_readyz_says_why(
    stored: Service, module: str
) -> None:
    async def retrieval() -> dict[str, Any]:
        body = (await stored.client.get("/readyz")).json()
        return dict(body["capabilities"]["retrieve"])

    await stored.put("fuel.txt", FUEL)
    await stored.until(("hybrid", "extractive"), QUESTION, bypass_cache=True)
    store = __import__(module).store
    store.down = True
    asked = await stored.ask(QUESTION, bypass_cache=True)
    assert (asked.level, asked.path) == (2, ("keyword", "extractive"))
    assert asked.reasons == ["vector_store_failed"]
    assert asked.marks is not None
    assert asked.marks.complete, asked.marks
    ready = await retrieval()
    assert (ready["configured"], ready["reachable"]) == ("hybrid", "keyword")
    assert ready["failures"] == ["index.vector_store: ConnectionError: no route to the store"]
    job = await stored.put("runway.txt", RUNWAY)
    assert job["status"] == "completed"
    store.down = False
    question = "How long is the runway?"
    asked = await stored.until(("hybrid", "extractive"), question, bypass_cache=True)
    assert "780" in asked.body["answer"]
    assert (await retrieval())["failures"] == []


@pytest.mark.parametrize("module", ["own"], indirect=True)
async def test_doctor_says_what_is_wrong_with_a_store(tmp_path: Path, module: str) -> None:
    async def said(**changed: Any) -> str:
        wanted = settings_for(tmp_path / "data", **(settings(module) | changed))
        findings = [*examine(wanted), *await run_probes(wanted)]
        named = [each for each in findings if "vector" in each.area]
        return next((each for each in named if each.state == "problem"), named[-1]).said

    assert await said() == "adds, finds and deletes"
    assert "without an embedding model" in await said(embedding=None)
    unusable = IndexSettings(vector_store=f"{module}:unusable")
    assert "delete_nodes" in await said(index=unusable)
    store = __import__(module).store
    store.filters = False
    assert "ignores metadata filters" in await said()
    store.down = True
    assert "no route to the store" in await said()


@pytest.mark.parametrize("module", ["own"], indirect=True)
async def test_a_store_without_an_embedding_stops_the_start(tmp_path: Path, module: str) -> None:
    alone = settings(module)["index"]
    with pytest.raises(Misconfigured, match=r"index\.vector_store is set without an embedding"):
        compose(settings_for(tmp_path / "data", index=alone))
