"""A disk without space: a start says so, and a deletion makes room."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.data_folder.folders import filled

from foliotrace_server.folder import reserve

pytestmark = pytest.mark.anyio
_ON_A_SMALL_DISK = """
set -e
mount -t tmpfs -o size=40m tmpfs "$1"
cp -r "$2" "$1/data"
exec "$3" -c "$4" "$1"
"""
_FILL = """
import errno, os, subprocess, sys
from pathlib import Path

disk = Path(sys.argv[1])


def fill():
    with (disk / "filler").open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
"""
_START = """
for room in (0, 40, 100):
    (disk / "filler").unlink(missing_ok=True)
    (disk / "room").write_bytes(bytes(room * 1024))
    fill()
    (disk / "room").unlink()
    program = "from foliotrace_server.cli import main; main()"
    words = ["--data-dir", str(disk / "data"), "serve", "--port", "0"]
    ended = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 6, (room, ended.returncode, ended.stderr)
    assert "disk" in ended.stderr and "full" in ended.stderr, (room, ended.stderr)
    assert "Traceback" not in ended.stderr
"""
_DELETE = """
import asyncio
from tests.data_folder.folders import serving


async def main():
    async with serving(disk / "data") as client:
        documents = (await client.get("/v1/documents")).json()["documents"]
        fill()
        problems = (await client.get("/readyz")).json()["problems"]
        asked = await client.post("/v1/query", json={"query": "refund window"})
        late = await client.post("/v1/documents", files={"file": ("late.txt", b"whale " * 9000)})
        answers = [await client.delete(f"/v1/documents/{each['id']}") for each in documents]
        left = (await client.get("/v1/documents")).json()["documents"]
    assert [each["code"] for each in problems] == ["data_disk_full"]
    assert asked.status_code == 200
    assert late.status_code in (503, 507), late.text
    assert documents and not left
    assert {answer.status_code for answer in answers} == {200}, [a.text for a in answers]


asyncio.run(main())
"""


def _can_mount(folder: Path) -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    mount = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("what", [_START, _DELETE], ids=["start", "delete"])
async def test_a_full_disk_is_called_one(tmp_path: Path, what: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if not _can_mount(disk):
        pytest.skip("this user cannot mount a small disk")
    folder = await filled(tmp_path / "data")
    shell = ["unshare", "-rm", "sh", "-c", _ON_A_SMALL_DISK, "sh", str(disk), str(folder)]
    done = subprocess.run(
        [*shell, sys.executable, _FILL + what],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_room_for_deletions_is_held_where_there_is_some_and_given_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, free_bytes = reserve.DeletionReserve(tmp_path), reserve.SIZE_BYTES
    monkeypatch.setattr(held, "_free_bytes", lambda: free_bytes)
    held.hold()
    assert not (tmp_path / "reserve").exists()
    free_bytes = 4 * reserve.SIZE_BYTES
    held.hold()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= reserve.SIZE_BYTES
    held.make_room()
    assert (tmp_path / "reserve").exists()
    free_bytes = 0
    held.make_room()
    assert not (tmp_path / "reserve").exists()
