"""A folder that has lost files never becomes a service that looks well."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.cli.command_line import foliotrace
from tests.data_folder.folders import filled, serving

from foliotrace.errors import LibraryUnavailable
from foliotrace_server.compose import compose
from foliotrace_server.settings import load_settings

pytestmark = pytest.mark.anyio


async def ready(folder: Path) -> dict[str, Any]:
    async with serving(folder) as client:
        return dict((await client.get("/readyz")).json())


def problems(body: dict[str, Any]) -> dict[str, int]:
    return {each["code"]: each["count"] for each in body["problems"]}


def lose_library(folder: Path) -> None:
    for file in folder.glob("library.db*"):
        file.unlink()


async def test_a_new_folder_and_a_whole_one_start_without_problems(tmp_path: Path) -> None:
    assert (await ready(tmp_path / "new"))["problems"] == []
    folder = await filled(tmp_path / "data")
    assert (await ready(folder))["problems"] == []


@pytest.mark.parametrize(
    "left", ["blobs", "keyword", "audit", "intents.db", "stale.db"], ids=lambda name: str(name)
)
async def test_a_folder_that_lost_its_library_is_refused(tmp_path: Path, left: str) -> None:
    whole = await filled(tmp_path / "data")
    folder = tmp_path / "left"
    folder.mkdir()
    shutil.move(whole / left, folder / left)
    with pytest.raises(LibraryUnavailable) as refused:
        compose(load_settings(None, data_dir=folder))
    assert refused.value.reason == "library_lost"
    assert not (folder / "library.db").exists()


async def test_serve_refuses_it_and_says_what_helps(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data")
    lose_library(folder)
    (folder / "library.db").touch()  # an empty file is no library either
    ended = foliotrace(tmp_path, "--data-dir", "data", "serve", "--port", "0")
    assert ended.returncode == 6
    assert "original files" in ended.stderr
    assert "restore a backup" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_missing_originals_show_at_readyz_and_the_documents_answer(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data")
    shutil.rmtree(folder / "blobs")
    async with serving(folder) as client:
        body = (await client.get("/readyz")).json()
        answer = (await client.post("/v1/query", json={"query": "refund window"})).json()
    assert (body["ready"], problems(body)) == (True, {"originals_missing": 2})
    assert answer["citations"]


async def test_missing_keys_show_at_readyz_until_they_are_back(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data")
    shutil.move(folder / "audit-keys", tmp_path / "kept")
    assert problems(await ready(folder)) == {"audit_keys_missing": 1}
    assert problems(await ready(folder)) == {"audit_keys_missing": 1}  # new keys do not hide it
    shutil.copytree(tmp_path / "kept", folder / "audit-keys", dirs_exist_ok=True)
    assert problems(await ready(folder)) == {}


async def test_a_full_disk_shows_at_readyz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = SimpleNamespace(free=4096)
    async with serving(tmp_path) as client:
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)
        body = (await client.get("/readyz")).json()
    assert problems(body) == {"data_disk_full": 1}
