"""`/readyz` says what the next answer gets: it reads the library and the keyword index itself."""

import shutil
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tests.cloud.service import FUEL, service

from foliotrace.catalog import Reason
from foliotrace.errors import LibraryUnavailable

pytestmark = pytest.mark.anyio


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


async def test_a_damaged_keyword_index_shows_the_level_of_the_next_answer(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        await running.put("fuel.txt", FUEL)
        (index,) = running.engine.assembly.ingest.indexes
        index.close()  # type: ignore[attr-defined] # the keyword index
        shutil.rmtree(tmp_path / "keyword")
        shown = (await running.client.get("/readyz")).json()["capabilities"]["retrieve"]
        assert (shown["level"], shown["reasons"]) == (4, ["keyword_index_unavailable"])
