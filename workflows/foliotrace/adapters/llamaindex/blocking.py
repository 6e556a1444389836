"""Objects whose methods block: they are found here, and called in threads beside the event loop.

LlamaIndex's base classes give every object async methods. Where a class has none of its own, they
call the blocking method in the event loop, and the whole server waits with them.
"""

import asyncio
import dis
import inspect
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from contextvars import Context, copy_context
from types import CodeType
from typing import Any, Final, TypeVar

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.vector_stores.types import BasePydanticVectorStore

T = TypeVar("T")

CALLS_AT_ONCE: Final = 8
_AWAITING: Final = frozenset({"GET_AWAITABLE", "GET_ANEXT"})
_DEPTH: Final = 3


class AsyncOrThread:
    """Calls one object's async methods; where they block or are missing, their twins in threads.

    `blocks` says that the async methods block. At most `limit` calls are in threads at a time; a
    call that nobody waits for any more keeps its thread until it returns. The threads do not hold
    up the end of the process, unlike those of asyncio's executor.
    """

    def __init__(self, *, blocks: bool, limit: int = CALLS_AT_ONCE) -> None:
        self.blocks = blocks
        self._slots = asyncio.Semaphore(limit)

    async def call(self, method: Callable[[], Awaitable[T]], blocking: Callable[[], T]) -> T:
        """The result of the async `method`, or of its `blocking` twin in a thread."""
        if not self.blocks:
            try:
                return await method()
            except Exception as error:
                if not _has_no_async_path(error):
                    raise
                self.blocks = True  # it will say the same next time
        return await self.run(blocking)

    async def items(
        self, method: Callable[[], Awaitable[AsyncIterator[T]]], blocking: Callable[[], Iterable[T]]
    ) -> AsyncIterator[T]:
        """As `call`, for methods that give a stream."""
        if not self.blocks:
            try:
                return await method()
            except Exception as error:
                if not _has_no_async_path(error):
                    raise
                self.blocks = True
        return self._iterate(blocking)

    async def run(self, work: Callable[[], T], context: Context | None = None) -> T:
        """The result of `work()`, run with the caller's context variables."""
        await self._slots.acquire()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        own = context or copy_context()

        def end(result: T | None, error: BaseException | None) -> None:
            self._slots.release()
            if future.done():
                return  # nobody waits any more
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type] # None only where T allows it

        def body() -> None:
            result: T | None = None
            failure: BaseException | None = None
            try:
                result = own.run(work)
            except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
                failure = error
            with suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(end, result, failure)

        try:
            threading.Thread(target=body, name="foliotrace-blocking", daemon=True).start()
        except RuntimeError:  # no thread can be started
            self._slots.release()
            raise
        return await future

    async def _iterate(self, start: Callable[[], Iterable[T]]) -> AsyncGenerator[T, None]:
        """The items of `start()`, each fetched in a thread."""
        context = copy_context()
        items: Iterator[T] = iter(await self.run(start, context))
        end = object()
        try:
            while (item := await self.run(lambda: next(items, end), context)) is not end:
                yield item  # type: ignore[misc] # `end` never leaves
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                with suppress(ValueError, RuntimeError):  # a thread is still inside it
                    close()


def blocks(owner: object, method: str) -> bool:
    """Whether the async `method` never awaits anything, so that it runs in the event loop's thread.

    Generators defined within it count as part of it.
    """
    function = _undecorated(getattr(type(owner), method), method)
    code = getattr(function, "__code__", None)
    return code is not None and not _awaits(code)


def _undecorated(function: Any, method: str) -> Any:
    """The method beneath its decorators: LlamaIndex's for LLMs keep it in a closure only."""
    while callable(inner := getattr(function, "__wrapped__", None)):  # LlamaIndex sets it to True
        function = inner
    for cell in getattr(function, "__closure__", None) or ():
        inner = cell.cell_contents
        if inspect.isfunction(inner) and inner.__name__ == method:
            return _undecorated(inner, method)
    return function


def _awaits(code: CodeType) -> bool:
    if any(each.opname in _AWAITING for each in dis.get_instructions(code)):
        return True
    return any(_awaits(inner) for inner in code.co_consts if isinstance(inner, CodeType))


def embedding_blocks(embedding: BaseEmbedding) -> bool:
    """Whether embedding a question or texts blocks."""
    return blocks(embedding, "_aget_query_embedding") or texts_block(embedding)


def texts_block(embedding: BaseEmbedding) -> bool:
    """Whether embedding a batch of texts blocks."""
    batch = "_aget_text_embeddings"
    if getattr(type(embedding), batch) is getattr(BaseEmbedding, batch):
        return blocks(embedding, "_aget_text_embedding")
    return blocks(embedding, batch)


def retriever_blocks(retriever: BaseRetriever) -> bool:
    """Whether the retriever, or a store, model or retriever inside it, blocks."""
    return any(_part_blocks(part) for part in _parts(retriever, _DEPTH))


def _part_blocks(part: object) -> bool:
    if isinstance(part, BaseRetriever):
        return blocks(part, "_aretrieve")
    if isinstance(part, BasePydanticVectorStore):
        return blocks(part, "aquery")
    return isinstance(part, BaseEmbedding) and embedding_blocks(part)


def _parts(owner: Any, depth: int) -> Iterator[object]:
    if isinstance(owner, list | tuple):
        for each in owner:
            yield from _parts(each, depth)
    elif isinstance(owner, BaseRetriever):
        yield owner
        for each in vars(owner).values() if depth else ():
            yield from _parts(each, depth - 1)
    elif isinstance(owner, BasePydanticVectorStore | BaseEmbedding):
        yield owner


def _has_no_async_path(error: Exception) -> bool:
    """Whether an async method said that only its blocking twin works.

    Qdrant raises "Async client is not initialized!" as a ValueError.
    """
    if isinstance(error, NotImplementedError):
        return True
    return isinstance(error, ValueError) and "async" in str(error).casefold()
