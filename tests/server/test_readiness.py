"""`/readyz` says what the next answer gets: it reads the library and the keyword index itself."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tests.cloud.service import FUEL, QUICK, Service, embedding, llm, service
from tests.fakes.openai import FakeOpenAI, running_fake_openai
from tests.fakes.wire import Fault

from foliotrace.adapters.local.sqlite.ledger import SqliteLedger
from foliotrace.catalog import Reason
from foliotrace.errors import LedgerUnavailable, LibraryUnavailable
from foliotrace.settings import QuerySettings

pytestmark = pytest.mark.anyio
PRICE = "What does unleaded cost per litre?"


async def unreadable(*args: Any, **kwargs: Any) -> NoReturn:
    raise LibraryUnavailable(reason=Reason.LIBRARY_DAMAGED)


async def test_a_library_that_cannot_be_read_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with service(tmp_path) as running:
        await running.put("fuel.txt", FUEL)
        assert (await running.client.get("/readyz")).status_code == 200
        library = running.engine.assembly.ingest.library
        monkeypatch.setattr(library, "version", unreadable)
        monkeypatch.setattr(library, "chunks", unreadable)
        shown = await running.client.get("/readyz")
        question = {"query": "What does unleaded cost per litre?"}
        asked = (await running.client.post("/v1/query", json=question)).json()
    assert (shown.status_code, shown.json()["ready"]) == (503, False)
    retrieve = shown.json()["capabilities"]["retrieve"]
    assert (retrieve["reachable"], retrieve["reasons"]) == ("none", ["library_damaged"])
    assert asked["degradation"]["level"] == retrieve["level"] == 4


async def level_shown(running: Service) -> int:
    shown = (await running.client.get("/readyz")).json()["capabilities"]
    return max(capability["level"] for capability in shown.values())


async def level_met(running: Service) -> int:
    return (await running.ask(PRICE)).level


async def test_a_damaged_keyword_index_is_shown_and_rebuilt_while_serving(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        await running.put("fuel.txt", FUEL)
        (index,) = running.engine.assembly.ingest.indexes
        index.close()  # type: ignore[attr-defined] # the keyword index
        shutil.rmtree(tmp_path / "keyword")
        shown = (await running.client.get("/readyz")).json()["capabilities"]["retrieve"]
        assert (shown["level"], shown["reasons"]) == (4, ["keyword_index_unavailable"])
        await running.until(("keyword", "extractive"), PRICE)
        assert await level_shown(running) == await level_met(running) == 0


async def test_vectors_answer_alone_while_the_keyword_index_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_fake_openai() as fake:
        async with service(tmp_path, embedding=embedding(fake)) as running:
            await running.put("fuel.txt", FUEL)
            await running.until(("hybrid", "extractive"), PRICE)
            keyword = running.engine.assembly.ingest.indexes[0]
            monkeypatch.setattr(type(keyword), "_rebuild_soon", lambda self: None)
            monkeypatch.setattr(type(keyword), "catch_up", unreadable)
            keyword.close()  # type: ignore[attr-defined] # the keyword index
            for file in (tmp_path / "keyword").rglob("*.*"):
                file.write_bytes(b"damaged")
            shown = (await running.client.get("/readyz")).json()["capabilities"]["retrieve"]
            assert (shown["reachable"], shown["level"]) == ("vector", 2)
            asked = await running.ask(PRICE)
            assert (asked.path, asked.level) == (("vector", "extractive"), 2)
            assert asked.reasons == ["keyword_index_unavailable"]
            assert "2.31" in asked.body["answer"]
            assert asked.marks is not None
            assert asked.marks.complete


async def test_a_destroyed_library_is_not_ready(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        await running.put("fuel.txt", FUEL)
        size = (tmp_path / "library.db").stat().st_size
        with (tmp_path / "library.db").open("r+b") as file:
            file.write(b"x" * size)
        for name in ("library.db-wal", "library.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        shown = await running.client.get("/readyz")
        asked = (await running.client.post("/v1/query", json={"query": PRICE})).json()
        levels = [each["level"] for each in shown.json()["capabilities"].values()]
        assert max(levels) == asked["degradation"]["level"]
        assert shown.json()["ready"] is (asked["degradation"]["answer"] != "template")


FAULTS = {
    "refused": lambda fake, at: fake.die(),
    "reset": lambda fake, at: fake.fail(at, Fault.reset_before_work),
    "limited": lambda fake, at: fake.fail(at, Fault.rate_limited(30)),
    "failing": lambda fake, at: fake.fail(at, Fault.server_error),
    "garbage": lambda fake, at: fake.fail(at, Fault.garbage),
    "slow": lambda fake, at: fake.fail(at, Fault.slow_first_byte(0.1)),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_model_that_failed_is_shown_as_the_next_answer_meets_it(
    tmp_path: Path, fault: Callable[[FakeOpenAI, str], object]
) -> None:
    with running_fake_openai() as fake, running_fake_openai() as other:
        order = {"llm": llm(fake), "llm_fallbacks": (llm(other, "gpt-4.1-mini"),)}
        async with service(tmp_path, **order) as running:
            await running.put("fuel.txt", FUEL)
            assert await level_shown(running) == await level_met(running) == 0
            fault(fake, "POST /v1/chat/completions")
            await level_met(running)  # the first one finds out
            for _ in range(8):
                assert await level_shown(running) == await level_met(running)


async def test_a_model_that_came_back_is_found_without_a_question(tmp_path: Path) -> None:
    with running_fake_openai() as fake:
        async with service(tmp_path, llm=llm(fake)) as running:
            await running.put("fuel.txt", FUEL)
            fake.fail("POST /v1/chat/completions", Fault.server_error)
            for _ in range(4):
                assert await level_met(running) == 2
            assert await level_shown(running) == 2
            fake.recover()
            await asyncio.sleep(QUICK.breaker_rest_s + 0.1)
            assert await level_shown(running) == await level_met(running) == 0


OWN = """
from llama_index.core.base.base_retriever import BaseRetriever

class Down(BaseRetriever):
    def _retrieve(self, query_bundle):
        raise ValueError("the store is not open")

down = Down()
"""


async def test_a_retriever_of_ones_own_is_found_broken_before_the_first_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unready_parts.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    query = QuerySettings(cache_ttl_s=0, retriever="unready_parts:down")
    async with service(tmp_path / "data", query=query) as running:
        await running.put("fuel.txt", FUEL)
        shown = (await running.client.get("/readyz")).json()["capabilities"]["retrieve"]
        assert (shown["configured"], shown["reachable"], shown["level"]) == ("custom", "keyword", 2)
        assert "ValueError: the store is not open" in shown["failures"][0]
        assert await level_met(running) == 2


async def test_a_pending_index_is_shown_as_pending(tmp_path: Path) -> None:
    with running_fake_openai() as fake:
        fake.fail("POST /v1/embeddings", Fault.server_error)
        async with service(tmp_path, embedding=embedding(fake)) as running:
            await running.put("fuel.txt", FUEL)
            shown = (await running.client.get("/readyz")).json()["capabilities"]["retrieve"]
            assert (shown["reachable"], shown["level"]) == ("keyword", 2)
            assert shown["reasons"] == ["embedding_pending"]
            assert await level_met(running) == 2


async def test_a_ledger_that_cannot_be_read_is_shown_as_quotes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*args: Any, **kwargs: Any) -> NoReturn:
        raise LedgerUnavailable

    with running_fake_openai() as fake:
        async with service(tmp_path, llm=llm(fake)) as running:
            await running.put("fuel.txt", FUEL)
            for name in ("spent_usd", "reserve"):
                monkeypatch.setattr(SqliteLedger, name, down)
            assert await level_shown(running) == await level_met(running) == 2
