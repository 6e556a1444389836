"""What every Blobs must do."""

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.ingest.pages import bytes_of

from foliotrace.adapters.local.files.blobs import FolderBlobs
from foliotrace.errors import FileRefused, LibraryUnavailable, NotFound
from foliotrace.ports import Blobs

pytestmark = pytest.mark.anyio

HELLO = hashlib.sha256(b"hello").hexdigest()


@pytest.fixture(params=["folder"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return FolderBlobs(tmp_path)


async def put(blobs: Blobs, *pieces: bytes, tenant: str = "t1", limit_bytes: int = 100) -> str:
    stored = await blobs.put(tenant, "a.txt", bytes_of(*pieces), limit_bytes=limit_bytes)
    return stored.content_hash


async def test_bytes_come_back_by_their_hash_with_their_type(blobs: Blobs) -> None:
    stored = await blobs.put("t1", "a.txt", bytes_of(b"hel", b"lo"), limit_bytes=5)
    assert (stored.content_hash, stored.size_bytes) == (HELLO, 5)
    assert stored.media_type == "text/plain"
    assert (await blobs.path("t1", HELLO)).read_bytes() == b"hello"


async def test_equal_bytes_are_stored_once(blobs: Blobs) -> None:
    assert await put(blobs, b"hello") == await put(blobs, b"hello")
    assert list(await blobs.hashes("t1")) == [HELLO]


async def test_the_tenants_that_stored_something_are_known(blobs: Blobs) -> None:
    assert list(await blobs.tenants()) == []
    for tenant in ("t1", "t/2 \u00e4", "t1"):
        await put(blobs, b"hello", tenant=tenant)
    assert sorted(await blobs.tenants()) == ["t/2 \u00e4", "t1"]


async def test_tenants_do_not_share_bytes(blobs: Blobs) -> None:
    await put(blobs, b"hello")
    with pytest.raises(NotFound):
        await blobs.path("t2", HELLO)
    await put(blobs, b"hello", tenant="t2")
    await blobs.delete("t2", HELLO)
    assert (await blobs.path("t1", HELLO)).read_bytes() == b"hello"


@pytest.mark.parametrize(
    ("pieces", "code"),
    [((), "file_empty"), ((b"",), "file_empty"), ((b"x" * 101,), "file_too_large")],
)
async def test_a_refused_file_leaves_nothing(
    blobs: Blobs, pieces: tuple[bytes, ...], code: str
) -> None:
    with pytest.raises(FileRefused) as refused:
        await put(blobs, *pieces)
    assert refused.value.error_code == code
    assert list(await blobs.hashes("t1")) == []


async def test_an_upload_that_breaks_off_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"hello"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await blobs.put("t1", "a.txt", breaking(), limit_bytes=100)
    assert list(await blobs.hashes("t1")) == []
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


async def test_deleting_twice_is_fine(blobs: Blobs) -> None:
    await put(blobs, b"hello")
    for _ in range(2):
        await blobs.delete("t1", HELLO)
    with pytest.raises(NotFound):
        await blobs.path("t1", HELLO)


@pytest.mark.parametrize("content_hash", ["", "../../etc/passwd", "A" * 64, "a" * 63])
async def test_what_is_no_hash_is_no_path(blobs: Blobs, content_hash: str) -> None:
    with pytest.raises(NotFound):
        await blobs.path("t1", content_hash)


async def test_what_a_killed_upload_left_is_dropped_after_a_while(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    stored = await blobs.path("t1", await put(blobs, b"hello"))
    old, new = (stored.parent.parent / f"{name}.partial" for name in ("old", "new"))
    for partial in (old, new):
        partial.write_bytes(b"half")
    os.utime(old, (1, 1))
    assert list(await blobs.hashes("t1")) == [HELLO]
    assert (old.exists(), new.exists()) == (False, True)


async def test_files_that_arrive_together_are_all_stored_and_a_refused_one_stops_none(
    blobs: Blobs,
) -> None:
    outcomes = await asyncio.gather(
        *(put(blobs, f"file {n}".encode()) for n in range(20)),
        put(blobs, b"x" * 101),
        put(blobs),
        return_exceptions=True,
    )
    assert all(isinstance(outcome, FileRefused) for outcome in outcomes[20:])
    stored = [hashlib.sha256(f"file {n}".encode()).hexdigest() for n in range(20)]
    assert outcomes[:20] == stored
    assert sorted(await blobs.hashes("t1")) == sorted(stored)


async def test_a_file_that_the_disk_refuses_does_not_fail_its_neighbours(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def refusing(self: Path, target: Path) -> Path:
        if target.name == HELLO:
            raise OSError(errno.EIO, "refused")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refusing)
    outcomes = await asyncio.gather(
        *(put(blobs, text) for text in (b"one", b"hello", b"two")), return_exceptions=True
    )
    assert isinstance(outcomes[1], LibraryUnavailable)
    assert len(await blobs.hashes("t1")) == 2
