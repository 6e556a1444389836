"""A backup since an earlier one copies only new originals, and is complete by itself."""

import asyncio
import shutil
from pathlib import Path

import pytest
from tests.data_folder.folders import filled, ingest, serving

from foliotrace_server.folder.backup import back_up, restore

pytestmark = pytest.mark.anyio


async def test_unchanged_originals_are_linked_and_damaged_ones_are_copied(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data")
    first, second = tmp_path / "first", tmp_path / "second"
    back_up(folder, first)
    whole, damaged = sorted(first.glob("blobs/*/*/*"))
    damaged.write_bytes(b"damaged")
    async with serving(folder) as client:
        new = await ingest(client, "new.txt", "A new note about herons.")
        back_up(folder, second, since=first)
    assert (second / whole.relative_to(first)).samefile(whole)
    assert not (second / damaged.relative_to(first)).samefile(damaged)
    shutil.rmtree(first)
    await asyncio.to_thread(restore, second, tmp_path / "restored")
    async with serving(tmp_path / "restored") as client:
        documents = (await client.get("/v1/documents")).json()["documents"]
    assert new in {document["id"] for document in documents}
    assert len(documents) == 3
