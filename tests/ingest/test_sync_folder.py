"""A folder is synced: what did not change is neither read nor parsed."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.ingest.journey import OWNER, Desk

from foliotrace.adapters.local.sources import SqliteSeenFiles
from foliotrace.ingest.sync import SyncedFile, sync_folder

pytestmark = pytest.mark.anyio

LONG_AGO = 1_700_000_000


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    made.mkdir()
    return made


def write(folder: Path, name: str, text: str, *, modified: int = LONG_AGO) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (modified, modified))
    return path


async def sync(desk: Desk, folder: Path) -> dict[str, SyncedFile]:
    """Sync and ingest what was accepted."""
    seen = SqliteSeenFiles(desk.library)
    found = {}
    async for file in sync_folder(desk.services, seen, OWNER, folder, collection="default"):
        found[file.name] = file
        if file.accepted and not file.accepted.settled:
            await desk.run(file.accepted)
    return found


async def test_every_file_becomes_a_document_named_by_its_path(desk: Desk, folder: Path) -> None:
    write(folder, "b.txt", "All of beta.")
    write(folder, "sub/a.txt", "All of alpha.")
    write(folder, ".hidden", "All of gamma.")
    (folder / "link").symlink_to("/etc/hostname")
    assert list(await sync(desk, folder)) == ["b.txt", "sub/a.txt"]
    assert [p.document_name for p in await desk.ask("alpha")] == ["sub/a.txt"]


async def test_unchanged_files_are_neither_read_nor_parsed(desk: Desk, folder: Path) -> None:
    write(folder, "a.txt", "All of alpha.")
    await sync(desk, folder)
    calls = len(desk.parser.calls)
    again = await sync(desk, folder)
    assert (again["a.txt"].unchanged, again["a.txt"].accepted) == (True, None)
    assert len(desk.parser.calls) == calls


async def test_a_file_touched_without_change_is_read_but_not_parsed(
    desk: Desk, folder: Path
) -> None:
    write(folder, "a.txt", "All of alpha.")
    await sync(desk, folder)
    calls = len(desk.parser.calls)
    write(folder, "a.txt", "All of alpha.", modified=LONG_AGO + 60)
    again = (await sync(desk, folder))["a.txt"]
    assert again.accepted is not None
    assert again.unchanged
    assert len(desk.parser.calls) == calls


async def test_a_changed_file_is_ingested_again_even_if_its_size_and_time_look_the_same(
    desk: Desk, folder: Path
) -> None:
    path = write(folder, "a.txt", "All of alpha.")
    os.utime(path)  # written just now: its time proves nothing
    moment = path.stat().st_mtime_ns
    await sync(desk, folder)
    path.write_text("All of gamma.")
    os.utime(path, ns=(moment, moment))
    await sync(desk, folder)
    assert await desk.ask("alpha") == []
    assert len(await desk.ask("gamma")) == 1


async def test_a_refused_file_does_not_stop_the_others(desk: Desk, folder: Path) -> None:
    write(folder, "a.txt", "")
    write(folder, "b.txt", "All of beta.")
    write(folder, "c.txt", "x" * 20_000)
    found = await sync(desk, folder)
    codes = {name: f.refused.error_code for name, f in found.items() if f.refused}
    assert codes == {"a.txt": "file_empty", "c.txt": "file_too_large"}
    assert len(await desk.ask("beta")) == 1


async def test_a_deleted_document_comes_back_with_the_next_sync(desk: Desk, folder: Path) -> None:
    write(folder, "a.txt", "All of alpha.")
    await sync(desk, folder)
    (document,) = await desk.library.documents("t1")
    await desk.library.delete("t1", document.id)
    again = (await sync(desk, folder))["a.txt"]
    assert not again.unchanged
    await desk.index.catch_up()
    assert len(await desk.ask("alpha")) == 1
