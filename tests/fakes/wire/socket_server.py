"""A uvicorn server in a thread, on a real port, that can die, be reset and come back."""

import asyncio
import contextlib
import socket
import struct
import threading
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

RST_ON_CLOSE = struct.pack("ii", 1, 0)


class _TrackedProtocol(H11Protocol):
    """Keeps each connection's transport where `SocketServer.reset` finds it."""

    open_transports: ClassVar[dict[tuple[Any, ...], Any]]
    accepted: ClassVar[list[int]]

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.accepted[0] += 1
        self.open_transports[tuple(transport.get_extra_info("peername"))] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.open_transports.pop(tuple(self.client or ()), None)
        super().connection_lost(exc)


class SocketServer:
    """Serves one ASGI app on 127.0.0.1. The port stays ours from `start` to `stop`."""

    def __init__(self, app: Any, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._app = app
        self._host = host
        self._socket: socket.socket | None = self._bind(port)
        self.port: int = self._socket.getsockname()[1]
        self._transports: dict[tuple[Any, ...], Any] = {}
        self._accepted = [0]
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._serving: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """The base URL without a trailing slash."""
        return f"http://{self._host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted since the start."""
        return self._accepted[0]

    @property
    def alive(self) -> bool:
        """Whether the port answers."""
        return self._thread is not None

    def start(self) -> None:
        """Listen; returns once requests are answered. Also brings a dead server back."""
        if self._thread is not None:
            return
        listening = self._socket
        assert listening is not None, "stopped"
        self._socket = None
        protocol = type(
            "TrackedProtocol",
            (_TrackedProtocol,),
            {"open_transports": self._transports, "accepted": self._accepted},
        )
        config = uvicorn.Config(
            self._app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_keep_alive=60,
        )
        self._server = uvicorn.Server(config)
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._server, listening, ready), daemon=True
        )
        self._thread.start()
        ready.wait(10)

    def die(self) -> None:
        """Close the port (connections are refused) and reset every open connection."""
        if self._thread is None:
            return
        self._close()
        self._socket = self._bind(self.port)

    def stop(self) -> None:
        """Close for good."""
        if self._thread is not None:
            self._close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def call_soon(self, function: Any, *arguments: Any) -> None:
        """Run `function` on the server's event loop."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(function, *arguments)

    def reset(self, client: tuple[Any, ...]) -> None:
        """Send RST to the connection of `client` (the scope's address)."""
        transport = self._transports.get(tuple(client))
        if transport is None:
            return
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
        transport.abort()

    def _bind(self, port: int) -> socket.socket:
        # asyncio sets TCP_NODELAY only on sockets whose protocol is spelt out.
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((self._host, port))
        return bound

    def _run(
        self, server: uvicorn.Server, listening: socket.socket, ready: threading.Event
    ) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._serving = asyncio.ensure_future(server.serve(sockets=[listening]))
            while not server.started and not self._serving.done():
                await asyncio.sleep(0.002)
            ready.set()
            with contextlib.suppress(asyncio.CancelledError):
                await self._serving

        with listening:
            asyncio.run(serve())

    def _close(self) -> None:
        server, thread = self._server, self._thread
        assert server is not None
        assert thread is not None
        self.call_soon(self._abort_all, server)
        thread.join(10)
        self._server = self._thread = self._loop = None

    def _abort_all(self, server: uvicorn.Server) -> None:
        for listener in server.servers:
            listener.close()
        for client in list(self._transports):
            self.reset(client)
        assert self._serving is not None
        self._serving.cancel()
