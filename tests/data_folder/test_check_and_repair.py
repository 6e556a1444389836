"""`foliotrace check` finds whatever was changed or lost, and repairs it from the originals."""

import asyncio
import json
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.data_folder.folders import filled, served, serving

from foliotrace.errors import LibraryUnavailable
from foliotrace_server.cli.main import main
from foliotrace_server.compose import compose
from foliotrace_server.folder.check import check_folder
from foliotrace_server.settings import load_settings

pytestmark = pytest.mark.anyio
PAGE = 4096
QUESTION = {"query": "How long is the refund window?"}


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*arguments, "--data-dir", str(folder)])
    return result.exit_code, result.output


def damaged(folder: Path) -> set[tuple[str, str]]:
    found = check_folder(load_settings(None, data_dir=folder))
    return {(each.area, each.file) for each in found}


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


async def start_and_stop(folder: Path) -> None:
    engine = compose(load_settings(None, data_dir=folder), serving=True)
    try:
        await engine.start()
    finally:
        await engine.stop()


async def assert_answers(folder: Path) -> None:
    async with serving(folder) as client:
        for document in (await client.get("/v1/documents")).json()["documents"]:
            await served(client, document["id"])
        async with asyncio.timeout(20):  # the index follows the library
            while "30 days" not in (await client.post("/v1/query", json=QUESTION)).json()["answer"]:
                await asyncio.sleep(0.1)
        assert (await client.get("/readyz")).status_code == 200


async def test_an_untouched_folder_has_no_damage_before_and_after_being_served(
    tmp_path: Path,
) -> None:
    folder = await filled(tmp_path / "data")
    assert run(folder, "check") == (0, "ok\n")
    async with serving(folder):
        assert damaged(folder) == set()
    assert damaged(folder) == set()


@pytest.mark.parametrize("name", ["library.db", "intents.db"])
async def test_a_changed_byte_on_any_page_is_found(tmp_path: Path, name: str) -> None:
    folder = await filled(tmp_path / "data")
    original = (folder / name).read_bytes()
    draw = random.Random(11)
    for page in range(len(original) // PAGE):
        flip(folder / name, page * PAGE + draw.randrange(PAGE))
        assert any(file == name for _, file in damaged(folder)), f"page {page + 1}"
        (folder / name).write_bytes(original)


async def test_changed_and_missing_originals_index_files_and_records_are_found(
    tmp_path: Path,
) -> None:
    folder = await filled(tmp_path / "data")
    changed, missing = sorted(folder.glob("blobs/*/*/*"))
    index = sorted(folder.glob("keyword/**/*.store"))
    segment = next(folder.glob("audit/*/0000.jsonl"))
    for path in (changed, *index, segment):
        flip(path, 3 if path in index else path.stat().st_size // 2)
    missing.unlink()
    found = {file.rpartition("/")[2] for _, file in damaged(folder)}
    assert found & {path.name for path in index}
    assert found - {path.name for path in index} == {
        changed.name,
        missing.name,
        segment.parent.name,
    }


@pytest.mark.parametrize("harm", ["changed", "lost"])
async def test_the_lost_name_of_a_tenant_is_found_and_restored(tmp_path: Path, harm: str) -> None:
    folder = await filled(tmp_path / "data")
    marker = next(folder.glob("blobs/*/tenant"))
    if harm == "lost":
        marker.unlink()
    else:
        flip(marker, 0)
    assert damaged(folder) == {("tenants", marker.relative_to(folder).as_posix())}
    assert run(folder, "check", "--repair")[0] == 0
    assert marker.read_text() == "default"
    await assert_answers(folder)


async def test_originals_of_an_unknown_tenant_are_given_to_nobody(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data")
    marker = next(folder.glob("blobs/*/tenant"))
    stranger = folder / "blobs" / ("0" * 32)
    marker.parent.rename(stranger)
    (folder / "library.db").unlink()
    assert run(folder, "check", "--repair")[0] == 3
    async with serving(folder) as client:
        assert (await client.get("/v1/documents")).json()["documents"] == []
    assert len(list(stranger.glob("*/*"))) == 2


@pytest.mark.parametrize("harm", ["garbage", "flip", "row", "lost"])
async def test_a_damaged_library_is_refused_by_name_and_rebuilt_from_the_originals(
    tmp_path: Path, harm: str
) -> None:
    folder = await filled(tmp_path / "data")
    library = folder / "library.db"
    if harm == "garbage":
        library.write_bytes(b"x" * library.stat().st_size)
    elif harm == "flip":
        flip(library, 3 * PAGE + 5)
    elif harm == "row":
        with sqlite3.connect(library) as connection:
            connection.execute("UPDATE documents SET metadata = 'x{', status = 'queued'")
    else:
        library.unlink()
    if harm != "flip":  # a page that SQLite reads may be served until it is checked
        with pytest.raises(LibraryUnavailable) as refused:
            await start_and_stop(folder)
        assert "check --repair" in refused.value.hint
    code, said = run(folder, "check", "--repair", "--output", "json")
    assert (code, {each["repaired"] for each in json.loads(said)["damage"]}) == (0, {True})
    await assert_answers(folder)
    shutil.rmtree(folder / "damaged")
    assert damaged(folder) == set()


async def test_documents_keep_their_ids_and_collections_through_a_repair(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data")
    async with serving(folder) as client:
        before = (await client.get("/v1/documents")).json()["documents"]
    flip(folder / "library.db", 9 * PAGE + 100)
    assert run(folder, "check", "--repair")[0] == 0
    async with serving(folder) as client:
        after = (await client.get("/v1/documents")).json()["documents"]
    assert [(d["id"], d["name"]) for d in after] == [(d["id"], d["name"]) for d in before]


async def test_a_folder_that_needs_no_upgrade_says_so(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data")
    assert run(folder, "upgrade", "--check") == (0, "up to date\n")
    with sqlite3.connect(folder / "library.db") as connection:
        connection.execute("PRAGMA user_version = 999")
    assert run(folder, "upgrade", "--check")[0] == 6
