"""A disk that is full, a file that is locked, damaged or gone: said clearly, nothing lost."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.ingest.pages import page, serve

from foliotrace.adapters.local.sqlite.library import FILE_NAME, SqliteLibrary
from foliotrace.errors import LibraryUnavailable

pytestmark = pytest.mark.anyio

LONG = "Words that fill a disk. " * 400


@contextmanager
def refused(reason: str) -> Iterator[None]:
    with pytest.raises(LibraryUnavailable) as caught:
        yield
    assert caught.value.reason == reason
    assert caught.value.hint


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """No file of this process may grow past the limit: writing fails as on a broken disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_reported_and_acknowledged_data_are_served(tmp_path: Path) -> None:
    library = SqliteLibrary.open(tmp_path)
    kept = await serve(library, "Alpha.", name="kept.txt")
    pages = await library.database.write(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await library.database.write(lambda c: c.execute(f"PRAGMA max_page_count={pages + 2}"))
    with refused("library_disk_full"):
        await serve(library, *(f"{n} {LONG}" for n in range(50)), name="big.txt")
    assert [c.text for c in await library.document_chunks("t1", kept.id)] == ["Alpha."]
    await library.database.write(lambda c: c.execute("PRAGMA max_page_count=1000000"))
    await serve(library, *(f"{n} {LONG}" for n in range(50)), name="big.txt")
    library.close()


async def test_a_write_that_the_disk_refuses_is_reported_and_can_be_repeated(
    tmp_path: Path,
) -> None:
    library = SqliteLibrary.open(tmp_path)
    kept = await serve(library, "Alpha.", name="kept.txt")
    await library.compact()
    with file_size_limit(16_384), refused("library_disk_error"):
        await serve(library, *(f"{n} {LONG}" for n in range(50)), name="big.txt")
    assert [c.text for c in await library.document_chunks("t1", kept.id)] == ["Alpha."]
    await serve(library, *(f"{n} {LONG}" for n in range(50)), name="big.txt")
    library.close()


async def test_a_locked_file_is_reported_and_readers_continue(tmp_path: Path) -> None:
    library = SqliteLibrary.open(tmp_path, lock_wait_s=0.05)
    document = await serve(library, "Alpha.")
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with refused("library_locked"):
        await library.delete("t1", document.id)
    assert [c.text for c in await library.document_chunks("t1", document.id)] == ["Alpha."]
    other.execute("ROLLBACK")
    other.close()
    await library.delete("t1", document.id)
    library.close()


async def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    library = SqliteLibrary.open(tmp_path)
    document = await serve(library, *(f"{n} {LONG}" for n in range(20)))
    await library.compact()
    library.close()
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle:] = b"\xff" * (len(content) - middle)
    path.write_bytes(content)
    again = SqliteLibrary.open(tmp_path)
    with refused("library_damaged"):
        await again.document_chunks("t1", document.id)
    again.close()


async def test_a_file_that_is_no_library_is_reported(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database at all" * 100)
    with refused("library_damaged"):
        SqliteLibrary.open(tmp_path)


async def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with refused("library_unavailable"):
        SqliteLibrary.open(tmp_path / "file" / "data")


async def test_a_library_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    SqliteLibrary.open(tmp_path).close()
    newer = sqlite3.connect(tmp_path / FILE_NAME)
    newer.execute("PRAGMA user_version=999")
    newer.close()
    for read_only in (False, True):
        with refused("library_schema_version"):
            SqliteLibrary.open(tmp_path, read_only=read_only)


async def test_a_reader_sees_what_the_writer_publishes_and_cannot_write(tmp_path: Path) -> None:
    with refused("library_missing"):
        SqliteLibrary.open(tmp_path, read_only=True)
    writer = SqliteLibrary.open(tmp_path)
    reader = SqliteLibrary.open(tmp_path, read_only=True)
    document = await serve(writer, "Alpha.")
    assert [c.text for c in await reader.document_chunks("t1", document.id)] == ["Alpha."]
    await serve(writer, "Beta.", content_hash="b" * 64)
    assert [c.text for c in await reader.document_chunks("t1", document.id)] == ["Beta."]
    with refused("library_read_only"):
        await reader.add_window("t1", document.id, revision="r", pages=[page(1, "x")])
    reader.close()
    writer.close()


async def test_a_closed_library_is_reported(tmp_path: Path) -> None:
    library = SqliteLibrary.open(tmp_path)
    library.close()
    library.close()
    with refused("library_closed"):
        await library.version()
    with refused("library_closed"):
        await library.compact()
