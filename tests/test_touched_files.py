"""A fact is declared once: a new field or setting touches few files, counted and tried."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.count_touched_files import CHOOSE, touched

ROOT = Path(__file__).parents[1]
SOURCES = ("workflows", "deploy/foliotrace_server", "instrumentation")

NEW_DOCUMENT_FIELD = {
    "workflows/foliotrace/model/document.py": (
        "    chunks: int = 0\n    identity",
        "    chunks: int = 0\n    shelf_mark: str = ''\n    identity",
    ),
    "workflows/foliotrace/adapters/local/sqlite/schema.py": (
        "  pages_unreadable INTEGER NOT NULL DEFAULT 0,\n",
        "  pages_unreadable INTEGER NOT NULL DEFAULT 0,\n  shelf_mark TEXT NOT NULL DEFAULT '',\n",
    ),
}
NEW_ANSWER_FIELD = {
    "workflows/foliotrace/model/answer.py": (
        "    age_s: float | None = field(",
        "    tone: str = 'sober'\n    age_s: float | None = field(",
    ),
}
SESSION = """
import asyncio, sqlite3, sys
from pathlib import Path
from tests.server.small_service import serving, small_engine
from foliotrace_server.client import AsyncFoliotraceClient

async def session() -> None:
    async with serving(small_engine(Path(sys.argv[1]))) as http:
        client = AsyncFoliotraceClient(str(http.base_url))
        job = (await client.upload([("a.txt", b"the blue whale sings")])).accepted[0].job
        async for event in client.follow(job.id):
            pass
        with sqlite3.connect(Path(sys.argv[1]) / "library.db") as library:
            library.execute("UPDATE documents SET shelf_mark = 'QA 76'")
        document = (await client.documents()).documents[0]
        answer = await client.ask("whale")
        schemas = (await http.get("/openapi.json")).json()["components"]["schemas"]
        required = {name for schema in schemas.values() for name in schema.get("required", ())}
        print(document.shelf_mark, answer.tone, {"shelf_mark", "tone"} <= required)

asyncio.run(session())
"""


def test_the_files_that_choose_their_fields_exist() -> None:
    assert [path for path in CHOOSE if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", ["pages_unreadable", "pages_stored", "stated_title"])
def test_a_document_field_is_named_in_at_most_three_files(name: str) -> None:
    assert 1 < len(touched(name).must) <= 3


@pytest.mark.parametrize("name", ["removed_claims", "notice", "age_s"])
def test_an_answer_field_is_named_in_at_most_three_files(name: str) -> None:
    assert 1 < len(touched(name).must) <= 3


@pytest.mark.parametrize(
    "name", ["deadline_s", "max_file_bytes", "max_event_streams", "max_answer_tokens"]
)
def test_a_setting_is_declared_in_one_file(name: str) -> None:
    assert len(touched(name, setting=True).must) == 1


def test_new_fields_reach_storage_api_description_and_client_by_themselves(tmp_path: Path) -> None:
    """Three edits in a copy of the sources; then a service that runs on the copy."""
    for source in SOURCES:
        shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("*.pyc"))
    for path, (before, after) in (NEW_DOCUMENT_FIELD | NEW_ANSWER_FIELD).items():
        text = (tmp_path / path).read_text()
        assert text.count(before) >= 1, path
        (tmp_path / path).write_text(text.replace(before, after, 1))
    folders = [tmp_path / "workflows", tmp_path / "deploy", tmp_path / "instrumentation", ROOT]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}  # noqa: TID251
    done = subprocess.run(
        [sys.executable, "-c", SESSION, str(tmp_path / "data")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["QA 76 sober True"], done.stderr[-2000:]
