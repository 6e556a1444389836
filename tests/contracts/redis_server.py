"""A Redis server of our own on a socket file, for the contract suites."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from redis.asyncio import Redis


@asynccontextmanager
async def running_redis(folder: Path) -> "AsyncIterator[Redis]":
    """A client of a fresh server; skips with its reason where none is installed, never in CI."""
    if shutil.which("redis-server") is None and not os.environ.get("CI"):  # noqa: TID251
        pytest.skip("redis-server is not installed")
    pytest.importorskip("redis", reason="the redis extra is not installed")
    from redis.asyncio import Redis

    socket = folder / "redis.sock"
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", ""],
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    client = Redis(unix_socket_path=str(socket))
    try:
        for _ in range(100):
            if socket.exists():
                break
            await asyncio.sleep(0.05)
        yield client
    finally:
        await client.aclose()
        server.terminate()
        server.wait()
