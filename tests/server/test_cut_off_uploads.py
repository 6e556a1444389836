"""A kill between a document and its job: nothing was acknowledged, and nothing looks alive."""

from pathlib import Path

import pytest
from tests.server.observed_service import REFUNDS, observed

from foliotrace.adapters.local.files.blobs import FolderBlobs
from foliotrace.adapters.local.files.filetype import sniff
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.ports import DocumentDraft

pytestmark = pytest.mark.anyio


async def test_a_document_without_a_job_has_failed_after_the_restart_and_can_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def content():  # type: ignore[no-untyped-def]
        yield REFUNDS

    library, blobs = SqliteLibrary.open(tmp_path), FolderBlobs(tmp_path, sniff)
    stored = await blobs.put("default", "refunds.txt", content(), limit_bytes=1000)
    draft = DocumentDraft(collection="default", name="refunds.txt", blob=stored)
    registered = (await library.register("default", draft)).document
    library.close()
    async with observed(tmp_path, monkeypatch) as service:
        document = (await service.client.get(f"/v1/documents/{registered.id}")).json()
        assert (document["status"], document["problem"]) == ("failed", "upload_interrupted")
        accepted = await service.ingest()
        assert accepted["document"]["id"] == registered.id
        document = (await service.client.get(f"/v1/documents/{registered.id}")).json()
        assert (document["status"], document["problem"]) == ("ready", None)
