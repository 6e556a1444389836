"""Data folders written by earlier schemas open, answer and pass `check`.

`python -m tests.data_folder.test_released_folders` adds the present schema's folder; run it once
for each release that changes the schema, and keep the earlier ones.
"""

import asyncio
import shutil
import tarfile
import tempfile
from pathlib import Path

import pytest
from tests.data_folder.folders import filled, serving

from foliotrace.adapters.local.sqlite.schema import MIGRATIONS
from foliotrace_server.folder.check import check_folder, pending_migrations
from foliotrace_server.settings import load_settings

pytestmark = pytest.mark.anyio
QUESTION = {"query": "How long is the refund window?"}
_RELEASED = Path(__file__).parent / "released"
_KEPT = ("library.db", "intents.db", "handlers.db", "keyword", "blobs")


@pytest.mark.parametrize("archive", sorted(_RELEASED.glob("*.tar.gz")), ids=lambda path: path.name)
async def test_the_folder_of_a_released_schema_answers(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    assert pending_migrations(tmp_path) >= 0
    async with serving(tmp_path) as client:
        async with asyncio.timeout(20):  # an index of another form is built again
            while "30 days" not in (await client.post("/v1/query", json=QUESTION)).json()["answer"]:
                await asyncio.sleep(0.1)
    assert pending_migrations(tmp_path) == 0
    assert check_folder(load_settings(None, data_dir=tmp_path)) == []


async def _pack() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = await filled(Path(scratch) / "data")
        _RELEASED.mkdir(exist_ok=True)
        with tarfile.open(_RELEASED / f"schema-{len(MIGRATIONS)}.tar.gz", "w:gz") as packed:
            for name in _KEPT:
                packed.add(folder / name, arcname=name)
        shutil.rmtree(folder)


if __name__ == "__main__":
    asyncio.run(_pack())
