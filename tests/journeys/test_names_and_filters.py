"""What an upload may be called and marked with, a question finds by the same name and mark."""

from pathlib import Path
from unicodedata import normalize

import pytest
from tests.cloud.service import FUEL, service

pytestmark = pytest.mark.anyio
QUESTION = {"query": "What does unleaded cost per litre?"}


@pytest.mark.parametrize("collection", ["reports.2023", "a", "A-1_b.c"])
async def test_a_collection_that_takes_documents_answers_questions(
    tmp_path: Path, collection: str
) -> None:
    async with service(tmp_path) as running:
        sent = await running.client.post(
            "/v1/documents",
            files={"file": ("fuel.txt", FUEL.encode())},
            data={"collection": collection},
        )
        await running.client.get(f"/v1/jobs/{sent.json()['accepted'][0]['job']['id']}/events")
        asked = await running.client.post("/v1/query", json={**QUESTION, "collection": collection})
        assert [c["document_name"] for c in asked.json()["citations"]] == ["fuel.txt"]


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
async def test_a_mark_is_found_however_its_accents_are_spelled(
    tmp_path: Path, stored: str, asked: str
) -> None:
    async with service(tmp_path) as running:
        mark = normalize(stored, "Zürich")
        sent = await running.client.post(
            "/v1/documents",
            files={"file": ("fuel.txt", FUEL.encode())},
            data={"metadata": f'{{"city": "{mark}"}}'},
        )
        await running.client.get(f"/v1/jobs/{sent.json()['accepted'][0]['job']['id']}/events")
        wanted = normalize(asked, "zürich")
        answer = await running.client.post(
            "/v1/query", json={**QUESTION, "filters": {"city": wanted}}
        )
        listed = await running.client.get("/v1/documents", params={"city": wanted})
        assert len(answer.json()["citations"]) == 1
        assert len(listed.json()["documents"]) == 1
