"""`foliotrace serve` as a service manager sees it: how it ends, and why it does not start."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.cli.command_line import PROGRAM, foliotrace

from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace.adapters.local.sqlite.library import SqliteLibrary

pytestmark = pytest.mark.anyio


async def serving(folder: Path) -> asyncio.subprocess.Process:
    """The command in a process of its own, once it answers."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, "--data-dir", str(folder), "serve", "--port", "0"),
        cwd=folder,
        env={"PATH": os.defpath, "HOME": str(folder), "OTEL_SDK_DISABLED": "true"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    while process.returncode is None:
        holder = WriterLease.holder(folder)
        if holder is not None and holder.url is not None and await _answers(holder.url):
            return process
        await asyncio.sleep(0.05)
    raise AssertionError("it did not start")


async def _answers(url: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 2)
        writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stopped_server_ends_with_0_and_gives_the_folder_back(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = await serving(tmp_path)
    process.send_signal(number)
    assert await process.wait() == 0
    assert not (tmp_path / "writer.json").exists()


@pytest.mark.parametrize("name", ["handlers.db", "intents.db"])
def test_a_damaged_journal_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    SqliteLibrary.open(tmp_path).close()  # without a library, the folder itself would be refused
    (tmp_path / name).write_bytes(b"no database" * 1000)
    ended = foliotrace(tmp_path, "--data-dir", str(tmp_path), "serve", "--port", "0")
    assert ended.returncode == 6
    assert "Traceback" not in ended.stderr
    assert "Move handlers.db and intents.db" in ended.stderr
    assert not (tmp_path / "writer.json").exists()
