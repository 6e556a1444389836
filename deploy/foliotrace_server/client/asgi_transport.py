"""An httpx transport that calls an ASGI application in this process and streams its responses."""

import asyncio
from collections.abc import AsyncIterator

import httpx
from starlette.types import ASGIApp, Message, Scope


class AsgiTransport(httpx.AsyncBaseTransport):
    """Calls `app` for each request.

    `httpx.ASGITransport` returns a response only when it is complete, so that events could not be
    followed with it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The response, as soon as its status and headers are there."""
        call = _AsgiCall(request)
        await call.begin(self._app)
        return httpx.Response(
            call.status, headers=call.headers, stream=_Body(call), request=request
        )


class _AsgiCall:
    """One request that the application is handling."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request
        stream = request.stream
        assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 - from an AsyncClient
        self._request_parts = aiter(stream)
        self._request_ended = False
        self._response_parts: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=16)
        self._head_sent = asyncio.Event()
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
        await self._head_sent.wait()

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        finally:
            self._head_sent.set()
            await self._response_parts.put(None)

    async def _receive(self) -> Message:
        if self._request_ended:
            await self._closed.wait()
            return {"type": "http.disconnect"}
        try:
            piece = await anext(self._request_parts)
        except StopAsyncIteration:
            self._request_ended = True
            piece = b""
        return {"type": "http.request", "body": piece, "more_body": not self._request_ended}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
            self._head_sent.set()
        elif message.get("body"):
            await self._response_parts.put(message["body"])

    async def response_parts(self) -> AsyncIterator[bytes]:
        while (piece := await self._response_parts.get()) is not None:
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
        async for piece in self._call.response_parts():
            yield piece

    async def aclose(self) -> None:
        await self._call.close()
