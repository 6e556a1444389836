"""LlamaIndex readers (data loaders) of the user's own, by the ending of a file's name."""

import asyncio
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Final

from llama_index.core.readers.base import BaseReader
from llama_index.core.schema import Document

from foliotrace.adapters.llamaindex.blocking import AsyncOrThread, blocks
from foliotrace.adapters.llamaindex.component_health import ComponentHealth
from foliotrace.adapters.local.files.filetype import own_type
from foliotrace.adapters.local.readers.text.plain import sections
from foliotrace.catalog import ErrorCode, Reason
from foliotrace.errors import DeadlineExceeded, FileRefused
from foliotrace.model import (
    Deadline,
    Inspection,
    PageKind,
    PageNumbers,
    ParsedPage,
    SourceFile,
)
from foliotrace.ports import Clock
from foliotrace.text_caches import clear_on_deletion

_KEPT: Final = 4  # files whose pages wait for their next window
_AT_ONCE: Final = 2


class LlamaIndexParser:
    """A `Parser` of the files whose names end in `suffix`.

    Each LlamaIndex document that the reader returns becomes one or more sections. The reader runs
    in threads of the server, not in the parser processes: nothing confines it.
    """

    def __init__(
        self, reader: BaseReader, suffix: str, name: str, *, clock: Clock, health: ComponentHealth
    ) -> None:
        """`name` is the setting's `pkg.mod:object`, a part of the revision of what it reads."""
        self.engine = f"reader {name}"
        self._reader = reader
        self._media_type = own_type(suffix)
        self._clock = clock
        self._health = health
        self._calls = AsyncOrThread(blocks=blocks(reader, "aload_data"), limit=_AT_ONCE)
        self._read: OrderedDict[tuple[str, str, str], list[ParsedPage]]
        self._read = clear_on_deletion(OrderedDict())

    def accepts(self, media_type: str) -> bool:
        """Whether the name of the file ended so when it was uploaded."""
        return media_type == self._media_type

    async def inspect(self, source: SourceFile, *, deadline: Deadline) -> Inspection:
        """Read the whole file. Raises FileRefused, DeadlineExceeded."""
        pages = await self._pages(source, deadline)
        return Inspection(media_type=source.media_type, pages_total=len(pages))

    async def parse(
        self, source: SourceFile, *, pages: PageNumbers, deadline: Deadline
    ) -> AsyncIterator[ParsedPage]:
        """The sections of these numbers."""
        read = await self._pages(source, deadline)
        for number in pages:
            if number <= len(read):
                yield read[number - 1]

    async def _pages(self, source: SourceFile, deadline: Deadline) -> list[ParsedPage]:
        key = source.tenant, source.content_hash, source.name
        if key not in self._read:
            self._read[key] = await self._sections(source, deadline)
            while len(self._read) > _KEPT:
                self._read.popitem(last=False)
        self._read.move_to_end(key)
        return self._read[key]

    async def _sections(self, source: SourceFile, deadline: Deadline) -> list[ParsedPage]:
        found: list[ParsedPage] = []
        for document in await self._load(source, deadline):
            label = document.metadata.get("page_label")
            for text in sections(iter([document.text])):
                found.append(
                    ParsedPage(
                        number=len(found) + 1,
                        text=text,
                        kind=PageKind.SECTION,
                        label=str(label) if label else None,
                        engine=self.engine,
                    )
                )
        if not found:
            why = f"{source.name}: the reader found no text."
            raise FileRefused(why, name=source.name, code=ErrorCode.FILE_MALFORMED)
        return found

    async def _load(self, source: SourceFile, deadline: Deadline) -> Sequence[Document]:
        left_s = deadline.remaining_s(self._clock.monotonic_s())
        try:
            with _under_its_name(source) as path, self._health.watch():
                async with asyncio.timeout(left_s):
                    return await self._calls.call(
                        lambda: self._reader.aload_data(path), lambda: self._reader.load_data(path)
                    )
        except TimeoutError as error:
            raise DeadlineExceeded(reason=Reason.PARSE_DEADLINE) from error
        except Exception as error:  # a reader raises whatever it likes
            why = f"{source.name}: its reader failed with {type(error).__name__}."
            raise FileRefused(why, name=source.name, code=ErrorCode.FILE_MALFORMED) from error


@contextmanager
def _under_its_name(source: SourceFile) -> Iterator[Path]:
    """A path that ends in the file's own name, which many readers look at."""
    with tempfile.TemporaryDirectory(prefix="foliotrace-reader-") as folder:
        path = Path(folder) / (PurePath(source.name).name or "file")
        path.symlink_to(source.path.absolute())
        yield path
