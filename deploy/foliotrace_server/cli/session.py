"""Where a command does its work: on a named server, on the one that has the folder, or here.

Nothing that takes time is imported before it is used: `--help` must not wait for it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from foliotrace_server.cli.failures import Exit
    from foliotrace_server.client import AsyncFoliotraceClient
    from foliotrace_server.engine import Engine
    from foliotrace_server.settings import Settings

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Options:
    """The options that every command shares."""

    config: Path | None
    data_dir: Path | None
    url: str | None
    output: str  # text, json

    def settings(self, **overrides: object) -> "Settings":
        """Raises Misconfigured."""
        from foliotrace_server.settings import load_settings

        if self.data_dir is not None:
            overrides["data_dir"] = self.data_dir
        return load_settings(self.config, **overrides)


@asynccontextmanager
async def client(options: Options) -> AsyncIterator["AsyncFoliotraceClient"]:
    """A client of `--url`, of the server that has the data folder, or of an engine in here.

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
        async with embedded(settings) as here:
            yield here.client


@dataclass(frozen=True, slots=True)
class Here:
    """An engine in this process and a client of it."""

    client: "AsyncFoliotraceClient"
    engine: "Engine"

    def trace_tree(self, trace_id: str) -> str:
        """A recent trace drawn as a tree; "" where it is not known or nothing is traced."""
        observing = self.engine.parts.observing
        return observing.trace_tree(trace_id) if observing is not None else ""


@asynccontextmanager
async def embedded(settings: "Settings") -> AsyncIterator[Here]:
    """An engine on the data folder, whose writer lease the caller holds. Raises Misconfigured."""
    from foliotrace_server.app import build_app
    from foliotrace_server.client import AsyncFoliotraceClient
    from foliotrace_server.client.asgi_transport import AsgiTransport
    from foliotrace_server.compose import compose

    engine = compose(settings, draws=True)
    app = build_app(engine)
    async with (
        app.lifespan(None),
        AsyncFoliotraceClient("http://localhost", transport=AsgiTransport(app)) as local,
    ):
        yield Here(local, engine)


def work(
    options: Options, command: "Callable[[AsyncFoliotraceClient], Awaitable[Exit | None]]"
) -> "Exit | None":
    """Run `command` with a client."""

    async def run() -> "Exit | None":
        async with client(options) as reached:
            return await command(reached)

    return asyncio.run(run())
