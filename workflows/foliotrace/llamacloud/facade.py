"""What the three clients share: their event loop, opening at first use, closing, and files.

Connections and worker pools belong to one event loop. All clients run in one loop in a thread of
its own, so that the plain methods also work inside a running loop.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Thread, current_thread
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar
from weakref import finalize

from llama_index.core.schema import Document

from foliotrace.errors import InvalidRequest, Misconfigured
from foliotrace.llamacloud.embedded import ClientOptions, EmbeddedStack

T = TypeVar("T")

_THREAD: Final = "foliotrace-llamacloud"
_CLOSE_S: Final = 10.0

FileOrDocument: TypeAlias = str | Path | Document
"""A file, or a LlamaIndex Document: its file if it came from `LlamaParse`, else its text."""

Sources: TypeAlias = FileOrDocument | Sequence[FileOrDocument]

CONNECTION: Final[tuple[str, ...]] = ("where", "project_id", "organization_id")
"""The arguments that say which LlamaCloud and which project to use."""


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name=_THREAD, daemon=True).start()
    return loop


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in the clients' loop and block the calling thread until it is done."""
    return asyncio.run_coroutine_threadsafe(work, _loop()).result()


async def run_in_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in the clients' loop without blocking the caller's; a cancellation reaches it."""
    if asyncio.get_running_loop() is _loop():
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, _loop()))


def refuse_connection_without_key(api_key: str | None, arguments: dict[str, Any]) -> None:
    """Raise Misconfigured if arguments say where the cloud is and no key is given."""
    named = [name for name in CONNECTION if arguments.get(name) is not None]
    if api_key is None and named:
        raise Misconfigured(f"{', '.join(named)} given without a key", hint="Pass api_key as well.")


def _close_forgotten(embedded: EmbeddedStack) -> None:
    """Close what a client opened that was dropped, or lives until exit, without being closed."""
    closing = asyncio.run_coroutine_threadsafe(embedded.close(), _loop())
    if current_thread().name != _THREAD:  # the loop's own thread must not wait for itself
        with suppress(TimeoutError):
            closing.result(timeout=_CLOSE_S)


class Facade:
    """Base class of the LlamaCloud-compatible clients. Use as a context manager, or `close` it."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._embedded: EmbeddedStack | None = None
        self._opening = asyncio.Lock()

    async def _opened(self) -> EmbeddedStack:
        async with self._opening:
            if self._embedded is None:
                self._embedded = EmbeddedStack(self._options)
                self._finalizer = finalize(self, _close_forgotten, self._embedded)
            return self._embedded

    async def aclose(self) -> None:
        """Close connections and files, and delete a temporary folder."""
        await run_in_loop(self._close())

    def close(self) -> None:
        """`aclose` for synchronous code."""
        wait_for(self._close())

    async def _close(self) -> None:
        embedded, self._embedded = self._embedded, None
        if embedded is not None:
            self._finalizer.detach()
            await embedded.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.aclose()


def as_list(sources: Sources) -> list[FileOrDocument]:
    """One or several, as a list."""
    return [sources] if isinstance(sources, str | Path | Document) else list(sources)


async def contents(sources: Sequence[FileOrDocument]) -> list[tuple[str, bytes]]:
    """(name, bytes) of each file or document; the pages of one file count once."""
    named: dict[str, tuple[str, bytes]] = {}
    for each in sources:
        path = _file_of(each)
        if path is None:
            assert isinstance(each, Document)  # noqa: S101 - `_file_of` knows every other
            name = str(each.metadata.get("file_name") or each.id_)
            stem = name.rsplit("/", 1)[-1].replace("\0", "")
            named[each.id_] = (f"{stem}.txt", each.text.encode())
        elif str(path) not in named:
            named[str(path)] = (path.name, await asyncio.to_thread(existing(path).read_bytes))
    return list(named.values())


def _file_of(source: FileOrDocument) -> Path | None:
    """The file; None for a Document that is only text."""
    if isinstance(source, Document):
        path = source.metadata.get("file_path")
        return Path(path) if isinstance(path, str) and Path(path).is_file() else None
    return Path(source)


def existing(path: Path) -> Path:
    """The path of a file. Raises InvalidRequest when there is none."""
    if not path.is_file():
        raise InvalidRequest(f"there is no file {path.name}", hint="Check the path.")
    return path
