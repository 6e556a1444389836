"""An httpx transport into an ASGI application of this process: no socket, and streams stream."""

import asyncio
from collections.abc import AsyncIterator

import httpx
from starlette.types import ASGIApp, Message, Scope


class AsgiTransport(httpx.AsyncBaseTransport):
    """Calls `app` for each request; httpx' own transport would wait for the whole answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, as soon as its head is there."""
        call = _AsgiCall(request)
        await call.begin(self._app)
        return httpx.Response(
            call.status, headers=call.headers, stream=_Body(call), request=request
        )


class _AsgiCall:
    """One request on its way through the application."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request
        stream = request.stream
        assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 - from an AsyncClient
        self._sent = aiter(stream)
        self._is_sent = False
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=16)
        self._head = asyncio.Event()
        self._closed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []

    async def begin(self, app: ASGIApp) -> None:
        url = self._request.url
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self._request.method,
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "server": (url.host, url.port),
            "client": ("127.0.0.1", 0),
            "root_path": "",
        }
        self._task = asyncio.create_task(self._run(app, scope))
        await self._head.wait()

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        finally:
            self._head.set()
            await self._pieces.put(None)

    async def _receive(self) -> Message:
        if self._is_sent:
            await self._closed.wait()
            return {"type": "http.disconnect"}
        try:
            piece = await anext(self._sent)
        except StopAsyncIteration:
            self._is_sent = True
            piece = b""
        return {"type": "http.request", "body": piece, "more_body": not self._is_sent}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
            self._head.set()
        elif message.get("body"):
            await self._pieces.put(message["body"])

    async def pieces(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            yield piece

    async def close(self) -> None:
        self._closed.set()
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class _Body(httpx.AsyncByteStream):
    def __init__(self, call: _AsgiCall) -> None:
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._call.pieces():
            yield piece

    async def aclose(self) -> None:
        await self._call.close()
