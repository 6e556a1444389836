"""Connects a command to a server: `--url`, the one that holds the data folder, or one in process.

Slow imports happen where they are needed, so that `--help` is fast.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foliotrace_server.cli.command import Exit, Options

if TYPE_CHECKING:
    from foliotrace_server.client import AsyncFoliotraceClient
    from foliotrace_server.engine import Engine
    from foliotrace_server.settings import Settings


@asynccontextmanager
async def connect(options: Options) -> AsyncIterator["AsyncFoliotraceClient"]:
    """A client of `--url`, of the server that holds the data folder, or of an embedded one.

    Raises Misconfigured, Conflict `data_folder_locked`.
    """
    from foliotrace.adapters.local.files.lease import WriterLease
    from foliotrace_server.client import AsyncFoliotraceClient

    if options.url is not None:
        url = options.url if "://" in options.url else f"http://{options.url}"
        async with AsyncFoliotraceClient(url) as remote:
            yield remote
        return
    settings = options.settings()
    holder = WriterLease.holder(settings.data_dir)
    if holder is not None and holder.url is not None:
        async with AsyncFoliotraceClient(holder.url) as remote:
            yield remote
        return
    with WriterLease.acquire(settings.data_dir):
        async with embedded(settings) as server:
            yield server.client


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A server in this process, without a socket, and a client of it."""

    client: "AsyncFoliotraceClient"
    engine: "Engine"

    def trace_tree(self, trace_id: str) -> str:
        """A recent trace as a text tree; "" if it is unknown or tracing is off."""
        observability = self.engine.assembly.observability
        return observability.trace_tree(trace_id) if observability is not None else ""


@asynccontextmanager
async def embedded(settings: "Settings") -> AsyncIterator[EmbeddedServer]:
    """A server on the data folder, whose writer lease the caller holds. Raises Misconfigured."""
    from foliotrace_server.app import build_app
    from foliotrace_server.client import AsyncFoliotraceClient
    from foliotrace_server.client.asgi_transport import AsgiTransport
    from foliotrace_server.compose import compose
    from foliotrace_server.logging import set_up_logging

    if "level" in settings.log.model_fields_set:
        set_up_logging(settings.log.level, settings.log.format)
    engine = compose(settings, draws=True)
    app = build_app(engine)
    async with (
        app.lifespan(None),
        AsyncFoliotraceClient("http://localhost", transport=AsgiTransport(app)) as client,
    ):
        yield EmbeddedServer(client, engine)


def run(
    options: Options, command: "Callable[[AsyncFoliotraceClient], Awaitable[Exit | None]]"
) -> Exit | None:
    """Run `command` with a connected client; its exit code."""

    async def with_client() -> Exit | None:
        async with connect(options) as client:
            return await command(client)

    return asyncio.run(with_client())
