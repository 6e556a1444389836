"""A TCP line between a client and a real server (Redis, a collector) that can go wrong."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.free_ports import free_port

MODES = ("healthy", "down", "refused", "slow", "hanging", "error", "garbage", "partial", "flapping")


class FaultyLine:
    """Forwards bytes to `target` (a socket file or a port), as its `mode` says."""

    def __init__(self, target: str | int, *, slow_s: float = 0.2) -> None:
        self.mode = "healthy"
        self.port = free_port()
        self._target = target
        self._slow_s = slow_s
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._turn = 0

    async def set(self, mode: str) -> None:
        """Behave so from now on. A line that dies or is mended resets its connections."""
        resets = mode in ("down", "refused") or self.mode != "healthy"
        self.mode = mode
        for writer in list(self._open) if resets else ():
            _reset(writer)
        if mode == "refused":
            await self.stop()
        elif self._server is None:
            await self.start()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in list(self._open):
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if isinstance(self._target, str):
                up, down = await asyncio.open_unix_connection(self._target)
            else:
                up, down = await asyncio.open_connection("127.0.0.1", self._target)
            self._open.add(down)
            back = asyncio.create_task(self._answers(up, writer))
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(65536):
                    if self.mode == "down":
                        _reset(writer)
                        break
                    down.write(data)
            back.cancel()
            self._open.discard(down)
            down.close()
        except OSError:
            _reset(writer)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answers(self, up: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await up.read(65536):
                self._turn += 1
                mode = self.mode
                if mode == "flapping":
                    mode = "error" if self._turn % 2 else "healthy"
                if mode == "slow":
                    await asyncio.sleep(self._slow_s)
                elif mode == "hanging":
                    continue
                elif mode == "error":
                    data = b"-LOADING Redis is loading the dataset in memory\r\n"
                elif mode == "garbage":
                    data = b"\x00\xffHTTP/1.1 400 Bad Request\r\n\r\n"
                elif mode == "partial":
                    writer.write(data[: max(1, len(data) // 2)])
                    _reset(writer)
                    return
                writer.write(data)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def faulty_line(target: str | int) -> AsyncIterator[FaultyLine]:
    line = FaultyLine(target)
    await line.start()
    try:
        yield line
    finally:
        await line.stop()
